"""The built-in AI steps, a folder each; plug-ins use the entry point triptych.insights."""
