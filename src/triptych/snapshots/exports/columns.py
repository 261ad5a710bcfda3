"""The columns of an export and their types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from triptych.model import MARKS, Asset

MARK_TYPES: Mapping[type, pa.DataType] = {
    str: pa.string(),
    float: pa.float32(),
    list: pa.list_(pa.string()),
}


@dataclass(frozen=True, slots=True)
class Exported:
    """An asset with its marks."""

    asset: Asset
    marks: Mapping[str, Any]


def schema(dimension: int | None) -> pa.Schema:
    """Return a table's columns; the embedding's length is fixed, so readers can memory-map it."""
    embedding = pa.list_(pa.float32(), dimension) if dimension else pa.list_(pa.float32())
    return pa.schema(
        [
            ("key", pa.string()),
            ("url", pa.string()),
            ("sha256", pa.string()),
            ("object_key", pa.string()),
            ("media_type", pa.string()),
            ("size_bytes", pa.int64()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("phash", pa.int64()),
            ("colours", pa.list_(pa.string())),
            ("metadata", pa.string()),
            *((name, MARK_TYPES[kind]) for name, kind in MARKS.items()),
            ("model", pa.string()),
            ("embedding", embedding),
        ]
    )


def described(exported: Exported) -> dict[str, Any]:
    """Return an asset's columns except the embedding, as JSON values."""
    asset = exported.asset
    return {
        "key": asset.key.hex(),
        "url": asset.url,
        "sha256": asset.sha256.hex(),
        "object_key": asset.object_key,
        "media_type": asset.media_type,
        "size_bytes": asset.size_bytes,
        "width": asset.width,
        "height": asset.height,
        "phash": asset.phash,
        "colours": [f"#{colour.rgb:06x}" for colour in asset.colours],
        "metadata": orjson.dumps(asset.metadata).decode(),
        **{name: exported.marks.get(name) for name in MARKS},
        "model": asset.model,
    }


def table(rows: Sequence[Exported], columns: pa.Schema) -> pa.Table:
    """Return assets as a table of these columns.

    An embedding of another length is left out: it is of another model.
    """
    wanted = columns.field("embedding").type
    length = wanted.list_size if pa.types.is_fixed_size_list(wanted) else None
    records = []
    for row in rows:
        vector = row.asset.embedding
        fits = vector is not None and length in (None, len(vector))
        records.append({**described(row), "embedding": vector if fits else None})
    return pa.Table.from_pylist(records, schema=columns)
