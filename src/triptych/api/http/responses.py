"""From nouns to what `triptych.api.schemas` describes, as plain values for one JSON encoder.

The answers are not validated a second time on their way out: tests hold them to the schemas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from uuid import UUID

import orjson
from fastapi import Response

from triptych.live.states import brand_state, run_state, task_state
from triptych.model import Asset, Run
from triptych.runs.brand_store import Scheduled
from triptych.settings.addresses import without_password
from triptych.snapshots.asset_ids import asset_id
from triptych.tasks.task_store import Task

T = TypeVar("T")
PHASH_MASK = 2**64 - 1


class Json(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode, dates and UUIDs included."""
        return orjson.dumps(content, _plain, orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z)


def _plain(value: object) -> str:
    """Write what the encoder does not know: the driver's own class of UUIDs."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError


def page(items: Iterable[T], show: Callable[[T], Any], following: str | None) -> Json:
    """Answer with a page."""
    return Json({"items": [show(item) for item in items], "next": following})


def source(text: str | None) -> str | None:
    """Return a source without a password in it."""
    return without_password(text) if text else text


def run(found: Run) -> dict[str, Any]:
    """Show a run."""
    return run_state(found)


def brand(found: Scheduled) -> dict[str, Any]:
    """Show a brand."""
    return {**brand_state(found.brand), "schedule": found.schedule, "due_at": found.due_at}


def asset(found: Asset) -> dict[str, Any]:
    """Show an asset."""
    return {
        "id": asset_id(found.brand, found.key),
        "brand": found.brand,
        "run": str(found.run_id),
        "url": found.url,
        "sha256": found.sha256.hex(),
        "media_type": found.media_type,
        "size_bytes": found.size_bytes,
        "width": found.width,
        "height": found.height,
        "phash": None if found.phash is None else f"{found.phash & PHASH_MASK:016x}",
        "colours": [{"hex": f"{c.rgb:06x}", "share": c.share} for c in found.colours],
        "model": found.model,
        "metadata": found.metadata,
    }


def task(found: Task) -> dict[str, Any]:
    """Show a task. One that opened a run, or its AI phase, is where that is."""
    return task_state(found)
