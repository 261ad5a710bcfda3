"""What the API is made of, and how its operations come by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Path, Request

from triptych.access.authenticator import Authenticator
from triptych.api.http.paging import Cursors
from triptych.dead_letters.dead_letter_store import DeadLetterStore
from triptych.fetch.guard import AddressGuard
from triptych.gather.source_registry import SourceRegistry
from triptych.messages import BRAND_MAX_CHARS, check_brand
from triptych.objects import ObjectStore
from triptych.presence.presence_store import PresenceStore
from triptych.queues.queue import Queue
from triptych.runs.brand_store import BrandStore
from triptych.runs.registry import ActiveBrandRegistry
from triptych.runs.run_store import RunStore
from triptych.settings.settings import Settings
from triptych.snapshots.exports.export_registry import ExportRegistry
from triptych.snapshots.search_service import SearchService
from triptych.snapshots.search_store import SearchStore
from triptych.snapshots.snapshot_store import SnapshotStore
from triptych.tasks.task_store import TaskStore
from triptych.webhooks.webhook_store import WebhookStore


class Thumbnails(Protocol):
    """Small pictures of stored ones."""

    async def get(self, sha256: bytes, width: int) -> bytes:
        """Return a WebP, at most ``width`` pixels wide, of the object of that SHA-256."""
        ...


class ApiStores(Protocol):
    """The stores that the API reads and writes."""

    runs: RunStore
    brands: BrandStore
    dead_letters: DeadLetterStore
    snapshots: SnapshotStore
    search: SearchStore
    tasks: TaskStore
    webhooks: WebhookStore
    presence: PresenceStore

    async def check(self) -> None:
        """Raise `DatabaseUnavailable` unless the database answers with the schema known here."""
        ...


@dataclass(frozen=True, slots=True)
class ApiContext:
    """What the API is made of."""

    settings: Settings
    stores: ApiStores
    queue: Queue
    registry: ActiveBrandRegistry
    objects: ObjectStore
    authenticator: Authenticator
    guard: AddressGuard
    """Says which addresses may be told of events."""
    cursors: Cursors
    local: bool
    """True when only this machine reaches the server: then sources may be files of it."""
    thumbnails: Thumbnails
    search: SearchService
    sources: SourceRegistry
    """The kinds of sources that requests may name."""
    exports: ExportRegistry


async def _context(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context


async def _brand(
    brand: Annotated[
        str,
        Path(
            min_length=1,
            max_length=BRAND_MAX_CHARS,
            description="The brand's name: printable, without slashes or blanks at its ends.",
            examples=["nike"],
        ),
    ],
) -> str:
    return check_brand(brand)


Context = Annotated[ApiContext, Depends(_context)]
BrandPath = Annotated[str, Depends(_brand)]
