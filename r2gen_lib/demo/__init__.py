"""The page of `r2gen demo`."""
