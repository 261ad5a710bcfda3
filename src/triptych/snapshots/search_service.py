"""Searching by text, by asset and by picture: all three become one vector of one model.

Embeddings of two models are never compared. A text or a picture is compared with what this
process's own embedder made, an asset with what its own model made. The words of a text are also
looked for in tags, file names, the text in pictures, metadata and brands' names;
`triptych.snapshots.search_ranking` makes one list of both.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, TypeVar
from uuid import UUID

import msgspec
import numpy as np
from msgspec import Meta

from triptych.embedders.embedder import Embedder
from triptych.embedders.text_encoder import TextEncoder
from triptych.errors import (
    BadInput,
    BodyTooLarge,
    NotSearchable,
    PermanentItemError,
    SearchUnavailable,
    TooManyRequests,
)
from triptych.media.decoded import Decoded
from triptych.media.shared_decoders import Origin, SharedDecoders
from triptych.runs.brand_store import BrandStore
from triptych.snapshots.asset_shown import AssetShown
from triptych.snapshots.search_ranking import Ranked, fold, rank
from triptych.snapshots.search_store import (
    Hit,
    Hits,
    Nearest,
    SearchStore,
    Vector,
    WordHit,
    Words,
)
from triptych.snapshots.snapshot_store import AssetFilter
from triptych.snapshots.word_match import Field, needles_of, words_of
from triptych.wire import Wire

IMAGES_MAX = 8
"""Query pictures held in memory at a time, including ones being received."""
IMAGES_EACH = 4
"""Of these the most of one identity, so that the others have places."""
IMAGE_RETRY_S = 2.0
"""After which an identity that has all of its places may try again."""
LIMIT_MAX = 500
"""Assets that one search returns at most."""
TEXT_MAX_CHARS = 500
IMAGE_MAX_BYTES = 16 * 1024 * 1024
"""Size of a query picture at most."""
DEADLINE_S = 15.0
"""For one search, including the wait for a slot."""
WORDS_DEADLINE_S = 5.0
"""For the search for words: without an index, it reads every asset it may find."""
WORD_HITS_MAX = 500
"""Assets with words of the text that are ranked."""
FOLD_READ = 3
READ_MAX = 1_000
"""Assets read for each hit, and at most: some are copies of others."""
BRANDS_NAMED = 10
"""Brands with the text in their name that are listed."""
WAITING_MAX = 64
"""Searches running or waiting; more are refused."""
REEMBED = "Embed the brand again (`triptych reembed BRAND`)."

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Where:
    """Where to search, with which filter, and the limit."""

    brand: str | None = None
    """None: in the current snapshots of all brands."""
    limit: int = 20
    matching: AssetFilter = field(default_factory=AssetFilter)
    fold: bool = True
    """Whether copies of one picture are one hit."""

    @property
    def read(self) -> int:
        """How many assets are read so that enough are left when copies are folded."""
        return min(FOLD_READ * self.limit, READ_MAX) if self.fold else self.limit


class Match(Wire, frozen=True):
    """An asset that was found, and how near it is."""

    similarity: Annotated[
        float | None, Meta(description="Cosine, -1 to 1; null: not compared, found by its words.")
    ]
    """Comparable within one search."""
    score: Annotated[
        float | None,
        Meta(description="Of texts: about how likely it shows what the text says, 0 to 1."),
    ]
    asset: AssetShown
    found_in: Annotated[
        list[Field], Meta(description="Where words of the text were found; empty: by content.")
    ]
    copies: Annotated[
        int, Meta(description="Assets found that are this picture: equal files, edited copies.")
    ]
    also_in: Annotated[list[str], Meta(description="Other brands of these copies.")]


class Matches(Wire, frozen=True):
    """What was found, the best first."""

    COMPONENT: ClassVar[str] = "FoundShown"

    rows: list[Match] = msgspec.field(name="items")
    model: Annotated[
        str | None, Meta(description="Whose embeddings were compared; null: only words were.")
    ]
    exact: Annotated[bool, Meta(description="False: of the nearest some may be missing.")]
    unindexed: Annotated[
        int, Meta(description="Brands that the search has not wholly come to yet.")
    ]
    """0 in one brand."""
    matching: Annotated[
        int,
        Meta(description="How many of the items match. 0: they are only the nearest there are."),
    ]
    brands: Annotated[
        list[str], Meta(description="Brands with the text in their name, that of this name first.")
    ]
    problems: Annotated[list[str], Meta(description="What could not be searched, and why.")]


@dataclass(frozen=True, slots=True)
class Models:
    """The models of this process, loaded when first needed. Called from threads."""

    embedder: Callable[[], Embedder | None]
    text: Callable[[], TextEncoder | None]


@dataclass(frozen=True, slots=True, eq=False)
class _Content:
    """What was found by the vector of a text."""

    hits: Hits
    unindexed: int
    encoder: TextEncoder | None
    """None: the content could not be searched."""
    vector: Vector | None

    @property
    def model(self) -> str | None:
        return None if self.encoder is None else self.encoder.image_model

    def scores(self, hits: Sequence[Hit] | Sequence[WordHit]) -> list[float | None]:
        """Return the calibrated scores of hits; None where nothing was compared."""
        if self.encoder is None:
            return [None] * len(hits)
        cosines = np.array([-1.0 if h.similarity is None else h.similarity for h in hits])
        scores = self.encoder.calibrate(cosines.astype(np.float32)).tolist()
        return [
            None if cosine is None else score
            for cosine, score in zip((hit.similarity for hit in hits), scores, strict=True)
        ]


class SearchService:
    """Searches. For one event loop; the slots limit concurrent work with models.

    Query pictures wait for a slot when they are decoded, so none keeps a text waiting for that.
    ``decoders`` are for them alone, shared out by identity.
    """

    def __init__(
        self,
        brands: BrandStore,
        search: SearchStore,
        models: Models,
        decoders: SharedDecoders,
        threads: Executor,
        *,
        at_once: int,
        max_pixels: int,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._brands = brands
        self._search = search
        self._models = models
        self._decoders = decoders
        # A pool of its own: loading a model must not keep other work waiting.
        self._threads = threads
        self._max_pixels = max_pixels
        self._deadline_s = deadline_s
        self._slots = asyncio.Semaphore(at_once)
        self._waiting = 0
        self._images: Counter[str] = Counter()
        self._embedding = threading.Lock()

    async def by_text(self, text: str, where: Where) -> Matches:
        """Return the assets that show what a text says.

        Raises:
            BadInput: the text is empty, or too long.
            NotSearchable: there is no text encoder, or there are no embeddings of its model.
            BrandNotFound, SearchUnavailable: no such brand; too busy or too slow.
        """
        if not 0 < len(text.strip()) <= TEXT_MAX_CHARS:
            raise BadInput(
                f"It has {len(text)} characters; 1 to {TEXT_MAX_CHARS} are allowed.",
                field="text",
            )

        words = words_of(text)
        problems: list[str] = []
        async with self._turn():
            run_id = None if where.brand is None else await self._snapshot(where.brand)
            lacking: NotSearchable | None = None
            content = _Content(Hits([], exact=True), 0, None, None)
            try:
                content = await self._by_content(text, where)
            except NotSearchable as error:
                lacking = error
            try:
                named = await self._with_words(words, run_id, content, where)
            except SearchUnavailable as error:
                named = []
                problems.append(f"Tags, names, text and metadata: {error.message}")
            brands = [] if where.brand is not None else await self._brands_named(text.strip())
        if lacking is not None:
            if not named and not brands:
                raise lacking
            problems.append(f"Content: {lacking.message}")
        kept = _kept(
            rank(
                words,
                zip(content.hits.rows, content.scores(content.hits.rows), strict=True),
                zip(named, content.scores(named), strict=True),
            ),
            where,
        )
        return Matches(
            [_match(row) for row in kept],
            content.model,
            content.hits.exact,
            content.unindexed,
            sum(row.matches for row in kept),
            brands,
            problems,
        )

    async def _by_content(self, text: str, where: Where) -> _Content:
        """Return the assets that show what a text says.

        Raises:
            NotSearchable: there is no text encoder, or there are no embeddings of its model.
        """

        def encode() -> tuple[TextEncoder, Vector]:
            encoder = self._models.text()
            if encoder is None:
                raise NotSearchable(
                    "This server has no text encoder.",
                    remedy="Set TRIPTYCH_EMBEDDER to `bundled`, or to a model whose description "
                    "has a text encoder.",
                )
            return encoder, encoder.encode([text])[0]

        encoder, vector = await self._in_thread(encode)
        checked = _checked(vector, encoder.dimension)
        found, unindexed = await self._nearest(encoder.image_model, checked, where)
        return _Content(found, unindexed, encoder, checked)

    async def _with_words(
        self, words: Sequence[str], run_id: UUID | None, content: _Content, where: Where
    ) -> Sequence[WordHit]:
        """Return assets that may have some of the words.

        Raises:
            SearchUnavailable: it took longer than `WORDS_DEADLINE_S`.
        """
        if not words:
            return []
        wanted = Words(
            [needles_of(word) for word in words],
            content.model,
            content.vector,
            WORD_HITS_MAX,
            min(WORDS_DEADLINE_S, self._deadline_s),
            where.matching,
        )
        return await self._search.with_words(run_id, wanted)

    async def _brands_named(self, text: str) -> list[str]:
        """Return some brands with a text in their name, that of exactly this name first."""
        page = await self._brands.brands_slice(after="", name=text, state=None, limit=BRANDS_NAMED)
        names = [brand.name for brand in page.rows]
        exact = [brand.name for brand in await self._brands.brands_of([text], [])]
        same = sorted(names, key=lambda name: (name.casefold() != text.casefold(), name))
        return list(dict.fromkeys([*exact, *same]))[:BRANDS_NAMED]

    async def by_asset(
        self, brand: str, key: bytes, where: Where, *, run_id: UUID | None = None
    ) -> Matches:
        """Return the assets that look like one, without the asset itself.

        Raises:
            AssetNotFound: there is none of that key; `run_id` names an older snapshot of it.
            NotSearchable: it has no embedding.
            BrandNotFound, SearchUnavailable: no such brand; too busy or too slow.
        """
        async with self._turn():
            known = await self._search.embedding_of(brand, key, run_id=run_id)
            if known is None:
                raise NotSearchable("The asset has no embedding.", remedy=REEMBED)
            model, vector = known
            found, unindexed = await self._nearest(
                model, _checked(vector, vector.size), where, without=(brand, key)
            )
        return _plain(found, model, unindexed, where)

    async def by_image(self, body: bytes, where: Where, *, identity: str) -> Matches:
        """Return the assets that look like a picture, whose bytes are not trusted.

        It is decoded in a child process, when it is the identity's turn, and not stored.

        Raises:
            BodyTooLarge: it has more than `IMAGE_MAX_BYTES`.
            BadInput: it is not a picture that can be decoded.
            NotSearchable: there is no embedder, or there are no embeddings of its model.
            BrandNotFound, SearchUnavailable: no such brand; too busy or too slow.
        """
        if len(body) > IMAGE_MAX_BYTES:
            raise BodyTooLarge(f"A query picture may have at most {IMAGE_MAX_BYTES} bytes.")
        async with self._deadline():
            embedder = await self._in_thread(self._embedder)
            decoded = await self._decoded(body, embedder, identity)
            async with self._slots:
                vector = await self._in_thread(lambda: self._embed(embedder, decoded))
                found, unindexed = await self._nearest(
                    embedder.model, _checked(vector, embedder.dimension), where
                )
        return _plain(found, embedder.model, unindexed, where)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @contextmanager
    def holding(self, identity: str) -> Iterator[None]:
        """Reserve a place for a query picture of an identity until its search is done.

        Raises:
            TooManyRequests: the identity has `IMAGES_EACH` places already.
            SearchUnavailable: `IMAGES_MAX` are taken, by several identities.
        """
        if self._images[identity] >= IMAGES_EACH:
            raise TooManyRequests(
                f"More than {IMAGES_EACH} query pictures at once.",
                remedy="Wait for the answer of one before you send the next.",
                retry_after_s=IMAGE_RETRY_S,
            )
        if self._images.total() >= IMAGES_MAX:
            raise SearchUnavailable("Too many pictures at once.", remedy="Try again in a moment.")
        self._images[identity] += 1
        try:
            yield
        finally:
            self._images[identity] -= 1
            if not self._images[identity]:
                del self._images[identity]

    def _embedder(self) -> Embedder:
        embedder = self._models.embedder()
        if embedder is None:
            raise NotSearchable(
                "This server has no embedder.", remedy="Set TRIPTYCH_EMBEDDER to `bundled`."
            )
        return embedder

    async def _decoded(self, body: bytes, embedder: Embedder, identity: str) -> Decoded:
        try:
            return await self._decoders.decode(
                body, Origin(identity), size=embedder.input_size, max_pixels=self._max_pixels
            )
        except PermanentItemError as error:
            raise BadInput(
                f"It cannot be decoded ({error}).",
                field="image",
                remedy="Send the bytes of a JPEG, PNG, WebP, AVIF, GIF, HEIC or SVG.",
            ) from error

    def _embed(self, embedder: Embedder, decoded: Decoded) -> Vector:
        with self._embedding:
            vector: Vector = embedder.embed(decoded.pixels[None])[0]
            return vector

    async def _nearest(
        self,
        model: str,
        vector: Vector,
        where: Where,
        *,
        without: tuple[str, bytes] | None = None,
    ) -> tuple[Hits, int]:
        if not 1 <= where.limit <= LIMIT_MAX:
            raise BadInput(f"It must be from 1 to {LIMIT_MAX}.", field="limit")
        wanted = Nearest(model, vector, where.read, self._deadline_s, where.matching, without)
        if where.brand is None:
            found = await self._search.nearest_anywhere(wanted)
            if not found.rows:
                _check_model(model, await self._search.models(), "Everything")
            return found, await self._search.unindexed_brands()
        run_id = await self._snapshot(where.brand)
        if without is not None and without[0] != where.brand:
            wanted = Nearest(model, vector, where.read, self._deadline_s, where.matching)
        found = await self._search.nearest_in(run_id, wanted)
        if not found.rows:
            models = await self._search.models_of(run_id)
            _check_model(model, models, f"Brand {where.brand!r}")
        return found, 0

    async def _snapshot(self, brand: str) -> UUID:
        run_id = await self._brands.snapshot_of(brand)
        if run_id is None:
            raise NotSearchable(
                f"Brand {brand!r} has no snapshot yet.", remedy="Wait for its run to commit."
            )
        return run_id

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a slot, and cancel the work in it at the deadline.

        Raises:
            SearchUnavailable: too many are waiting, or the deadline has passed.
        """
        if self._waiting >= WAITING_MAX:
            raise SearchUnavailable("Too many searches at once.", remedy="Try again in a moment.")
        self._waiting += 1
        try:
            async with self._deadline(), self._slots:
                yield
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        """Cancel the work in it at the deadline.

        Raises:
            SearchUnavailable: the deadline has passed.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                yield
        except TimeoutError as error:
            raise SearchUnavailable(
                f"The search took longer than {self._deadline_s:g} s.",
                remedy="Try again in a moment: the model may still be loading.",
            ) from error


def _plain(found: Hits, model: str, unindexed: int, where: Where) -> Matches:
    """Return what looks like an asset or a picture: all of it matches."""
    rows = [Ranked(hit.asset, hit.similarity, None, group=hit.group) for hit in found.rows]
    kept = _kept(rows, where)
    rows_shown = [_match(row) for row in kept]
    return Matches(rows_shown, model, found.exact, unindexed, len(kept), [], [])


def _kept(rows: Sequence[Ranked], where: Where) -> list[Ranked]:
    return list(fold(rows) if where.fold else rows)[: where.limit]


def _match(row: Ranked) -> Match:
    asset = AssetShown.of(row.asset)
    fields, others = list(row.fields), list(row.also_in)
    return Match(row.similarity, row.score, asset, fields, row.copies, others)


def _checked(vector: Vector, dimension: int) -> Vector:
    """Return a vector at length 1.

    Raises:
        BadInput: it has another dimension, numbers that are not finite, or length 0.
    """
    if vector.shape != (dimension,) or not np.isfinite(vector).all():
        raise BadInput(
            f"It must have {dimension} finite numbers.", field="vector", remedy="Check the model."
        )
    length = float(np.linalg.norm(vector))
    if length == 0:
        raise BadInput("It has length 0.", field="vector", remedy="Check the model.")
    return np.asarray(vector / length, np.float32)


def _check_model(model: str, there: Sequence[str], who: str) -> None:
    """Explain that nothing was found because there are no embeddings of that model.

    Raises:
        NotSearchable: there are embeddings, but all of other models.
    """
    if there and model not in there:
        raise NotSearchable(
            f"{who} was embedded by {', '.join(there)}, but the query by {model}.", remedy=REEMBED
        )
