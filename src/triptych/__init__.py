"""Triptych: a brand's scattered media as a committed, searchable, AI-enriched catalogue.

From Python::

    run = await triptych.run("nike", source="manifest:urls.csv")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triptych.wiring.local import open_local, run

__all__ = ["open_local", "run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load the pipeline when it is first used, so that importing the package costs nothing."""
    if name in __all__:
        from triptych.wiring import local

        return getattr(local, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
