"""Comparing brands: two side by side, and one with all others."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path

from triptych.api.http.dependencies import BrandPath, Context
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.responses import Json
from triptych.errors import BrandNotFound, NotSearchable, SearchUnavailable
from triptych.messages import BRAND_MAX_CHARS, check_brand
from triptych.snapshots.brand_relations import NearBrands
from triptych.snapshots.comparison import Comparison, compare

router = ResourceRouter("brands")


async def _other(
    other: Annotated[
        str,
        Path(
            min_length=1,
            max_length=BRAND_MAX_CHARS,
            description="The other brand's name.",
            examples=["adidas"],
        ),
    ],
) -> str:
    return check_brand(other)


@router.get(
    "/brands/{brand}/compare/{other}",
    response_model=Comparison,
    summary="Compare two brands",
    responses=documented(BrandNotFound, NotSearchable, SearchUnavailable),
)
async def compare_brands(
    context: Context, brand: BrandPath, other: Annotated[str, Depends(_other)]
) -> Json:
    """How close the centres of the current snapshots are, and which assets both contain.

    The same numbers as in `nearest`, whichever brand is named first.
    """
    stores = context.stores
    return Json(await compare(context.relations, stores.brands, stores.snapshots, brand, other))


@router.get(
    "/brands/{brand}/nearest",
    response_model=NearBrands,
    summary="List the brands most similar to one",
    responses=documented(BrandNotFound),
)
async def nearest_brands(context: Context, brand: BrandPath) -> Json:
    """The most similar brands with what they share, by the snapshots that are current now."""
    return Json(await context.relations.nearest(brand))
