"""Teaching a trained mapper to look: its own reports are corrected by what was drawn, and it learns from that."""
