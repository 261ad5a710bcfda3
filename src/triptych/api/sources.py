"""Sources: which are installed, and which of them a request may name."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from triptych.api.http import responses as answers
from triptych.api.http.dependencies import ApiContext, Context

router = APIRouter(tags=["system"])


class SourceTypeShown(BaseModel):
    """A kind of source, or a plug-in that would be one if it were not broken."""

    scheme: str = Field(description="What a source of the kind begins with, before the colon.")
    title: str = Field(description="A few words, to pick it by.")
    description: str
    place: str = Field(description="What stands for the place in a usage line.")
    example: str = Field(description="A place, as it follows the colon.")
    problem: str | None = Field(description="Why it cannot be used; null if it can.")


class SourcesShown(BaseModel):
    """The installed kinds of sources."""

    items: list[SourceTypeShown]


@router.get("/sources", response_model=SourcesShown, summary="Show the kinds of sources")
async def list_sources(context: Context) -> answers.Json:
    """Those installed on this server, by scheme, with how each is written; then broken plug-ins."""
    items = [
        {
            "scheme": one.scheme,
            "title": one.title,
            "description": one.description,
            "place": one.place,
            "example": one.example,
            "problem": None,
        }
        for one in context.sources.types
    ]
    items += [
        {
            "scheme": name,
            "title": name,
            "description": "",
            "place": "",
            "example": "",
            "problem": why,
        }
        for name, why in context.sources.broken.items()
    ]
    return answers.Json({"items": items})


def check_source(context: ApiContext, source: str | None) -> None:
    """Refuse what is no source, and files of the server's unless only its own machine asks.

    Raises:
        BadInput: it is one of these; naming the field, the known schemes and the remedy.
    """
    if source is not None:
        context.sources.check(source, local=context.local)
