"""The installed sources: listing them, checking a text that names one, opening it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from triptych.errors import BadInput, SourceRefused
from triptych.gather.source import Source
from triptych.gather.source_type import SourceContext, SourceType
from triptych.runtime.plug_ins import load_named, plug_in_names

if TYPE_CHECKING:
    from triptych.fetch.transport import TransportPool
    from triptych.gather.source_token import SourceToken

ENTRY_POINT_GROUP = "triptych.sources"


def source_schemes() -> Sequence[str]:
    """Return the schemes of the installed sources, in order. Imports none of them."""
    return plug_in_names(ENTRY_POINT_GROUP)


class SourceRegistry:
    """The types of sources, by scheme.

    A plug-in that is broken is kept with the reason: it is listed, it is refused with that reason,
    and it does not affect the others.
    """

    def __init__(
        self, types: Iterable[SourceType], broken: Mapping[str, str] | None = None
    ) -> None:
        self._types = {one.scheme: one for one in types}
        self._broken = dict(broken or {})

    @classmethod
    def discover(cls) -> SourceRegistry:
        """Return the installed sources: the entry points of the group ``triptych.sources``.

        Never raises for a plug-in; see `load_named` for what makes one broken.
        """
        types, broken = load_named(ENTRY_POINT_GROUP, SourceType, lambda one: one.scheme)
        return cls(types.values(), broken)

    @property
    def types(self) -> Sequence[SourceType]:
        """The types that can be used, by scheme."""
        return [self._types[scheme] for scheme in sorted(self._types)]

    @property
    def broken(self) -> Mapping[str, str]:
        """Why each of the other plug-ins cannot be used, by the names of their entry points."""
        return self._broken

    @property
    def usage(self) -> str:
        """How sources are written: ``catalog:https://… or manifest:PATH_OR_URL``."""
        return " or ".join(one.usage for one in self.types) or "none: no source is installed"

    def check(self, spec: str, *, local: bool, field: str = "source") -> None:
        """Check that ``spec`` names a source; unless ``local``, one that remote callers may name.

        Raises:
            BadInput: it does not; naming ``field``, the known schemes and the remedy.
        """
        scheme, _, place = spec.partition(":")
        known = self._types.get(scheme)
        if known is None:
            message, remedy = self._unknown(scheme)
            raise BadInput(message, field=field, remedy=remedy)
        try:
            _check_place(known, place)
        except ValueError as error:
            raise BadInput(str(error), field=field, remedy=_remedy(known)) from error
        if not local and not known.remote(place):
            raise BadInput(
                "It names a file of the server, which only callers on the same machine may do.",
                field=field,
                remedy="Name a URL. Files can be named if the server listens on loopback only.",
            )

    def open(
        self,
        spec: str,
        *,
        transports: TransportPool,
        token: SourceToken | None,
        page_rows: int,
    ) -> Source:
        """Return the source that ``spec`` names. It gets the token only if that is bound to it.

        Raises:
            SourceRefused: it names none, or the text after the scheme is not valid for it.
        """
        # Imported here: checking a source needs no HTTP client.
        from triptych.gather.http_reader import HttpReader

        scheme, _, place = spec.partition(":")
        known = self._types.get(scheme)
        if known is None:
            message, remedy = self._unknown(scheme)
            raise SourceRefused(message, remedy=remedy)
        try:
            _check_place(known, place)
        except ValueError as error:
            raise SourceRefused(str(error), remedy=_remedy(known)) from error
        own = token.for_source(spec) if token else None
        return known.open(place, SourceContext(HttpReader(transports, spec), own, page_rows))

    def _unknown(self, scheme: str) -> tuple[str, str]:
        """Return what is wrong with an unusable scheme, and the remedy."""
        remedy = f"Write {self.usage}."
        if scheme in self._broken:
            return f"The source {scheme!r} cannot be used: {self._broken[scheme]}", remedy
        return f"It names no source: the schemes are {', '.join(sorted(self._types))}.", remedy


def _check_place(known: SourceType, place: str) -> None:
    if not place:
        raise ValueError(f"Nothing follows the colon of {known.scheme}.")
    known.check(place)


def _remedy(known: SourceType) -> str:
    return f"Write {known.usage}, as {known.scheme}:{known.example}."
