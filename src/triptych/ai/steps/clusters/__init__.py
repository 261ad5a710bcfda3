"""The step ``clusters``: groups of pictures that look alike, with stable names."""
