"""A brand's map in its compact form: written by the API, read by its clients.

The layout, all numbers little-endian::

    0   "TMAP"
    4   u32         version, 1
    8   u32         n, the number of points
    12  u32         m, the bytes of the clusters' names
    16  16 bytes    the run's UUID
    32  f32 × n     x
        f32 × n     y
        i32 × n     cluster: which of the names, or -1
        16 bytes × n  keys
        m bytes     the clusters' names: a JSON array, UTF-8

An asset's id is the base64url, without padding, of its key and the brand's name in UTF-8.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import orjson

from triptych.model import KEY_BYTES
from triptych.snapshots.search_store import Points

HEADER = struct.Struct("<4sIII16s")
MAGIC = b"TMAP"
VERSION = 1
NUMBER_BYTES = 4
POINTS_MAX = 200_000
"""Points of one map, 6 MB. A larger brand's map has the lowest keys, which are an even sample."""


@dataclass(frozen=True, slots=True, eq=False)
class BrandMap:
    """A map that was read, and the run whose snapshot it shows."""

    run: UUID
    points: Points


def encode_map(run_id: UUID, points: Points | None) -> bytes:
    """Return a map's bytes; None is a map without points."""
    if points is None:
        return HEADER.pack(MAGIC, VERSION, 0, 2, run_id.bytes) + b"[]"
    names = orjson.dumps(points.names)
    head = HEADER.pack(MAGIC, VERSION, len(points.keys), len(names), run_id.bytes)
    columns = (
        np.asarray(points.x, "<f4"),
        np.asarray(points.y, "<f4"),
        np.asarray(points.clusters, "<i4"),
        np.asarray(points.keys, np.uint8),
    )
    return b"".join([head, *(column.tobytes() for column in columns), names])


def decode_map(body: bytes) -> BrandMap:
    """Return the map whose bytes these are.

    Raises:
        ValueError: they are none of this version.
    """
    try:
        magic, version, count, _, run = HEADER.unpack_from(body)
        if (magic, version) != (MAGIC, VERSION):
            raise ValueError(f"neither {MAGIC!r} nor of version {VERSION}")
        x, y, clusters = (
            np.frombuffer(body, kind, count, HEADER.size + NUMBER_BYTES * count * place)
            for place, kind in enumerate(("<f4", "<f4", "<i4"))
        )
        at = HEADER.size + 3 * NUMBER_BYTES * count
        keys = np.frombuffer(body, np.uint8, KEY_BYTES * count, at).reshape(count, KEY_BYTES)
        names = orjson.loads(body[at + KEY_BYTES * count :])
    except struct.error as error:
        raise ValueError("too short") from error
    return BrandMap(UUID(bytes=run), Points(keys, x, y, clusters, names))
