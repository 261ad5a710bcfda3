"""The key that the tests' databases are sealed with."""

from __future__ import annotations

from triptych.sealing.key_ring import KeyRing

KEY = "the-key-of-the-tests-which-is-long-enough"
OTHER_KEY = "another-key-of-the-tests-that-is-as-long"
KEYS = KeyRing([KEY])
