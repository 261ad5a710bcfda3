"""An asset of an edition as a document of MongoDB, and back.

The document is for queries, and for teams' own pipelines. What BSON cannot hold as it is (keys with
a full stop, or beginning with ``$``; whole numbers beyond 64 bits; deep nesting; fields of
megabytes) is changed in the document only. The field ``changed`` names the fields that it is in,
and their exact JSON text is kept beside them, from which answers are made.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import bson
from bson.binary import Binary
from bson.raw_bson import RawBSONDocument

from triptych.model import KEY_BYTES, MARKS, Asset, Colour, Metadata
from triptych.reads.edition import Edition, EditionAsset
from triptych.snapshots.asset_classes import (
    colour_names,
    day_in,
    metadata_values,
    number_in,
    shape_of,
    size_of,
)

Document: TypeAlias = dict[str, Any]

NESTED_MAX = 90
"""Levels of arrays and objects in a document's field. MongoDB allows 100 in a document."""
FIELD_MAX_BYTES = 1024 * 1024
"""JSON of a field; a larger one is empty in the document."""
DOCUMENT_MAX_BYTES = 16 * 1024 * 1024
"""BSON of a document: the limit of MongoDB and of DocumentDB."""
PART_BYTES = 4 * 1024 * 1024
"""What is larger is cut into documents of a collection of its own, of at most so many bytes."""
KEYS = 2 ** (8 * KEY_BYTES)
"""Keys that there are. Those of assets are evenly spread among them."""
INT64 = range(-(2**63), 2**63)

OTHER_MARKS = "more"
"""The field of marks that are not in `MARKS`."""
LISTED_WITHOUT = ("searched", "columns")
"""Fields that only queries use."""

_ID = struct.Struct(">16sQ16s")
_IN_KEYS = str.maketrans({".": "．", "\x00": "␀"})


@dataclass(frozen=True, slots=True)
class AssetDocuments:
    """What is written for one asset."""

    document: RawBSONDocument
    parts: Sequence[Document]
    """Of its exact JSON text, if that is too large for the document."""
    size_bytes: int


def asset_document_id(edition: Edition, key: bytes) -> Binary:
    """Return the id of an asset's document: the same each time that it is written."""
    return Binary(_ID.pack(edition.run.bytes, edition.ai, key))


def asset_documents(brand: str, edition: Edition, given: EditionAsset) -> AssetDocuments:
    """Return what is written for an asset.

    Raises:
        ValueError: its document would be larger than `DOCUMENT_MAX_BYTES`.
    """
    asset = given.asset
    others = {name: mark for name, mark in given.marks.items() if name not in MARKS}
    whole = {"metadata": asset.metadata, "also": list(asset.also), OTHER_MARKS: others}
    fitted: Document = {}
    changed: dict[str, Any] = {}
    for name, value in whole.items():
        fit = _Fit()
        fitted[name] = _sized(value, fit)
        if fit.changed:
            changed[name] = value
    document: Document = {
        "_id": asset_document_id(edition, asset.key),
        "edition": edition.name,
        "run": str(asset.run_id),
        "brand": brand,
        "key": asset.key.hex(),
        **_picture(asset),
        "metadata": fitted["metadata"],
        "also": fitted["also"],
        **{name: given.marks[name] for name in MARKS if name in given.marks},
        "duplicated": "duplicates" in given.marks,
        OTHER_MARKS: fitted[OTHER_MARKS],
        **_classes(asset),
        "searched": list(given.searched),
        "columns": _columns(asset.metadata),
    }
    if given.first_seen is not None:
        document["first_seen"] = given.first_seen
    parts: list[Document] = []
    if changed:
        document["changed"] = list(changed)
        text = zlib.compress(json.dumps(changed, separators=(",", ":")).encode())
        if len(text) <= PART_BYTES:
            document["exact"] = Binary(text)
        else:
            parts = part_documents(edition, f"asset/{asset.key.hex()}", text)
            document["exact_parts"] = len(parts)
    encoded = bson.encode(document)
    if len(encoded) > DOCUMENT_MAX_BYTES:
        raise ValueError(
            f"The asset {asset.key.hex()} of {brand!r} has {len(encoded)} bytes as a document; "
            f"{DOCUMENT_MAX_BYTES} are allowed."
        )
    return AssetDocuments(RawBSONDocument(encoded), parts, len(encoded))


def _picture(asset: Asset) -> Document:
    return {
        "url": asset.url,
        "sha256": asset.sha256.hex(),
        "object_key": asset.object_key,
        "media_type": asset.media_type,
        "size_bytes": asset.size_bytes,
        "width": asset.width,
        "height": asset.height,
        "phash": asset.phash,
        "model": asset.model,
        "colours": [_colour(each) for each in asset.colours],
    }


def _colour(colour: Colour) -> Document:
    red, green, blue = colour.rgb.to_bytes(3, "big")
    return {
        "hex": f"#{colour.rgb:06x}",
        "r": red,
        "g": green,
        "b": blue,
        "share": colour.share,
    }


def _classes(asset: Asset) -> Document:
    found: Document = {"colour_names": colour_names(asset.colours)}
    shape, size = shape_of(asset.width, asset.height), size_of(asset.width, asset.height)
    if shape is not None:
        found |= {"shape": shape, "size": size}
    return found


def _columns(metadata: Metadata) -> list[Document]:
    """Return the values by which metadata are counted and filtered.

    By column, so that a long name is there once, however many values it has.
    """
    return [
        {"c": _text(name), "values": [_value(text) for text in metadata_values(entry)]}
        for name, entry in metadata.items()
    ]


def _value(text: str) -> Document:
    value: Document = {"v": _text(text)}
    if (number := number_in(text)) is not None:
        value["n"] = number
    if (day := day_in(text)) is not None:
        value["d"] = day
    return value


@dataclass(slots=True)
class _Fit:
    changed: bool = False


def _sized(value: Any, fit: _Fit) -> Any:
    """Return a field in a form that BSON has; empty if it is larger than `FIELD_MAX_BYTES`."""
    if len(json.dumps(value, separators=(",", ":"), ensure_ascii=False)) > FIELD_MAX_BYTES:
        fit.changed = True
        return type(value)()
    return _fitted(value, fit, NESTED_MAX)


def _fitted(value: Any, fit: _Fit, levels: int) -> Any:
    if isinstance(value, Mapping | list | tuple) and not levels:
        fit.changed = True
        return json.dumps(value, separators=(",", ":"))
    if isinstance(value, Mapping):
        found: Document = {}
        for name, each in value.items():
            key = _key(name, found)
            fit.changed = fit.changed or key != name
            found[key] = _fitted(each, fit, levels - 1)
        return found
    if isinstance(value, list | tuple):
        return [_fitted(each, fit, levels - 1) for each in value]
    if isinstance(value, int) and value not in INT64:
        fit.changed = True
        return str(value) if abs(value) >> 1000 else float(value)
    if isinstance(value, str):
        text = _text(value)
        fit.changed = fit.changed or text != value
        return text
    return value


def _key(name: str, taken: Mapping[str, Any]) -> str:
    key = _text(name).translate(_IN_KEYS) or "_"
    if key.startswith("$"):
        key = f"＄{key[1:]}"
    while key in taken:
        key += "_"
    return key


def _text(text: str) -> str:
    """Return a text without lone surrogates, which UTF-8 does not have."""
    return text.encode("utf-8", "replace").decode()


def part_documents(edition: Edition, what: str, body: bytes) -> list[Document]:
    """Return bytes that belong to an edition, cut into documents."""
    return [
        {
            "_id": part_id(edition.name, what, number),
            "edition": edition.name,
            "data": Binary(body[start : start + PART_BYTES]),
        }
        for number, start in enumerate(range(0, len(body), PART_BYTES))
    ]


def part_count(body: bytes) -> int:
    """Return in how many documents `part_documents` cuts these bytes."""
    return -(-len(body) // PART_BYTES)


def part_id(edition: str, what: str, number: int) -> str:
    """Return the id of a document of `part_documents`."""
    return f"{edition}/{what}/{number}"


def asset_parts(document: Mapping[str, Any]) -> list[str]:
    """Return the ids of the documents that have the rest of an asset's exact text."""
    what = f"asset/{document['key']}"
    return [
        part_id(document["edition"], what, number)
        for number in range(document.get("exact_parts", 0))
    ]


def read_exact(text: bytes | None) -> Document:
    """Return the fields whose exact JSON text was kept."""
    if text is None:
        return {}
    found: Document = json.loads(zlib.decompress(text))
    return found


def read_asset(document: Mapping[str, Any], exact: Mapping[str, Any]) -> Asset:
    """Return the asset of a document; ``exact`` is what `read_exact` read of it."""
    return Asset(
        run_id=UUID(document["run"]),
        key=bytes.fromhex(document["key"]),
        brand=document["brand"],
        url=document["url"],
        sha256=bytes.fromhex(document["sha256"]),
        object_key=document["object_key"],
        media_type=document["media_type"],
        size_bytes=document["size_bytes"],
        width=document["width"],
        height=document["height"],
        phash=document["phash"],
        colours=tuple(
            Colour(int(each["hex"][1:], 16), each["share"]) for each in document["colours"]
        ),
        metadata=exact.get("metadata", document["metadata"]),
        also=exact.get("also", document["also"]) or (),
        model=document["model"],
        embedding=None,
    )


def read_marks(document: Mapping[str, Any], exact: Mapping[str, Any]) -> Metadata:
    """Return the marks of a document, by name."""
    others: Document = exact.get(OTHER_MARKS, document[OTHER_MARKS])
    return {**others, **{name: document[name] for name in MARKS if name in document}}
