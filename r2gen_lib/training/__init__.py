"""Training the mapper (and, in two modes, the encoder) in front of a language model that stays as it is."""
