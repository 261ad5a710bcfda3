"""The step `alt_text`: pictures whose alt text is missing, the same for many, or a file name.

It speaks only of brands whose source has alt texts at all: `triptych.ai.alt_texts` says in which
fields of the metadata.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from triptych.ai.step import Snapshot, Step

VERSION = 1
SAME_MIN = 3
"""Different pictures that share one alt text, from which it says too little of each."""
LISTED_MAX = 50
"""Assets listed of each fault; all are counted."""
TEXTS_MAX = 20
"""Shared texts that are shown, the most frequent first."""
FILE_NAME = re.compile(
    r"[^\s]+\.(jpe?g|png|gif|webp|avif|svg|tiff?|heic)|(img|dsc|dscf|image|screenshot)[-_ ]?\d+",
    re.IGNORECASE,
)
"""A name with a picture's extension, or one that a camera gives."""


def audit(snapshot: Snapshot) -> Mapping[str, Any]:
    """Count alt texts and their faults.

    The result::

        on          false where no asset has a field for an alt text; nothing else then
        with_text   assets with an alt text
        missing     {count, keys}: assets whose field is empty or not there
        same        {count, keys}: those whose text is that of `SAME_MIN` different pictures or more
        file_name   {count, keys}: those whose text is a file's name
        shared      [{text, pictures}, …]: the shared texts, the most frequent first
    """
    if all(text is None for text in snapshot.alt_texts):
        return {"on": False}
    rows_of: dict[str, list[int]] = defaultdict(list)
    missing: list[int] = []
    names: list[int] = []
    for row, text in enumerate(snapshot.alt_texts):
        if not text:
            missing.append(row)
            continue
        rows_of[text.casefold()].append(row)
        if is_file_name(text, snapshot.urls[row]):
            names.append(row)
    shared = {
        text: rows
        for text, rows in rows_of.items()
        if len({snapshot.sha256[row].tobytes() for row in rows}) >= SAME_MIN
    }
    ranked = sorted(shared.items(), key=lambda item: (-len(item[1]), item[0]))
    return {
        "on": True,
        "with_text": len(snapshot) - len(missing),
        "missing": _listed(snapshot, missing),
        "same": _listed(snapshot, [row for rows in shared.values() for row in rows]),
        "file_name": _listed(snapshot, names),
        "shared": [
            {"text": snapshot.alt_texts[rows[0]], "pictures": len(rows)}
            for _, rows in ranked[:TEXTS_MAX]
        ],
    }


def is_file_name(text: str, url: str) -> bool:
    """Return whether an alt text is the name of a file, its own or one as cameras give."""
    try:
        own = PurePosixPath(unquote(urlsplit(url).path))
    except ValueError:
        own = PurePosixPath()
    # A stem of words, such as "red shoe", is a fair text; one with - or _ between them is not.
    stem = own.stem if not own.stem.isalpha() else own.name
    return FILE_NAME.fullmatch(text) is not None or text in (own.name, stem)


def _listed(snapshot: Snapshot, rows: list[int]) -> dict[str, Any]:
    return {"count": len(rows), "keys": sorted(map(snapshot.key, rows))[:LISTED_MAX]}


ALT_TEXT = Step("alt_text", VERSION, audit)
