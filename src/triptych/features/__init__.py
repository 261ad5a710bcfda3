"""What is computed from one picture's bytes, kept once for all brands and runs."""
