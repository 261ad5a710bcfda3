"""Sitemaps, feeds, shops' products and web pages: read in a list parser's process, never here."""
