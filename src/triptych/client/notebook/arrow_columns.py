"""Assets as an Arrow table: what their JSON has, a column each, and the metadata by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from triptych.snapshots.asset_shown import AssetShown
from triptych.snapshots.exports.metadata_columns import (
    FURTHER,
    WHOLE,
    MetadataSurvey,
    json_text,
)

COLUMNS: Mapping[str, pa.DataType] = {
    "id": pa.string(),
    "brand": pa.string(),
    "run": pa.string(),
    "url": pa.string(),
    "media_type": pa.string(),
    "size_bytes": pa.int64(),
    "width": pa.int32(),
    "height": pa.int32(),
    "sha256": pa.string(),
    "phash": pa.string(),
    "colours": pa.list_(pa.string()),
    "model": pa.string(),
    WHOLE: pa.string(),
    FURTHER: pa.string(),
}
MORE: Mapping[str, pa.DataType] = {
    "similarity": pa.float64(),
    "score": pa.float64(),
    "copies": pa.int64(),
}
"""Of what a search says of each asset."""


def arrow_table(assets: Sequence[AssetShown], more: Sequence[Mapping[str, Any]] = ()) -> pa.Table:
    """Return assets as a table, in their order.

    Args:
        assets: a row each.
        more: further values of each row, of the names in `MORE`; or nothing.
    """
    survey = MetadataSurvey()
    for asset in assets:
        survey.add(asset.metadata)
    further = {name: MORE[name] for name in (more[0] if more else ())}
    found = survey.columns([*COLUMNS, *further])
    rows = [
        {**_row(asset), **found.typed_cells(asset.metadata), **(more[number] if more else {})}
        for number, asset in enumerate(assets)
    ]
    columns = {**COLUMNS, **further, **found.types}
    return pa.Table.from_pylist(rows, schema=pa.schema(list(columns.items())))


def _row(asset: AssetShown) -> dict[str, Any]:
    return {
        "id": asset.id,
        "brand": asset.brand,
        "run": str(asset.run_id),
        "url": asset.url,
        "media_type": asset.media_type,
        "size_bytes": asset.size_bytes,
        "width": asset.width,
        "height": asset.height,
        "sha256": asset.sha256,
        "phash": asset.phash,
        "colours": [f"#{colour.hex}" for colour in asset.colours],
        "model": asset.model,
        WHOLE: json_text(asset.metadata),
        FURTHER: json_text(asset.also) if asset.also else None,
    }
