"""Picture files to arrays."""
