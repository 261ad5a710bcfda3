"""The API's components, and how its operations get them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol

from fastapi import Depends, Path, Request
from typing_extensions import TypeVar

from triptych.access.authenticator import Authenticator
from triptych.access.local_caller import LocalCallers
from triptych.acquire.previews import Previews
from triptych.api.http.paging import Cursors
from triptych.dead_letters.dead_letter_store import DeadLetterStore
from triptych.features.feature_store import FeatureStore
from triptych.fetch.guard import AddressGuard
from triptych.gather.source_check import SourceChecker
from triptych.gather.source_reach import SourceReach
from triptych.gather.source_registry import SourceRegistry
from triptych.media.signed_thumbnails import SignedThumbnails
from triptych.messages import BRAND_MAX_CHARS, check_brand
from triptych.objects import ObjectStore
from triptych.presence.presence_store import PresenceStore
from triptych.queues.queue import Queue
from triptych.reads.reads import Reads
from triptych.runs.brand_store import BrandStore
from triptych.runs.item_store import ItemStore
from triptych.runs.registry import ActiveBrandRegistry
from triptych.runs.run_store import RunStore
from triptych.runtime.shared_check import SharedCheck
from triptych.settings.settings import Settings
from triptych.snapshots.brand_relations import BrandRelations
from triptych.snapshots.exports.export_registry import ExportRegistry
from triptych.snapshots.facet_store import FacetStore
from triptych.snapshots.search_service import SearchService
from triptych.snapshots.search_store import SearchStore
from triptych.snapshots.snapshot_store import SnapshotStore
from triptych.tasks.history_store import HistoryStore
from triptych.tasks.task_store import TaskStore
from triptych.uploads.upload_files import UploadFiles
from triptych.uploads.upload_store import UploadStore


class Thumbnails(Protocol):
    """Thumbnails of stored images."""

    async def get(self, sha256: bytes, width: int) -> bytes:
        """Return a WebP image, at most ``width`` pixels wide, of the object with that SHA-256."""
        ...


class ApiStores(Protocol):
    """The stores that several resources read and write.

    A resource with a store of its own extends this protocol next to its operations, as
    `triptych.api.webhooks` does, and takes its context from `of_request`.
    """

    runs: RunStore
    items: ItemStore
    brands: BrandStore
    dead_letters: DeadLetterStore
    snapshots: SnapshotStore
    search: SearchStore
    facets: FacetStore
    features: FeatureStore
    tasks: TaskStore
    history: HistoryStore
    presence: PresenceStore
    uploads: UploadStore

    async def check(self) -> None:
        """Raise `DatabaseUnavailable` unless the database answers and has the expected schema."""
        ...


S_co = TypeVar("S_co", bound=ApiStores, default=ApiStores, covariant=True)


@dataclass(frozen=True, slots=True)
class ApiContext(Generic[S_co]):
    """The API's components."""

    settings: Settings
    stores: S_co
    reads: Reads
    """Immediate reads of snapshots, of whichever database answers them."""
    queue: Queue
    registry: ActiveBrandRegistry
    objects: ObjectStore
    authenticator: Authenticator
    guard: AddressGuard
    """Decides which addresses webhooks may be sent to."""
    cursors: Cursors
    callers: LocalCallers
    """Tells which requests come from the server's own user, who may name its files."""
    reach: SourceReach
    """Which sources everybody else may name."""
    thumbnails: Thumbnails
    signed_thumbnails: SignedThumbnails | None
    """Where browsers read them instead, if they do."""
    search: SearchService
    relations: BrandRelations
    sources: SourceRegistry
    """The source types that requests may name."""
    exports: ExportRegistry
    source_checker: SourceChecker
    previews: Previews
    uploads: UploadFiles
    """Takes what is uploaded."""
    ready: SharedCheck
    """That the database and the queues answer, and the schema is the expected one."""


async def of_request(request: Request) -> ApiContext[Any]:
    """Return the components of the app that serves a request."""
    context: ApiContext[Any] = request.app.state.context
    return context


async def _brand(
    brand: Annotated[
        str,
        Path(
            min_length=1,
            max_length=BRAND_MAX_CHARS,
            description="The brand's name: printable, without slashes or surrounding spaces.",
            examples=["nike"],
        ),
    ],
) -> str:
    return check_brand(brand)


Context = Annotated[ApiContext, Depends(of_request)]
BrandPath = Annotated[str, Depends(_brand)]
