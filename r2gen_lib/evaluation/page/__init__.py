"""The page of an evaluated run."""
