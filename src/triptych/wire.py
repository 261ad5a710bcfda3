"""The base of wire types: each lists its fields once and defines its own encoding.

A response of the API, a state of live status and a client's result are the same type: the server
encodes it, the client decodes it, and the API's description is derived from it. Each type is
defined with its concern; this module has what they share.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Generic,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from triptych.shown_url import encoded_without_credentials

if TYPE_CHECKING:
    # Imported only to describe types: `triptych --help` imports this module and must be quick.
    from pydantic import BaseModel, GetCoreSchemaHandler
    from pydantic_core import CoreSchema

T = TypeVar("T")
SUFFIX = "Shown"
DESCRIBED_AS = "described_as"
"""Key of `msgspec.Meta.extra`: the type to describe where msgspec cannot express it."""


class Wire(msgspec.Struct, frozen=True):
    """A type that is sent over the wire. A field's description is in its `msgspec.Meta`.

    Decoding ignores unknown fields, so that an older client understands a newer server. The API's
    description promises that there are no other fields.
    """

    COMPONENT: ClassVar[str] = ""
    """Its name in the API's description, if that is not the class name with `SUFFIX`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Give pydantic, and so FastAPI, the model that describes this type."""
        return handler.generate_schema(_model(source))


class Page(Wire, Generic[T], frozen=True):
    """A page of a listing. A page may be short or empty and still have a `next`."""

    COMPONENT: ClassVar[str] = "Page"

    items: list[T]
    next: Annotated[
        str | None, msgspec.Meta(description="The next page's `cursor`; null on the last page.")
    ]


class Listing(Wire, Generic[T], frozen=True):
    """A whole listing, for clients: other fields of the response are ignored."""

    items: list[T]


def encode(value: object) -> bytes:
    """Return anything made of wire types, dates, UUIDs and JSON values as JSON.

    Dates are written in UTC with a ``Z``; NaN and infinities become null. Credentials in URLs are
    hidden wherever they are, so that no answer or frame that is added later can tell one.
    """
    return encoded_without_credentials(msgspec.json.encode(value))


def component(kind: type[Wire]) -> str:
    """Return a type's name in the API's description."""
    if kind.COMPONENT:
        return kind.COMPONENT
    return kind.__name__ if kind.__name__.endswith(SUFFIX) else f"{kind.__name__}{SUFFIX}"


@cache
def _model(source: Any) -> type[BaseModel]:
    """Return a pydantic model of a wire type's fields, all required: encoding writes them all."""
    from pydantic import ConfigDict, Field, create_model

    kind: type[Wire] = get_origin(source) or source
    given = dict(zip(getattr(kind, "__parameters__", ()), get_args(source), strict=False))
    title = component(kind)
    if given:
        title = f"{title}[{','.join(component(each) for each in given.values())}]"
    fields: dict[str, Any] = {
        name: (hint, Field(description=description))
        for name, hint, description in _fields(kind, given)
    }
    return create_model(
        title, __config__=ConfigDict(extra="forbid"), __doc__=kind.__doc__, **fields
    )


def _fields(kind: type[Wire], given: dict[Any, Any]) -> Iterator[tuple[str, Any, str | None]]:
    """Yield each field's name in JSON, type and description."""
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        hint, description = hints[field.name], None
        if get_origin(hint) is Annotated:
            hint, *meta = get_args(hint)
            for each in meta:
                if isinstance(each, msgspec.Meta):
                    description = each.description
                    hint = (each.extra or {}).get(DESCRIBED_AS, hint)
        if parameters := getattr(hint, "__parameters__", ()):
            hint = hint[tuple(given[each] for each in parameters)]
        yield field.encode_name, given.get(hint, hint), description
