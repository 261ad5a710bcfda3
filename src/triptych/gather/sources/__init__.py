"""The sources that come with Triptych, each an entry point of the group ``triptych.sources``."""
