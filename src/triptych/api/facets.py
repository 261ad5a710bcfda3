"""Facets: how many assets have each value of a property, of one brand or of all."""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Query
from pydantic import Field

from triptych.api.assets import Filters, first_snapshot, matching
from triptych.api.column_filters import COLUMN_MAX_CHARS
from triptych.api.http.auth import HttpReader
from triptych.api.http.dependencies import ApiContext, BrandPath, Context
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.reading import FreshAsked, read_answers, read_headers
from triptych.api.http.request_models import PageAsked
from triptych.api.http.responses import Json
from triptych.errors import (
    BadInput,
    BrandNotFound,
    InvalidCursor,
    RunNotFound,
    SearchUnavailable,
    SnapshotCollected,
)
from triptych.reads.read_stores import ReadStores
from triptych.reads.reads import ANSWER_S
from triptych.snapshots.facets import (
    COLUMN_PREFIX,
    OWN_FILTER,
    FacetsShown,
    FacetsWanted,
    Position,
)

FACETS_MAX = 16
"""Facets of one answer."""
FACETS_S = 10.0
"""Seconds for the database's work on one answer."""
FACETS_ANSWER_S = FACETS_S + ANSWER_S
"""Seconds until the answer is there: after those for its work a database says so itself."""

router = ResourceRouter("facets")


FacetName = Annotated[
    str,
    Field(
        max_length=len(COLUMN_PREFIX) + COLUMN_MAX_CHARS,
        pattern=rf"^({'|'.join(OWN_FILTER)}|{re.escape(COLUMN_PREFIX)}[^\x00]+)$",
    ),
]


class FacetsAsked(FreshAsked, PageAsked, Filters):
    """The facets, the filters and how many values of each."""

    by: Annotated[
        list[FacetName],
        Field(
            default_factory=lambda: list(OWN_FILTER),
            min_length=1,
            max_length=FACETS_MAX,
            description=f"What to count by: {', '.join(OWN_FILTER)}, or `metadata.` and a column's "
            "name. By default all but columns.",
        ),
    ]


class BrandFacetsAsked(FacetsAsked):
    """The same of a snapshot."""

    snapshot: Annotated[
        UUID | None, Field(description="A kept snapshot of the brand; by default the current one.")
    ] = None


@router.get(
    "/brands/{brand}/facets",
    response_model=FacetsShown,
    summary="Count a brand's assets by their properties",
    responses=read_answers(
        BrandNotFound, RunNotFound, InvalidCursor, SnapshotCollected, SearchUnavailable
    ),
)
async def list_facets(
    context: Context, brand: BrandPath, asked: Annotated[BrandFacetsAsked, Query()]
) -> Json:
    """How many assets of the brand's snapshot have each type, tag, colour, size and so on.

    The filters are those of the list of assets. A facet is counted without its own filter, so that
    a choice can be changed. Columns of numbers and dates are counted in buckets.
    """
    listing = f"facets/{brand}"
    position = _position(context.cursors.read(listing, asked), asked)
    after = None if position is None else Position(position[1], position[2])
    wanted = _wanted(asked, after)

    async def work(stores: ReadStores) -> tuple[UUID | None, FacetsShown]:
        if position is None:
            run_id = await first_snapshot(stores, brand, asked.snapshot)
        else:
            run_id = UUID(position[0])
        if run_id is None:
            return None, FacetsShown(None, 0, 0, 0, True, [], [])
        return run_id, await stores.facets.facets(run_id, wanted)

    answer = await context.reads.answer(
        work, brands=frozenset({brand}), fresh=asked.fresh, within_s=FACETS_ANSWER_S
    )
    run_id, found = answer.value
    headers = read_headers(answer, run_id)
    if run_id is None:
        return Json(found, headers=headers)
    return Json(_with_next(context, listing, asked, found, str(run_id)), headers=headers)


@router.get(
    "/facets",
    response_model=FacetsShown,
    summary="Count the assets of all brands by their properties",
    responses=read_answers(InvalidCursor, SearchUnavailable, of_snapshot=False),
)
async def list_facets_anywhere(
    context: Context, identity: HttpReader, asked: Annotated[FacetsAsked, Query()]
) -> Json:
    """The same over the current snapshots of all brands, or of those that a key is limited to."""
    position = _position(context.cursors.read("facets", asked), asked)
    after = None if position is None else Position(position[1], position[2])
    wanted = _wanted(asked, after)

    async def work(stores: ReadStores) -> FacetsShown:
        return await stores.facets.facets_anywhere(wanted, among=identity.brands)

    answer = await context.reads.answer(
        work, brands=identity.brands, fresh=asked.fresh, within_s=FACETS_ANSWER_S
    )
    shown = _with_next(context, "facets", asked, answer.value, "")
    return Json(shown, headers=read_headers(answer))


def _wanted(asked: FacetsAsked, after: Position | None) -> FacetsWanted:
    names = list(dict.fromkeys(asked.by))
    return FacetsWanted(names, matching(asked), asked.limit, FACETS_S, after)


def _position(position: list[Any] | None, asked: FacetsAsked) -> list[Any] | None:
    if position is not None and len(asked.by) != 1:
        raise BadInput("A cursor continues one facet.", field="by", remedy="Ask for that facet.")
    return position


def _with_next(
    context: ApiContext, listing: str, asked: FacetsAsked, found: FacetsShown, run: str
) -> FacetsShown:
    """Return the answer with a cursor for the values that are left, if one facet was asked for."""
    if len(found.facets) != 1:
        return found
    (facet,) = found.facets
    if facet.kind != "values" or not facet.more or not facet.counts:
        return found
    last = facet.counts[-1]
    following = context.cursors.write(listing, asked, [run, last.count, last.value])
    return msgspec.structs.replace(found, facets=[msgspec.structs.replace(facet, next=following)])
