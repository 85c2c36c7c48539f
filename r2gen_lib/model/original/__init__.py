"""Checkpoints of the public R2GenGPT."""
