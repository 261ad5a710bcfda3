"""Sources: which types are installed, and which sources a request may name."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends
from msgspec import Meta
from pydantic import AfterValidator, Field

from triptych.api.http.auth import operating
from triptych.api.http.dependencies import ApiContext, Context
from triptych.api.http.problems import documented
from triptych.api.http.request_models import BrandText, Given, storable
from triptych.api.http.responses import Json
from triptych.errors import SourceRefused, SourceUnavailable, TooManyRequests
from triptych.gather.source_check import SourceCheck
from triptych.gather.source_registry import source_schemes
from triptych.messages import URL_MAX_CHARS
from triptych.wire import Wire

SOURCE_PATTERN = f"^({'|'.join(map(re.escape, source_schemes()))}):."
"""Only for the description: `check_source` validates, and names the schemes and the remedy."""
SourceText = Annotated[
    str,
    Field(max_length=URL_MAX_CHARS, json_schema_extra={"pattern": SOURCE_PATTERN}),
    AfterValidator(storable),
]

router = APIRouter(tags=["system"])


class SourceTypeShown(Wire, frozen=True):
    """A source type, or a plug-in for one that cannot be loaded."""

    scheme: Annotated[
        str, Meta(description="What sources of this type start with, before the colon.")
    ]
    title: Annotated[str, Meta(description="A short name for people.")]
    description: str
    place: Annotated[str, Meta(description="The placeholder for the place in a usage line.")]
    example: Annotated[str, Meta(description="An example of a place, as written after the colon.")]
    problem: Annotated[
        str | None, Meta(description="Why it cannot be used; null if it can be used.")
    ]


class Sources(Wire, frozen=True):
    """The installed source types."""

    items: list[SourceTypeShown]


@router.get("/sources", response_model=Sources, summary="List the source types")
async def list_sources(context: Context) -> Json:
    """The types installed on this server, by scheme, with their syntax; then broken plug-ins."""
    items = [
        SourceTypeShown(one.scheme, one.title, one.description, one.place, one.example, None)
        for one in context.sources.types
    ]
    broken = context.sources.broken.items()
    items += [SourceTypeShown(name, name, "", "", "", why) for name, why in broken]
    return Json(Sources(items))


class CheckGiven(Given):
    """The source to check."""

    source: Annotated[SourceText, Field(description="`SCHEME:PLACE`, see `GET /sources`.")]
    brand: Annotated[
        BrandText | None,
        Field(description="Only this brand's rows; by default all, where a source can list them."),
    ] = None


@router.post(
    "/sources/check",
    response_model=SourceCheck,
    summary="Check a source without starting a run",
    responses=documented(SourceRefused, TooManyRequests),
    dependencies=[Depends(operating)],
)
async def check_given_source(context: Context, body: CheckGiven) -> Json:
    """Read its beginning: its format, its columns, and which rows would be refused."""
    check_source(context, body.source)
    try:
        return Json(await context.source_checker.check(body.source, body.brand))
    except SourceUnavailable as error:
        # A run would try again for a while; that is what a check has found out.
        raise SourceRefused(error.message, remedy=error.remedy) from error


def check_source(context: ApiContext, source: str | None) -> None:
    """Refuse invalid sources, and the server's files unless only its own machine can reach it.

    Raises:
        BadInput: the source is refused; names the field, the known schemes and the remedy.
    """
    if source is not None:
        context.sources.check(source, local=context.local)
