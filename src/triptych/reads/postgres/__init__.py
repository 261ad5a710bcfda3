"""What is projected of the catalogue, and how far."""
