"""The only package that chooses the adapter of each port."""
