"""From two texts to scores with intervals; knows no model."""
