"""Training of the vision encoder."""
