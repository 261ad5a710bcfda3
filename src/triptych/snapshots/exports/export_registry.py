"""The export formats that are installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from triptych.errors import BadInput
from triptych.runtime.plug_ins import load_named, plug_in_names
from triptych.snapshots.exports.export_format import ExportFormat

ENTRY_POINT_GROUP = "triptych.exports"


def export_formats() -> Sequence[str]:
    """Return the names of the installed formats, in order. Imports none of them."""
    return plug_in_names(ENTRY_POINT_GROUP)


class ExportRegistry:
    """The export formats, by name.

    A plug-in that is broken is kept with the reason: it is listed, it is refused with that reason,
    and it does not affect the others.
    """

    def __init__(
        self, formats: Iterable[ExportFormat], broken: Mapping[str, str] | None = None
    ) -> None:
        self._formats = {one.name: one for one in formats}
        self._broken = dict(broken or {})

    @classmethod
    def discover(cls) -> ExportRegistry:
        """Return the installed formats: the entry points of the group ``triptych.exports``.

        Never raises for a plug-in; see `load_named` for what makes one broken.
        """
        formats, broken = load_named(ENTRY_POINT_GROUP, ExportFormat, lambda one: one.name)
        return cls(formats.values(), broken)

    @property
    def formats(self) -> Sequence[ExportFormat]:
        """The formats that can be used, by name."""
        return [self._formats[name] for name in sorted(self._formats)]

    @property
    def broken(self) -> Mapping[str, str]:
        """Why each of the other plug-ins cannot be used, by the names of their entry points."""
        return self._broken

    def find(self, name: str, *, field: str = "format") -> ExportFormat:
        """Return the format of that name.

        Raises:
            BadInput: it does not exist or is broken; names ``field`` and the formats that exist.
        """
        found = self._formats.get(name)
        if found is None:
            message = f"There is no format {name!r}."
            if name in self._broken:
                message = f"The format {name!r} cannot be used: {self._broken[name]}"
            names = ", ".join(sorted(self._formats))
            raise BadInput(message, field=field, remedy=f"Name one of: {names}.")
        return found
