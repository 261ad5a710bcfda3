"""The step ``tags``: words for each picture."""
