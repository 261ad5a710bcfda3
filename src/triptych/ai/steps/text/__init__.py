"""The text in pictures: reading it, and what a brand says with it."""
