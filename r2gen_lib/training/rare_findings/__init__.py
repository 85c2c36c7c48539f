"""How rare findings are given weight in training."""
