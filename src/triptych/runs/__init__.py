"""Runs and the Active Brand Registry: open, expect, settle, seal, commit."""
