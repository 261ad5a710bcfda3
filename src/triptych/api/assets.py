"""Assets: a page of a brand's assets, and one asset."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, Field, ValidationError

from triptych.api.column_filters import METADATA_MAX_CHARS, column_filters, metadata_text
from triptych.api.http.dependencies import BrandPath, Context
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.reading import FreshAsked, read_answers, read_headers
from triptych.api.http.request_models import (
    TEXT_MAX_CHARS,
    Asked,
    PageAsked,
    ShortText,
    storable,
)
from triptych.api.http.responses import Json
from triptych.api.snapshots import snapshot_run
from triptych.errors import (
    AssetNotFound,
    BrandNotFound,
    InvalidCursor,
    RunNotFound,
    SnapshotCollected,
)
from triptych.features.file_feature import FILE, facts_of
from triptych.features.picture_people import PEOPLE, PicturePeople
from triptych.features.picture_text import TEXT, PictureText
from triptych.messages import check_brand
from triptych.model import Asset, Metadata, Slice
from triptych.reads.read_stores import ReadStores
from triptych.snapshots.asset_classes import ColourName, Shape, Size
from triptych.snapshots.asset_ids import read_asset_id
from triptych.snapshots.asset_shown import AssetShown, AssetWhole
from triptych.snapshots.snapshot_store import AssetFilter, NearColour
from triptych.wire import Page

COLOUR_DISTANCE_MAX = 765
MARK_MAX_CHARS = 200
A = TypeVar("A", bound=Asked)

router = ResourceRouter("assets")

MarkText = Annotated[str, Field(min_length=1, max_length=MARK_MAX_CHARS), AfterValidator(storable)]


class Filters(Asked):
    """Filters on assets. An asset must match every filter that is set."""

    media_type: Annotated[
        str | None,
        Field(
            max_length=TEXT_MAX_CHARS,
            pattern=r"^[a-z]+/(\*|[a-z0-9.+-]+)$",
            description="A media type or a family of them: `image/png`, `image/*`.",
        ),
    ] = None
    text: Annotated[
        ShortText | None,
        Field(
            description="Text in the URL or the metadata, ignoring case.",
        ),
    ] = None
    colour: Annotated[
        str | None,
        Field(pattern=r"^[0-9A-Fa-f]{6}$", description="A colour near one of its own: `rrggbb`."),
    ] = None
    within: Annotated[
        float,
        Field(
            ge=0,
            le=COLOUR_DISTANCE_MAX,
            description="Largest distance from `colour`: 0 is equal, 765 is black to white.",
        ),
    ] = 80.0
    colour_name: Annotated[
        ColourName | None,
        Field(description="A colour that covers at least a tenth of it."),
    ] = None
    shape: Annotated[
        Shape | None,
        Field(
            description="Its sides: `panorama` and `tall` are twice as long one way as the other."
        ),
    ] = None
    size: Annotated[
        Size | None,
        Field(description="Its longer side: below 256, 640, 1280, 2560 pixels, or longer."),
    ] = None
    first_seen: Annotated[
        str | None,
        Field(
            pattern=r"^\d{4}(-\d{2}(-\d{2})?)?$",
            description="When the brand's snapshot first had it, in UTC: a year, month or day.",
        ),
    ] = None
    metadata: Annotated[
        str | None,
        Field(
            max_length=METADATA_MAX_CHARS,
            description="Values of metadata columns, as a JSON object. A column has a value, a list"
            ' of which it has one, numbers as `{"from": 10, "below": 20}`, or dates as'
            ' `{"day": "2026-11"}`.',
            examples=['{"color": ["red", "blue"], "price": {"from": 10, "below": 20}}'],
        ),
        AfterValidator(metadata_text),
    ] = None
    tag: Annotated[MarkText | None, Field(description="One of its tags.")] = None
    cluster: Annotated[MarkText | None, Field(description="Its cluster.")] = None
    duplicates: Annotated[MarkText | None, Field(description="Its group of duplicates.")] = None
    duplicated: Annotated[
        bool | None, Field(description="Whether it is in any group of duplicates.")
    ] = None
    look: Annotated[MarkText | None, Field(description="The kind of image it is.")] = None
    outlier: Annotated[
        float | None,
        Field(ge=0, le=1, description="Smallest distance from the brand's usual look, 0 to 1."),
    ] = None


class AssetsAsked(FreshAsked, PageAsked, Filters):
    """The snapshot, the filters and the page of a listing of assets."""

    snapshot: Annotated[
        UUID | None, Field(description="A kept snapshot of the brand; by default the current one.")
    ] = None


class AssetAsked(Asked):
    """The snapshot that an asset is read from."""

    run: UUID | None = None


class WholeAssetAsked(FreshAsked, AssetAsked):
    """The same, for the asset itself."""


async def _asset_id(
    asset: Annotated[
        str,
        Path(
            min_length=1,
            description="The asset's `id`.",
            examples=["rLGuTAMIu2TJzmqFkJyUd25pa2U"],
        ),
    ],
) -> tuple[str, bytes]:
    return read_asset_id(asset)


AssetPath = Annotated[tuple[str, bytes], Depends(_asset_id)]


@router.get(
    "/brands/{brand}/assets",
    response_model=Page[AssetShown],
    summary="List a brand's assets",
    responses=read_answers(BrandNotFound, RunNotFound, InvalidCursor, SnapshotCollected),
)
async def list_assets(
    context: Context, brand: BrandPath, asked: Annotated[AssetsAsked, Query()]
) -> Json:
    """The assets of the brand's current snapshot, or of an older `snapshot`, filtered.

    All pages of one listing come from the snapshot of its first page, even if a run commits
    meanwhile. Tags, clusters and other marks are those of that snapshot's own AI phase; it has none
    if a newer commit came before that phase was done.
    """
    listing = f"assets/{brand}"
    position = context.cursors.read(listing, asked)
    wanted = matching(asked)

    async def work(stores: ReadStores) -> tuple[UUID | None, Slice[Asset, bytes]]:
        if position is None:
            run_id, after = await first_snapshot(stores, brand, asked.snapshot), b""
        else:
            run_id, after = UUID(position[0]), bytes.fromhex(position[1])
        if run_id is None:
            return None, Slice([], None)
        return run_id, await stores.snapshots.assets_slice(
            run_id, wanted, after=after, limit=asked.limit
        )

    answer = await context.reads.answer(work, brands=frozenset({brand}), fresh=asked.fresh)
    run_id, found = answer.value
    following: list[Any] | None = None
    if found.next is not None:
        following = [str(run_id), found.next.hex()]
    items = [AssetShown.of(asset) for asset in found.rows]
    page = Page(items, context.cursors.write(listing, asked, following))
    return Json(page, headers=read_headers(answer, run_id))


async def first_snapshot(stores: ReadStores, brand: str, asked: UUID | None) -> UUID | None:
    """Return the run of the snapshot that a listing begins on; None if there is none yet."""
    if asked is None:
        return await stores.brands.snapshot_of(brand)
    return (await snapshot_run(stores.runs, brand, asked)).id


def matching(asked: Filters) -> AssetFilter:
    """Return the filter that a request asks for. Add new filters here."""
    near = NearColour(int(asked.colour, 16), asked.within) if asked.colour else None
    return AssetFilter(
        media_type=asked.media_type,
        text=asked.text,
        colour=near,
        colour_name=asked.colour_name,
        shape=asked.shape,
        size=asked.size,
        first_seen=asked.first_seen,
        columns=column_filters(asked.metadata) if asked.metadata is not None else (),
        tag=asked.tag,
        cluster=asked.cluster,
        duplicates=asked.duplicates,
        duplicated=asked.duplicated,
        look=asked.look,
        outlier=asked.outlier,
    )


@router.get(
    "/assets/{asset}",
    response_model=AssetWhole,
    summary="Show an asset",
    responses=read_answers(AssetNotFound, SnapshotCollected),
)
async def get_asset(
    context: Context, asset: AssetPath, asked: Annotated[WholeAssetAsked, Query()]
) -> Json:
    """One asset, its marks, text, people and origin, from the current snapshot or a `run`'s."""
    brand, key = asset

    async def work(stores: ReadStores) -> tuple[Asset, Metadata]:
        return await stores.snapshots.asset_and_marks(brand, key, run_id=asked.run)

    answer = await context.reads.answer(work, brands=frozenset({brand}), fresh=asked.fresh)
    found, marks = answer.value
    # By content, and so the same in every snapshot and whichever database answers.
    kept = context.stores.features
    texts, shown, files = await asyncio.gather(
        *(kept.read(kind, [found.sha256]) for kind in (TEXT, PEOPLE, FILE))
    )
    text = PictureText.of(texts.get(found.sha256))
    people = PicturePeople.of(shown.get(found.sha256))
    facts = facts_of(files.get(found.sha256))
    origin = None if facts is None else facts.origin
    whole = AssetWhole.of(found, marks=marks, text=text, people=people, origin=origin)
    return Json(whole, headers=read_headers(answer, found.run_id))


async def _read_assets(request: Request) -> Response:
    brand = check_brand(request.path_params["brand"])
    return await list_assets(request.app.state.context, brand, _asked(request, AssetsAsked))


async def _read_asset(request: Request) -> Response:
    asset = read_asset_id(request.path_params["asset"])
    return await get_asset(request.app.state.context, asset, _asked(request, WholeAssetAsked))


def _asked(request: Request, kind: type[A]) -> A:
    """Read a query as FastAPI does; if a parameter is repeated, its last value counts."""
    try:
        return kind.model_validate(dict(request.query_params))
    except ValidationError as error:
        wrong = [{**each, "loc": ("query", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(wrong) from error


PLAIN_READS: Mapping[str, Callable[[Request], Awaitable[Response]]] = MappingProxyType(
    {"/brands/{brand}/assets": _read_assets, "/assets/{asset}": _read_asset}
)
"""The two most frequent reads, as plain Starlette handlers by path.

FastAPI only describes them: its parameter handling would add a quarter to a page's CPU time
(ADR 14). Both handlers give the same answers.
"""
