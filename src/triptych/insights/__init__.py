"""AI steps: what is found in a committed snapshot. One file a step; `step` says what a step is."""
