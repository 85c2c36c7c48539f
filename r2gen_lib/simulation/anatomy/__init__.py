"""Where things are in the one CT."""
