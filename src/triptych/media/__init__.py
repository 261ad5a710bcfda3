"""From untrusted bytes to pixels and fingerprints."""
