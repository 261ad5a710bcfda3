"""The step ``look``: what a brand's pictures look like as a whole."""
