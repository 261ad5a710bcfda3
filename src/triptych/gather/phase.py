"""Phase 1, Gather: read the brand's source and store each URL as an item."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
import orjson
import structlog

from triptych.errors import (
    InvalidUrl,
    RunEnded,
    RunNotFound,
    SettingsError,
    SnapshotCollected,
    SourceRefused,
    TriptychError,
)
from triptych.gather.given_source import KeptSource
from triptych.gather.restorable import Restorable
from triptych.gather.snapshot_source import SnapshotSource
from triptych.gather.source import ListFound, Page, Row, Source
from triptych.gather.urls import item_key, key_of_value, normalise, without_parameters
from triptych.messages import (
    METADATA_MAX_BYTES,
    URL_MAX_CHARS,
    Delivery,
    GatherBody,
    Headers,
    parse_body,
)
from triptych.model import (
    Metadata,
    NewItem,
    Reason,
    Run,
    RunKind,
    RunState,
)
from triptych.objects import ObjectStore
from triptych.runs.active_run import check_joinable
from triptych.runs.brand_store import BrandStore
from triptych.runs.given_urls import is_given
from triptych.runs.registry import ActiveBrandRegistry, external_run_id
from triptych.runs.run_store import RefusedRow, RowsRead, RunStore
from triptych.runtime.json_values import DEPTH_MAX, is_too_deep
from triptych.sealing.key_ring import SealBroken
from triptych.sealing.readable import scrubbed
from triptych.shown_url import shown_text
from triptych.snapshots.snapshot_store import SnapshotStore
from triptych.telemetry.metrics import GATHER_SECONDS, GATHERED

DEFECT_RECEIVES = 4
"""Deliveries of a gather message after which a defect ends its run: the pauses between them are at
most 1, 2 and 4 times `BACKOFF_BASE_S`."""
METADATA_DEPTH_MAX = DEPTH_MAX // 2
"""Levels of an item's metadata: a message, and a page of assets, put it into further levels."""

log = structlog.get_logger(__name__)


class Gather:
    """Handles messages of ``brand-gather-queue``.

    Safe to repeat: items are keyed by their URL, the cursor is kept with the run, so a redelivery
    continues where the last one stopped, and sealing twice changes nothing.
    """

    def __init__(
        self,
        runs: RunStore,
        brands: BrandStore,
        snapshots: SnapshotStore,
        registry: ActiveBrandRegistry,
        objects: ObjectStore,
        open_source: Callable[[str, bool], Source],
        *,
        default_source: str | None,
        page_rows: int,
    ) -> None:
        self._runs = runs
        self._brands = brands
        self._snapshots = snapshots
        self._registry = registry
        self._open_source = open_source
        self._default_source = default_source
        self._page_rows = page_rows
        self._restorable = Restorable(snapshots, objects, page_rows)

    async def handle(self, delivery: Delivery) -> None:
        """Gather the brand named in the body.

        Raises:
            InvalidMessage: the body or a header is wrong.
            RunActive: the brand has an active run of another kind; the message is retried.
            SourceUnavailable: the source does not answer; the message is retried.
        """
        body = parse_body(GatherBody, delivery.body)
        headers = Headers.decode(delivery.headers)
        if headers.run_id is None:
            run = await self._join(body.brand, delivery)
        else:
            try:
                run = await self._runs.run(headers.run_id)
            except RunNotFound:
                log.info("gather_of_unknown_run", run=str(headers.run_id))
                return
        if run is None or run.state is not RunState.ACTIVE or run.sealed:
            return
        try:
            with GATHER_SECONDS.time():
                await (
                    self._list(run) if run.restores is None else self._restore(run, run.restores)
                )
        except RunEnded:
            log.info("gather_stopped", run=str(run.id), brand=run.brand)
        except (SourceRefused, SealBroken) as error:
            await self._fail(run, f"source_refused: {error}", gives_back=True)
        except SnapshotCollected as error:
            await self._registry.fail(run.id, error.message)
        except TriptychError:
            raise  # Another brand's run, or something is away for a while: tried again.
        except Exception as error:
            if delivery.receives < DEFECT_RECEIVES:
                raise
            # Shown within a minute, instead of after the last delivery.
            log.exception("gather_defect", run=str(run.id), brand=run.brand)
            await self._fail(run, f"gather_defect: {type(error).__name__}: {error}")

    async def _fail(self, run: Run, reason: str, *, gives_back: bool = False) -> None:
        """Fail a run; what is secret of its source does not get into the reason.

        ``gives_back`` is that of `RunStore.fail`.
        """
        try:
            source = await self._brands.whole_source(run.brand, run.source)
        except (SealBroken, SettingsError):
            source = None  # It was never opened, so the reason cannot quote it.
        for quoted in (source, self._default_source):
            reason = scrubbed(reason, quoted) if quoted else reason
        await self._registry.fail(run.id, reason, gives_back=gives_back)

    async def _join(self, brand: str, delivery: Delivery) -> Run | None:
        opened = await self._registry.open_for_message(brand, delivery)
        if opened.run.id == external_run_id(delivery):
            return opened.run
        check_joinable(opened.run, RunKind.FULL)
        return None  # The brand's active run is gathering already.

    async def _source(self, run: Run) -> Source:
        if run.kind is RunKind.REEMBED:
            return SnapshotSource(self._brands, self._snapshots, self._page_rows)
        spec = await self._brands.whole_source(run.brand, run.source) or self._default_source
        if spec is None:
            raise SourceRefused(
                f"Brand {run.brand!r} has no source.",
                remedy="Name one with --source, or in TRIPTYCH_SOURCE.",
            )
        if is_given(spec):
            return KeptSource(self._brands, spec, self._page_rows)
        # Whatever has put the source into the database: who named it is asked again.
        trusted = run.source is not None and await self._brands.is_trusted(run.brand, spec)
        return self._open_source(spec, trusted)

    async def _restore(self, run: Run, snapshot: UUID) -> None:
        """Seal a run, which publishes the snapshot; fail it if objects are missing."""
        problem = await self._restorable.problem(snapshot)
        if problem is not None:
            await self._registry.fail(run.id, problem)
            return
        await self._registry.seal(run.id)
        log.info("restored", run=str(run.id), brand=run.brand, snapshot=str(snapshot))

    async def _list(self, run: Run) -> None:
        begun = time.perf_counter()
        source = await self._source(run)
        cursor = await self._runs.gather_cursor(run.id)
        async for page in source.pages(run.brand, cursor):
            for found in page.lists:
                for note in found.notes:
                    log.warning("list_note", list=found.name, brand=run.brand, note=note)
            # What is counted before its page is stored would be counted again after a crash.
            read, uncounted = _rows_read(page, from_start=cursor is None), RowsRead(0)
            for rows, last in _chunks(page, self._page_rows):
                items = [new_item(row) for row in rows if not row.refused]
                GATHERED.inc(len(items))
                await self._registry.expect(
                    run.id,
                    items,
                    cursor=page.cursor if last else cursor,
                    rows=read if last else uncounted,
                )
            cursor = page.cursor
        sealed = await self._registry.seal(run.id)
        log.info(
            "gathered",
            run=str(run.id),
            brand=run.brand,
            expected=sealed.expected,
            rows=sealed.rows_read,
            seconds=round(time.perf_counter() - begun, 3),
        )


def new_item(row: Row) -> NewItem:
    """Return a source's row as an item: normalised, or refused with its reason. Never raises."""
    metadata, problem = _checked(row.metadata)
    if row.problem:
        # Its place is its identity: rows without a URL are not one item.
        shown = (row.url or row.place)[:URL_MAX_CHARS]
        detail = f"{row.place}: {row.problem}" if row.place else row.problem
        return NewItem(
            item_key(f"{row.place} {row.url}"),
            shown,
            metadata,
            Reason.INVALID_ROW,
            shown_text(detail),
        )
    text = row.url.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    try:
        url = normalise(text)
    except InvalidUrl as error:
        shown = text[:URL_MAX_CHARS]
        return NewItem(item_key(shown), shown, metadata, Reason.INVALID_URL, error.message)
    key = _key(row, url)
    if problem:
        return NewItem(key, url, {}, Reason.INVALID_METADATA, problem)
    return NewItem(key, url, metadata)


def _key(row: Row, url: str) -> bytes:
    if row.identity is not None:
        return key_of_value(row.identity)
    return item_key(without_parameters(url, row.ignored) if row.ignored else url)


def _checked(metadata: Metadata) -> tuple[Metadata, str]:
    """Return metadata that every store can hold, or ``{}`` and what is wrong with it."""
    try:
        encoded = orjson.dumps(metadata)
    except (TypeError, ValueError) as error:
        return {}, f"not JSON: {error}"
    # Each level takes two characters.
    if len(encoded) > 2 * METADATA_DEPTH_MAX and is_too_deep(metadata, METADATA_DEPTH_MAX):
        return {}, f"nested deeper than {METADATA_DEPTH_MAX} levels"
    if len(encoded) > METADATA_MAX_BYTES:
        return {}, f"{len(encoded)} bytes of JSON; {METADATA_MAX_BYTES} are allowed"
    if b"\\u0000" in encoded:
        return {}, "holds a NUL character"
    # Not a number is null in JSON.
    return (orjson.loads(encoded) if b"null" in encoded else metadata), ""


def _rows_read(page: Page, *, from_start: bool) -> RowsRead:
    refused = [RefusedRow(row.place, shown_text(row.refused)) for row in page.rows if row.refused]
    lists = [_event(found) for found in page.lists] if from_start else []
    return RowsRead(len(page.rows), refused, from_start, lists)


def _event(found: ListFound) -> Mapping[str, Any]:
    """Return what the timeline has of a file; what only a check is shown is left out."""
    shown = msgspec.structs.asdict(found)
    return {name: value for name, value in shown.items() if name not in {"samples", "problem"}}


def _chunks(page: Page, rows: int) -> Iterator[tuple[Sequence[Row], bool]]:
    """Split a page into parts of at most ``rows``; mark the last. An empty page is one part."""
    for start in range(0, max(len(page.rows), 1), rows):
        yield page.rows[start : start + rows], start + rows >= len(page.rows)
