"""Running and writing the notebooks."""
