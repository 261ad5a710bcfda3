"""The step ``map``: a place in the plane for each picture."""
