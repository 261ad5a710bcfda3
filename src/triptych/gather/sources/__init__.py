"""Sources: where a brand's URLs come from."""

from __future__ import annotations

from triptych.errors import SourceRefused
from triptych.fetch.transport import TransportPool
from triptych.gather.source import Source
from triptych.gather.sources.catalog import CatalogSource
from triptych.gather.sources.http import HttpReader
from triptych.gather.sources.manifest import ManifestSource

CATALOG = "catalog:"
MANIFEST = "manifest:"


def open_source(
    spec: str, *, transports: TransportPool, token: str | None, page_rows: int
) -> Source:
    """Return the source that ``spec`` names: ``catalog:https://…`` or ``manifest:PLACE``.

    Raises:
        SourceRefused: it names neither.
    """
    if spec.startswith(CATALOG):
        return CatalogSource(spec.removeprefix(CATALOG), HttpReader(transports, spec), token=token)
    if spec.startswith(MANIFEST):
        place = spec.removeprefix(MANIFEST)
        return ManifestSource(place, HttpReader(transports, spec), page_rows=page_rows)
    raise SourceRefused(
        f"{spec!r} names no source.",
        remedy="Write catalog:https://… or manifest:PATH_OR_URL.",
    )
