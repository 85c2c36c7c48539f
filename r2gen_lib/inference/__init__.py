"""Studies through a model."""
