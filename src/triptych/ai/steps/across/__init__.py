"""The step ``across``: what a brand's pictures share with other brands."""
