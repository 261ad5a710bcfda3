"""Triptych: a brand's scattered media as a committed, searchable, AI-enriched catalogue."""
