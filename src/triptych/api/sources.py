"""Sources: which are installed, and which of them a request may name."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter
from msgspec import Meta
from pydantic import AfterValidator, Field

from triptych.api.http.dependencies import ApiContext, Context
from triptych.api.http.request_models import storable
from triptych.api.http.responses import Json
from triptych.gather.source_registry import source_schemes
from triptych.messages import URL_MAX_CHARS
from triptych.wire import Wire

SOURCE_PATTERN = f"^({'|'.join(map(re.escape, source_schemes()))}):."
"""For the description alone: `check_source` checks, and names schemes and remedy."""
SourceText = Annotated[
    str,
    Field(max_length=URL_MAX_CHARS, json_schema_extra={"pattern": SOURCE_PATTERN}),
    AfterValidator(storable),
]

router = APIRouter(tags=["system"])


class SourceTypeShown(Wire, frozen=True):
    """A kind of source, or a plug-in that would be one if it were not broken."""

    scheme: Annotated[
        str, Meta(description="What a source of the kind begins with, before the colon.")
    ]
    title: Annotated[str, Meta(description="A few words, to pick it by.")]
    description: str
    place: Annotated[str, Meta(description="What stands for the place in a usage line.")]
    example: Annotated[str, Meta(description="A place, as it follows the colon.")]
    problem: Annotated[str | None, Meta(description="Why it cannot be used; null if it can.")]


class Sources(Wire, frozen=True):
    """The installed kinds of sources."""

    items: list[SourceTypeShown]


@router.get("/sources", response_model=Sources, summary="Show the kinds of sources")
async def list_sources(context: Context) -> Json:
    """Those installed on this server, by scheme, with how each is written; then broken plug-ins."""
    items = [
        SourceTypeShown(one.scheme, one.title, one.description, one.place, one.example, None)
        for one in context.sources.types
    ]
    broken = context.sources.broken.items()
    items += [SourceTypeShown(name, name, "", "", "", why) for name, why in broken]
    return Json(Sources(items))


def check_source(context: ApiContext, source: str | None) -> None:
    """Refuse what is no source, and files of the server's unless only its own machine asks.

    Raises:
        BadInput: it is one of these; naming the field, the known schemes and the remedy.
    """
    if source is not None:
        context.sources.check(source, local=context.local)
