"""What reports say against what was drawn, on balanced simulated chests."""
