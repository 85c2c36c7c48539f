"""How each finding is drawn into the volume."""
