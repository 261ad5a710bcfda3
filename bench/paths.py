"""Where the bench finds and puts things."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".work" / "bench"
"""What is written while it runs; some of it is kept for the next time."""
PEERS = ROOT / ".venv-peers" / "bin" / "python"
"""The Python that has what Triptych is measured beside."""
