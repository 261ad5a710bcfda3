"""The step ``duplicates``: copies of one picture."""
