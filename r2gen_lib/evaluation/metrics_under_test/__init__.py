"""Metrics under test: does a metric prefer the report that is right?"""
