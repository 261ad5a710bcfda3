"""Alt texts: what an asset's metadata say of the picture to people who do not see it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

FIELDS = frozenset({"alt", "alttext", "imagealt", "imagealttext"})
"""Names of metadata fields that hold alt texts, in lower case and without anything but letters.
Namespaces are ignored."""
TEXT_MAX_CHARS = 300
"""Of a text that is compared; the rest of a longer one is left out."""
LETTER = re.compile(r"[^\W\d_]")


def alt_text_of(metadata: Mapping[str, Any]) -> str | None:
    """Return an asset's alt text; empty if its field is, None if it has no such field."""
    found: str | None = None
    for field, value in metadata.items():
        name = "".join(LETTER.findall(field.rpartition(":")[2])).lower()
        if name in FIELDS and (value is None or isinstance(value, str)):
            found = found or " ".join((value or "")[:TEXT_MAX_CHARS].split())
    return found
