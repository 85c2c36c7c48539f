"""Scoring reports: language metrics and the controls that belong beside every score."""
