"""The AI steps that ship, a folder each. Others join through the entry point triptych.insights."""
