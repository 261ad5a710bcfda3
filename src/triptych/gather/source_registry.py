"""The installed sources: listing them, checking a text that names one, opening it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.errors import BadInput, SourceRefused
from triptych.gather.source import Source
from triptych.gather.source_reach import EVERYWHERE, Refusal, SourceReach
from triptych.gather.source_type import SourceContext, SourceType
from triptych.runtime.plug_ins import load_named, plug_in_names
from triptych.settings.source_text import Place, parse_place, split_source

if TYPE_CHECKING:
    from triptych.fetch.transport import TransportPool
    from triptych.gather.source_token import SourceToken
    from triptych.uploads.upload_files import UploadFiles

ENTRY_POINT_GROUP = "triptych.sources"


def source_schemes() -> Sequence[str]:
    """Return the schemes of the installed sources, in order. Imports none of them."""
    return plug_in_names(ENTRY_POINT_GROUP)


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A source that a text names."""

    type: SourceType
    text: str
    """What follows the colon, as its type opens it."""
    place: Place
    anybody: bool
    """Whether its type lets everybody name it: `SourceType.remote`."""


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
        """How sources are written: ``catalog:https://…, feed:URL or manifest:PATH_OR_URL``."""
        *others, last = [one.usage for one in self.types] or ["none: no source is installed"]
        return f"{', '.join(others)} or {last}" if others else last

    def check(self, spec: str, *, field: str = "source") -> NamedSource:
        """Return the source that ``spec`` names; who may name it, `SourceReach` decides.

        Raises:
            BadInput: it names none; with ``field``, the known schemes and the remedy.
        """
        try:
            return self._read(spec)
        except SourceRefused as error:
            raise BadInput(error.message, field=field, remedy=error.remedy) from error

    def refusal(self, spec: str, reach: SourceReach) -> Refusal | None:
        """Return why only the server's own user may name ``spec``; None if others may, too.

        Raises:
            BadInput: see `check`.
        """
        named = self.check(spec)
        if spec == reach.own:
            return None
        return reach.refusal(named.place, anybody=named.anybody)

    def quotes(self, spec: str, reach: SourceReach) -> bool:
        """Return whether errors may quote what ``spec`` names to others than that user.

        Raises:
            BadInput: see `check`.
        """
        named = self.check(spec)
        return reach.quotes(named.place, anybody=named.anybody)

    def open(
        self,
        spec: str,
        *,
        transports: TransportPool,
        token: SourceToken | None,
        page_rows: int,
        reach: SourceReach = EVERYWHERE,
        trusted: bool = False,
        robots: bool = True,
        opt_outs: bool = True,
        uploads: UploadFiles | None = None,
    ) -> Source:
        """Return the source that ``spec`` names. It gets the token only if that is bound to it.

        ``trusted``: this machine's own user named it, so that it may be anywhere. ``robots``,
        ``opt_outs`` and ``uploads`` are those of `SourceContext`.

        Raises:
            SourceRefused: it names none, the text after the scheme is not valid for it, or it is
                beyond ``reach``.
        """
        # Imported here: checking a source needs no HTTP client.
        from triptych.gather.http_reader import HttpReader

        named = self._read(spec)
        quotes = trusted or reach.quotes(named.place, anybody=named.anybody)
        if trusted or spec == reach.own:
            reach = EVERYWHERE
        elif (refusal := reach.refusal(named.place, anybody=named.anybody)) is not None:
            raise SourceRefused(refusal.message, remedy=refusal.remedy)
        context = SourceContext(
            HttpReader(transports, spec),
            token.for_source(spec) if token else None,
            page_rows,
            reach,
            quotes,
            robots,
            opt_outs,
            uploads,
        )
        return named.type.open(named.text, context)

    def _read(self, spec: str) -> NamedSource:
        """Read a source: what everything that names, checks or opens one relies on.

        Raises:
            SourceRefused: it names none, or its place is not valid for it.
        """
        try:
            scheme, text = split_source(spec)
        except ValueError as error:
            raise SourceRefused(str(error), remedy=f"Write {self.usage}.") from error
        known = self._types.get(scheme)
        if known is None:
            message, remedy = self._unknown(scheme)
            raise SourceRefused(message, remedy=remedy)
        try:
            if not text:
                raise ValueError(f"Nothing follows the colon of {scheme}.")
            known.check(text)
            location = known.location(text)
            return NamedSource(known, text, parse_place(location), known.remote(location))
        except ValueError as error:
            remedy = f"Write {known.usage}, as {scheme}:{known.example}."
            raise SourceRefused(str(error), remedy=remedy) from error

    def _unknown(self, scheme: str) -> tuple[str, str]:
        """Return what is wrong with an unusable scheme, and the remedy."""
        remedy = f"Write {self.usage}."
        if scheme in self._broken:
            return f"The source {scheme!r} cannot be used: {self._broken[scheme]}", remedy
        return f"It names no source: the schemes are {', '.join(sorted(self._types))}.", remedy
