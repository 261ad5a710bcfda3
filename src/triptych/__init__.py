"""Triptych: a brand's scattered media as a committed, searchable, AI-enriched catalogue.

From Python::

    run = await triptych.run("nike", source="manifest:urls.csv")

From a notebook, with a server that runs::

    triptych.connect("http://127.0.0.1:8321").brand("nike").assets()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triptych.client.client import open_client
    from triptych.client.notebook.server import connect
    from triptych.wiring.local import open_local, run

_HOMES = {
    "connect": "triptych.client.notebook.server",
    "open_client": "triptych.client.client",
    "open_local": "triptych.wiring.local",
    "run": "triptych.wiring.local",
}
"""Where each name of this package is defined."""

__all__ = ["connect", "open_client", "open_local", "run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load what is named when it is first used, so that importing the package costs nothing."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return all names of this package, those that are not loaded yet, too."""
    return sorted({*globals(), *_HOMES})
