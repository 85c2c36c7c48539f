"""Parameters, memory and compute, before a run."""
