"""Readers: files of each layout, to studies."""
