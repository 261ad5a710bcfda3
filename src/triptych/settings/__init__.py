"""Settings: from environment variables and defaults, with where each came from."""
