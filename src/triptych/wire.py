"""What goes over the wire: types that are the only list of their fields, and write themselves.

An answer of the API, a state of live status and what a client returns are the same type: the
server encodes it, the client decodes it, and the API's description is derived from it. The types
stand beside their concern; what they share is here.
"""

from __future__ import annotations

from collections.abc import Iterator
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

if TYPE_CHECKING:
    # Imported when something is described: `triptych --help` imports this module.
    from pydantic import BaseModel, GetCoreSchemaHandler
    from pydantic_core import CoreSchema

T = TypeVar("T")
SUFFIX = "Shown"
DESCRIBED_AS = "described_as"
"""Key of `msgspec.Meta.extra`: the type that the description has where msgspec cannot have it."""


class Wire(msgspec.Struct, frozen=True):
    """A type that goes over the wire. A field's description is its `msgspec.Meta`.

    Decoding passes over fields that it does not know, so that an older client understands a newer
    server. The API's description promises that there are no others.
    """

    COMPONENT: ClassVar[str] = ""
    """Its name in the API's description, where that is not the class' name with `SUFFIX`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic, and so FastAPI, see the model that describes this type."""
        return handler.generate_schema(_model(source))


class Page(Wire, Generic[T], frozen=True):
    """A page of a listing. One may be short, or empty, and still have a `next`."""

    COMPONENT: ClassVar[str] = "Page"

    items: list[T]
    next: Annotated[
        str | None, msgspec.Meta(description="The next page's `cursor`; null on the last page.")
    ]


class Listing(Wire, Generic[T], frozen=True):
    """A whole listing, for clients: what else its answer has is passed over."""

    items: list[T]


def encode(value: object) -> bytes:
    """Return anything made of wire types, dates, UUIDs and JSON values as JSON.

    Dates are written in UTC with a ``Z``; what is no number, such as NaN, becomes null.
    """
    return msgspec.json.encode(value)


def component(kind: type[Wire]) -> str:
    """Return a type's name in the API's description."""
    if kind.COMPONENT:
        return kind.COMPONENT
    return kind.__name__ if kind.__name__.endswith(SUFFIX) else f"{kind.__name__}{SUFFIX}"


def _model(source: Any) -> type[BaseModel]:
    """Return a pydantic model of a wire type's fields, all required: what is encoded has them."""
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
