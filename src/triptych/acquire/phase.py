"""Phase 2, Acquire: fetch a URL or read an object, store its bytes, decode, embed, settle.

Each message is one call of `Acquire.handle`. It returns when the item is settled durably, so the
consumer may delete the message. Concurrent calls are batched: items are looked up together, images
embedded together, results flushed together.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

import numpy as np
import numpy.typing as npt
import structlog

from triptych.acquire.buffer import Buffer
from triptych.acquire.item_fetcher import ItemFetcher
from triptych.acquire.patient_store import PatientStore
from triptych.embedders.embedder import Embedder
from triptych.errors import (
    HostBusy,
    HostDown,
    HostPaused,
    NotDue,
    ObjectMissing,
    PermanentItemError,
    TransientItemError,
    Unavailable,
)
from triptych.fetch.fetcher import Fetched, Validators
from triptych.fetch.host_throttle import HostSlot
from triptych.gather.phase import new_item
from triptych.gather.source import Row
from triptych.gather.urls import same_resource
from triptych.media.decoded import Decoded
from triptych.media.kinds import other_media
from triptych.media.other_content import describe_content
from triptych.media.shared_decoders import Origin, SharedDecoders
from triptych.media.signatures import DECODED, picture_type
from triptych.media.svg_source import SVG
from triptych.messages import Delivery, Headers, UrlBody, parse_body
from triptych.model import Item, ItemResult, ItemState, Reason, RunKind, Staged
from triptych.objects import ObjectStore
from triptych.runs.outage_store import Outage, OutageStore
from triptych.runs.registry import ActiveBrandRegistry
from triptych.runs.run_store import Attempt, PutOff, RunStore
from triptych.runtime.micro_batch import Batcher
from triptych.runtime.retry import plan_retry
from triptych.shown_url import shown_url
from triptych.snapshots.snapshot_store import SnapshotStore
from triptych.telemetry.metrics import (
    EMBED_SECONDS,
    EMBEDDED,
    FETCH_SECONDS,
    FETCHED_BYTES,
    OBJECTS_DAMAGED,
)

LOOKUP_BATCH = 100
LOOKUP_WAIT_S = 0.005
EARLY_S = 1.0
"""A message that arrives so much before its item is due is processed: queues' clocks differ."""
EMBED_WAIT_S = 0.02
HASHED_HERE_BYTES = 256 * 1024
"""Smaller bodies are hashed inline: waking a thread would take longer."""
PAUSED_MARK = " (paused)"
"""Stands after the name of a host that an item waits for because an operator has paused it."""
PIXELS_WITHOUT_EMBEDDER = 224
"""Side of the decoded image without an embedder: the fingerprint's input."""

log = structlog.get_logger(__name__)

Address = tuple[UUID, bytes]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AcquireLimits:
    """Resource limits of one worker for acquiring."""

    concurrency: int
    """Concurrent downloads; a slot is held from the first byte until the image is embedded."""
    embed_batch: int
    embed_calls: int
    """Concurrent embedding batches."""
    max_pixels: int
    min_side: int
    """Pixels that the shorter side of a picture must have, unless it is an SVG."""
    decode: bool
    """Whether pictures are decoded; if not, they are stored unchanged."""
    other_media: bool
    """Whether videos, sounds and PDFs, which have no embedding, are stored."""
    host_patience_s: float
    """For how long a run waits for a host that does not answer."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the brand's snapshot has for an item."""

    staged: Staged
    whole: bool
    """Whether its object is there and not known to be damaged."""


class Acquire:
    """Handles messages of ``url-process-queue``.

    Safe to repeat: an object is stored under its content's hash, an item is settled once, and the
    message of a settled item only checks again whether its run is complete.
    """

    def __init__(
        self,
        runs: RunStore,
        outages: OutageStore,
        snapshots: SnapshotStore,
        registry: ActiveBrandRegistry,
        fetcher: ItemFetcher,
        store: ObjectStore,
        embedder: Embedder | None,
        buffer: Buffer,
        decoders: SharedDecoders,
        threads: Executor,
        limits: AcquireLimits,
    ) -> None:
        self._runs = runs
        self._outages = outages
        self._snapshots = snapshots
        self._registry = registry
        self._fetcher = fetcher
        self._store = PatientStore(store)
        self._embedder = embedder
        self._buffer = buffer
        self._decoders = decoders
        self._threads = threads
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.concurrency)
        # What is set when an item is no longer in hand, if a copy waits for it.
        self._in_hand: dict[Address, asyncio.Event | None] = {}
        self._put_off: Batcher[tuple[UUID, PutOff], None] = Batcher(
            self._put_off_together, size=LOOKUP_BATCH, wait_s=LOOKUP_WAIT_S, parallel=2
        )
        self._note_outage: Batcher[tuple[UUID, str], Outage | None] = Batcher(
            self._noted_outages, size=LOOKUP_BATCH, wait_s=LOOKUP_WAIT_S, parallel=2
        )
        self._end_outage: Batcher[tuple[UUID, str], None] = Batcher(
            self._ended_outages, size=LOOKUP_BATCH, wait_s=LOOKUP_WAIT_S, parallel=2
        )
        self._look_up: Batcher[Address, Item | None] = Batcher(
            self._items, size=LOOKUP_BATCH, wait_s=LOOKUP_WAIT_S, parallel=2
        )
        self._known: Batcher[tuple[str, bytes], _Known | None] = Batcher(
            self._known_assets, size=LOOKUP_BATCH, wait_s=LOOKUP_WAIT_S, parallel=2
        )
        self._embed: Batcher[npt.NDArray[np.uint8], npt.NDArray[np.float32]] = Batcher(
            self._embeddings,
            size=limits.embed_batch,
            wait_s=EMBED_WAIT_S,
            parallel=limits.embed_calls,
        )

    async def handle(self, delivery: Delivery) -> None:
        """Acquire the URL named in the body and settle its item.

        Raises:
            InvalidMessage: the body or a header is invalid.
            TransientItemError: the item should be retried; the attempt is counted.
            Postponed: the item has to wait; that costs no attempt.
        """
        address = await self._address(delivery)
        if address is None:
            return  # A late message of a run that has ended is harmless.
        # Copies that one worker holds take turns: the next one sees what the last one did.
        while address in self._in_hand:
            done = self._in_hand[address] = self._in_hand[address] or asyncio.Event()
            await done.wait()
        self._in_hand[address] = None
        try:
            await self._handle_item(address)
        finally:
            if waited_for := self._in_hand.pop(address):
                waited_for.set()

    async def _address(self, delivery: Delivery) -> Address | None:
        """Return the item of a message; None if it belongs to no run."""
        body = parse_body(UrlBody, delivery.body)
        headers = Headers.decode(delivery.headers)
        if headers.run_id is not None and headers.item_key is not None:
            return headers.run_id, headers.item_key
        row = Row(body.url, body.metadata)
        adopted = await self._registry.accept_external(body.brand, new_item(row), delivery)
        return None if adopted is None else (adopted.run_id, adopted.key)

    async def _handle_item(self, address: Address) -> None:
        item = await self._look_up(address)
        if item is None:
            return  # The run is unknown or has ended: a late message is harmless.
        if item.state is not ItemState.PENDING:
            await self._registry.finish(item.run_id)
            return
        if item.due_in_s > EARLY_S:
            raise NotDue(retry_after_s=item.due_in_s)
        async with self._buffer.working(item.run_id):
            try:
                result = await self._result(item)
            except TransientItemError:
                await self._host_has_answered(item)
                raise
            if result.reason is not Reason.HOST_DOWN:
                await self._host_has_answered(item)
            await self._buffer.settle(item.run_id, result)

    async def _host_has_answered(self, item: Item) -> None:
        if not item.waits_for or item.waits_for.endswith(PAUSED_MARK):
            return
        try:
            await self._end_outage((item.run_id, item.waits_for))
        except Unavailable as error:
            # What was acquired is not lost for that: the next item that waited ends the outage.
            log.info("outage_not_ended", host=item.waits_for, error=str(error))

    async def _result(self, item: Item) -> ItemResult:
        try:
            return ItemResult(item.key, await self._acquired(item))
        except HostBusy as error:
            # It is not paused any more, if it was: the item waits for its turn.
            waits_for = "" if (item.waits_for or "").endswith(PAUSED_MARK) else None
            await self._put_off((item.run_id, PutOff(item.key, error.retry_after_s, waits_for)))
            raise
        except HostPaused as error:
            waits_for = f"{error.host}{PAUSED_MARK}"
            await self._put_off((item.run_id, PutOff(item.key, error.retry_after_s, waits_for)))
            raise
        except HostDown as error:
            return await self._wait_for_host(item, error)
        except PermanentItemError as error:
            return ItemResult(item.key, None, error.reason, error.detail)
        except TransientItemError as error:
            return await self._try_again(item, error)
        except Unavailable:
            raise  # The database, the queue or the store failed: not an attempt of the item.
        except Exception as error:
            log.exception("acquire_defect", run=str(item.run_id), url=shown_url(item.url))
            text = f"{type(error).__name__}: {error}"
            return await self._try_again(item, TransientItemError(Reason.INTERNAL, text))

    async def _acquired(self, item: Item) -> Staged:
        known = await self._known((item.brand, item.key))
        if item.run_kind is not RunKind.REEMBED or known is None:
            return await self._fetched(item, known.staged if known and known.whole else None)
        if known.whole:
            async with self._slots:
                staged = await self._embedded_anew(known.staged, _origin(item))
            if staged is not None:
                return staged
        try:
            return await self._fetched(item, None)
        except PermanentItemError as error:
            raise PermanentItemError(Reason.OBJECT_DAMAGED, _instead(error)) from error
        except TransientItemError as error:
            raise TransientItemError(
                Reason.OBJECT_DAMAGED, _instead(error), retry_after_s=error.retry_after_s
            ) from error

    async def _fetched(self, item: Item, known: Staged | None) -> Staged:
        # First the host's slot, then a download slot: a slow host does not block the others.
        crowded = self._slots.locked
        with await self._fetcher.slot(item.url, source=item.source, crowded=crowded) as slot:
            async with self._slots:
                slot.begin()
                return await self._acquire(item, known, slot)

    async def _wait_for_host(self, item: Item, down: HostDown) -> ItemResult:
        """Put the item off, without an attempt, or fail it when the run's patience is over."""
        outage = await self._note_outage((item.run_id, down.host))
        if outage is not None and outage.over:
            detail = f"{down.host} has not answered for {outage.waited_s:.0f} s ({down.why})"
            return ItemResult(item.key, None, Reason.HOST_DOWN, detail)
        if outage is None and down.tried:
            # The run waits for so many other hosts that this one has an item's attempts only.
            failure = TransientItemError(Reason.CONNECTION_FAILED, str(down))
            return await self._try_again(item, failure)
        delay_s = max(down.retry_after_s, outage.pause_s if outage else 0.0)
        waits_for = down.host if outage else None
        await self._put_off((item.run_id, PutOff(item.key, delay_s, waits_for)))
        raise HostDown(down.host, down.why, retry_after_s=delay_s, tried=down.tried)

    async def _try_again(self, item: Item, error: TransientItemError) -> ItemResult:
        """Count the attempt; raise to retry, or return the failure if it was the last one."""
        plan = plan_retry(error, item.attempts + 1)
        attempt = await self._runs.count_attempt(
            item.run_id,
            item.key,
            seen=item.attempts,
            delay_s=plan.delay_s,
            reason=error.reason,
            detail=error.detail or error.reason.value,
        )
        if attempt is Attempt.STALE:
            # A copy in another worker was quicker. What it did is read when this one comes again.
            now = await self._look_up((item.run_id, item.key))
            raise NotDue(retry_after_s=now.due_in_s if now else 0.0)
        if attempt is Attempt.LAST:
            return ItemResult(item.key, None, error.reason, error.detail)
        raise TransientItemError(error.reason, error.detail, retry_after_s=plan.delay_s)

    @property
    def _model(self) -> str | None:
        return self._embedder.model if self._embedder else None

    async def _embedded_anew(self, known: Staged, origin: Origin) -> Staged | None:
        """Return an asset of the snapshot with an embedding of the current model.

        The stored object is used, nothing is downloaded. Other media are kept unchanged. None if
        the object is missing or damaged: its URL has to be fetched.
        """
        undecoded = self._is_undecoded(known)
        if not undecoded and (known.phash is None or known.model == self._model):
            return known
        try:
            body = await self._store.get(known.object_key)
        except ObjectMissing:
            return None
        decoded = await self._decoded(body, origin)
        if isinstance(decoded, str):
            raise PermanentItemError(Reason.NOT_AN_IMAGE, "it was a picture when it was stored")
        if undecoded:
            known = replace(
                known,
                width=decoded.width,
                height=decoded.height,
                phash=decoded.phash,
                colours=decoded.colours,
            )
        return replace(known, embedding=await self._embedding(decoded), model=self._model)

    def _is_undecoded(self, known: Staged) -> bool:
        """Return whether a picture was stored without decoding and must be decoded now."""
        as_it_is = known.phash is None and known.media_type in DECODED
        return as_it_is and self._limits.decode

    async def _acquire(self, item: Item, known: Staged | None, slot: HostSlot) -> Staged:
        if known is not None and (
            self._is_undecoded(known) or (known.model != self._model and known.phash is not None)
        ):
            known = None  # Its bytes are stored but must be decoded and embedded again.
        # Another resource may have changed before this one, or have the same ETag.
        same = known is not None and known.url is not None and same_resource(known.url, item.url)
        validators = Validators(known.etag, known.last_modified) if known and same else None
        with FETCH_SECONDS.time():
            fetched = await self._fetcher.fetch(
                item.url, validators, brand=item.brand, source=item.source
            )
        slot.release()
        if fetched is None:
            assert known is not None
            self._check_size(known)
            return known
        FETCHED_BYTES.inc(len(fetched.body))
        try:
            return await self._taken_in(fetched, known, _origin(item))
        except PermanentItemError as error:
            if fetched.final_url == item.url:
                raise
            # As at a page that asks to sign in: the URL itself does not show why.
            detail = f"{error.detail}; redirects lead to {shown_url(fetched.final_url)}"
            raise PermanentItemError(error.reason, detail) from error
        finally:
            fetched.share.release()

    async def _taken_in(self, fetched: Fetched, known: Staged | None, origin: Origin) -> Staged:
        """Store, decode and embed the fetched body, unless ``known`` has the same bytes."""
        sha256 = await self._sha256(fetched.body)
        if known is not None and known.sha256 == sha256:
            # The same bytes and the same model: already stored, as `_known_assets` has seen, and
            # embedded.
            self._check_size(known)
            return replace(known, etag=fetched.etag, last_modified=fetched.last_modified)
        decoded = await self._decoded(fetched.body, origin)
        if isinstance(decoded, str):
            put_at = time.monotonic()
            object_key = await self._store.put(fetched.body, sha256, decoded)
            return _staged_as_it_is(fetched, sha256, object_key, decoded, put_at)
        self._check_size(decoded)
        # Objects before rows: the bytes must be stored before the item settles.
        put_at = time.monotonic()
        object_key, embedding = await asyncio.gather(
            self._store.put(fetched.body, sha256, decoded.media_type),
            self._embedding(decoded),
        )
        return _staged(fetched, decoded, sha256, object_key, embedding, self._model, put_at)

    def _check_size(self, picture: Decoded | Staged) -> None:
        """Raise `PermanentItemError` if a picture is smaller than is wanted."""
        width, height, least = picture.width, picture.height, self._limits.min_side
        if width is None or height is None or picture.media_type == SVG:
            return
        if min(width, height) < least:
            raise PermanentItemError(
                Reason.TOO_SMALL, f"{width}×{height}; each side needs {least} pixels"
            )

    async def _sha256(self, body: bytes) -> bytes:
        if len(body) <= HASHED_HERE_BYTES:
            return _sha256(body)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _sha256, body)

    async def _decoded(self, body: bytes, origin: Origin) -> Decoded | str:
        """Return a picture, or the media type of a body that is stored unchanged."""
        if not self._limits.decode:
            return self._kind(body)
        size = self._embedder.input_size if self._embedder else PIXELS_WITHOUT_EMBEDDER
        try:
            return await self._decoders.decode(
                body, origin, size=size, max_pixels=self._limits.max_pixels
            )
        except PermanentItemError as error:
            if error.reason is not Reason.NOT_AN_IMAGE:
                raise
            kind = other_media(body) if self._limits.other_media else None
            if kind is None:
                raise self._not_an_image(body, error.detail) from error
            return kind

    def _kind(self, body: bytes) -> str:
        kind = other_media(body) if self._limits.other_media else None
        if (kind := kind or picture_type(body)) is None:
            raise self._not_an_image(body, describe_content(body))
        return kind

    def _not_an_image(self, body: bytes, detail: str) -> PermanentItemError:
        """Return the failure of a body that is not taken, with the setting that would take it."""
        if not self._limits.other_media and other_media(body) is not None:
            detail = f"{detail}; TRIPTYCH_OTHER_MEDIA=true keeps it as it is"
        return PermanentItemError(Reason.NOT_AN_IMAGE, detail)

    async def _embedding(self, decoded: Decoded) -> npt.NDArray[np.float32] | None:
        return await self._embed(decoded.pixels) if self._embedder else None

    async def _items(self, addresses: Sequence[Address]) -> Sequence[Item | None]:
        found: dict[Address, Item] = {}
        for run_id, wanted in _by_run(addresses).items():
            for item in await self._runs.items(run_id, wanted):
                found[run_id, item.key] = item
        return [found.get(address) for address in addresses]

    async def _put_off_together(self, waiting: Sequence[tuple[UUID, PutOff]]) -> Sequence[None]:
        for run_id, items in _by_run(waiting).items():
            await self._runs.put_off(run_id, items)
        return [None] * len(waiting)

    async def _noted_outages(self, failures: Sequence[tuple[UUID, str]]) -> Sequence[Outage | None]:
        patience_s = self._limits.host_patience_s
        noted = {
            run_id: await self._outages.note(run_id, hosts, patience_s=patience_s)
            for run_id, hosts in _by_run(failures).items()
        }
        return [noted[run_id].get(host) for run_id, host in failures]

    async def _ended_outages(self, answers: Sequence[tuple[UUID, str]]) -> Sequence[None]:
        for run_id, hosts in _by_run(answers).items():
            await self._outages.end(run_id, hosts)
        return [None] * len(answers)

    async def _known_assets(
        self, addresses: Sequence[tuple[str, bytes]]
    ) -> Sequence[_Known | None]:
        keys: dict[str, list[bytes]] = defaultdict(list)
        for brand, key in addresses:
            keys[brand].append(key)
        found: dict[tuple[str, bytes], Staged] = {}
        for brand, wanted in keys.items():
            known = await self._snapshots.known_assets(brand, wanted)
            found.update({(brand, key): staged for key, staged in known.items()})
        # What is known of an asset is of no use without its bytes: they are fetched again.
        present = await self._store.present(
            {staged.object_key: staged.size_bytes for staged in found.values()}
        )
        usable = {a: _Known(s, s.object_key in present) for a, s in found.items()}
        if lost := {k.staged.object_key for k in usable.values() if not k.whole}:
            OBJECTS_DAMAGED.labels("fetched_again").inc(len(lost))
            log.warning("objects_fetched_again", count=len(lost), first=min(lost))
        return [usable.get(address) for address in addresses]

    async def _embeddings(
        self, images: Sequence[npt.NDArray[np.uint8]]
    ) -> Sequence[npt.NDArray[np.float32]]:
        assert self._embedder is not None
        loop = asyncio.get_running_loop()
        batch = np.stack(images)
        with EMBED_SECONDS.time():
            found = await loop.run_in_executor(self._threads, self._embedder.embed, batch)
        EMBEDDED.inc(len(found))
        return list(found)


def _by_run(pairs: Sequence[tuple[UUID, T]]) -> Mapping[UUID, list[T]]:
    values: dict[UUID, list[T]] = defaultdict(list)
    for run_id, value in pairs:
        values[run_id].append(value)
    return values


def _origin(item: Item) -> Origin:
    return Origin(item.brand, str(item.run_id), item.url)


def _instead(error: PermanentItemError | TransientItemError) -> str:
    """Return the detail of a failure to fetch the URL of a damaged object."""
    return (
        f"its stored object is damaged or lost, and its URL: {error.reason.value}, {error.detail}"
    )


def _sha256(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def _staged(
    fetched: Fetched,
    decoded: Decoded,
    sha256: bytes,
    object_key: str,
    embedding: npt.NDArray[np.float32] | None,
    model: str | None,
    put_at: float,
) -> Staged:
    return Staged(
        sha256=sha256,
        object_key=object_key,
        media_type=decoded.media_type,
        size_bytes=len(fetched.body),
        width=decoded.width,
        height=decoded.height,
        phash=decoded.phash,
        colours=decoded.colours,
        embedding=embedding,
        model=model,
        etag=fetched.etag,
        last_modified=fetched.last_modified,
        put_at=put_at,
    )


def _staged_as_it_is(
    fetched: Fetched, sha256: bytes, object_key: str, media_type: str, put_at: float
) -> Staged:
    return Staged(
        sha256=sha256,
        object_key=object_key,
        media_type=media_type,
        size_bytes=len(fetched.body),
        width=None,
        height=None,
        phash=None,
        embedding=None,
        model=None,
        etag=fetched.etag,
        last_modified=fetched.last_modified,
        put_at=put_at,
    )
