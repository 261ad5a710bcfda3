"""Which sources a request may name."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from triptych.api.http.request_models import storable
from triptych.errors import BadInput
from triptych.messages import URL_MAX_CHARS
from triptych.settings.addresses import check_source as check_scheme

SourceText = Annotated[
    str,
    Field(max_length=URL_MAX_CHARS, pattern=r"^(catalog|manifest):."),
    AfterValidator(storable),
]
REMOTE = ("http://", "https://", "s3://")


def check_source(source: str | None, *, local: bool) -> None:
    """Refuse what is no source, and files of the server's unless only its own machine asks.

    Raises:
        BadInput: it is one of these.
    """
    if source is None:
        return
    try:
        check_scheme(source)
    except ValueError as error:
        raise BadInput(f"It {error}.", field="source") from error
    place = source.partition(":")[2]
    if not local and not place.lower().startswith(REMOTE):
        raise BadInput(
            "It names a file of the server's.",
            field="source",
            remedy="Name a URL; files can be named where the server listens on loopback only.",
        )
