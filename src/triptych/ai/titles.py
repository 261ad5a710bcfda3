"""Titles: what an asset's metadata say that it shows, such as a product's name or an alt text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

FIELD_NAMES = """
    title name label headline caption alt alttext product productname producttitle producttype
    productcategory itemname category subcategory type handle
"""
"""Names of metadata fields that hold titles, in lower case and without anything but letters.
Namespaces, such as ``g:`` of merchants' feeds, are ignored."""
FIELDS = frozenset(FIELD_NAMES.split())
TITLE_MAX_CHARS = 200
"""Longer texts are descriptions or pages, and are left out."""
TITLES_MAX = 4
"""The most titles of one asset, in the order of its fields."""
LETTER = re.compile(r"[^\W\d_]")


def titles_of(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the different titles among an asset's metadata, at most `TITLES_MAX`."""
    return tuple(dict.fromkeys(_titles(metadata)))[:TITLES_MAX]


def _titles(metadata: Mapping[str, Any]) -> Iterator[str]:
    for field, value in metadata.items():
        name = "".join(LETTER.findall(field.rpartition(":")[2])).lower()
        if name not in FIELDS or not isinstance(value, str):
            continue
        text = value.strip()
        if len(text) <= TITLE_MAX_CHARS and LETTER.search(text) and "://" not in text:
            yield text
