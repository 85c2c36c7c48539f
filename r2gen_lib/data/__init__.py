"""Reading studies: reports, splits, pictures and the batches made of them."""
