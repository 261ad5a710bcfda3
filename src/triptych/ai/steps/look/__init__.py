"""The step ``look``: the overall look of a brand's pictures."""
