"""What keys that are limited to brands may ask: only about these, by path and query.

Everything that is not known to be about one brand is refused, so a new operation is closed to such
keys until it is named here.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import parse_qsl
from uuid import UUID

from starlette.types import Scope

from triptych.access.identity import Identity
from triptych.errors import Forbidden
from triptych.runs.run_store import RunStore
from triptych.snapshots.asset_ids import read_asset_id
from triptych.tasks.task_store import TaskStore

PREFIX = "/api/v1/"
OPEN = frozenset(
    {
        *("brands", "me", "sources", "sources/check", "sources/preview", "uploads"),
        *("schedules/preview", "export-formats", "facets", "openapi.json", "phases"),
    }
)
"""About no brand, or they list only what the identity may see."""
BY_QUERY = frozenset({"runs", "search"})
"""About the brand that the query names."""
COMPARE = "compare"
BULK = "bulk"
"""Of runs: the operation itself refuses each run of another brand."""


class Stores(Protocol):
    """Where runs and tasks tell their brand."""

    runs: RunStore
    tasks: TaskStore


class BrandLimit:
    """Refuses requests of limited identities that are not about their brands alone."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def check(self, identity: Identity, scope: Scope) -> None:
        """Return if an identity may make a request; all may that are not limited.

        Raises:
            Forbidden: it is about another brand, or not about single brands.
            RunNotFound, TaskNotFound, AssetNotFound: it is about something that does not exist.
        """
        if identity.brands is None:
            return
        path: str = scope["path"]
        parts = path.removeprefix(PREFIX).split("/")
        if not path.startswith(PREFIX) or "" in parts:
            raise _beyond()
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"))
        brands = await self._brands(parts, query)
        if brands is None and "/".join(parts) not in OPEN:
            raise _beyond()
        named = set(brands or ())
        for name, value in query:
            if name == "brand":
                named.add(value)
            elif name == "asset":
                named.add(read_asset_id(value)[0])
            elif name == "run":
                named |= await self._of_run(value)
        identity.require_brands(named)

    async def _brands(self, parts: list[str], query: list[tuple[str, str]]) -> set[str] | None:
        """Return the brands that a path is about; None if it is not about any."""
        kind, *rest = parts
        if not rest:
            about = kind in BY_QUERY and any(name == "brand" for name, _ in query)
            return set() if about else None
        name = rest[0]
        if kind == "brands":
            # The nearest brands are other brands.
            if rest[1:] == ["nearest"]:
                return None
            return {name, *(rest[2:3] if rest[1:2] == [COMPARE] else ())}
        if kind == "assets":
            return {read_asset_id(name)[0]}
        if kind == "runs" and rest == [BULK]:
            return set()
        if kind == "runs":
            return await self._of_run(name)
        if kind == "uploads" and len(rest) == 1:
            return set()  # Its operations know only the identity's own.
        if kind == "tasks":
            task = await self._stores.tasks.task(found) if (found := _uuid(name)) else None
            return {task.brand} if task and task.brand is not None else None
        return None

    async def _of_run(self, text: str) -> set[str]:
        found = _uuid(text)
        return set() if found is None else {(await self._stores.runs.run(found)).brand}


def _uuid(text: str) -> UUID | None:
    """Return an id; None if the operation will refuse it."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _beyond() -> Forbidden:
    return Forbidden(
        "This key is limited to brands, and the request is not about one of them alone.",
        remedy="Name the brand, or use a key without a limit: `triptych keys create NAME`.",
    )
