"""AI steps: what a brand's committed imagery says."""
