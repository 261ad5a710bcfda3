"""Pictures that are probably placeholders: one content under many paths of a brand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from triptych.ai.step import Snapshot
from triptych.ai.steps.duplicates.exact_copies import Contents

PATHS_MIN = 5
PATHS_SHARE_MIN = 0.001
"""Least number of paths that give one content, and least share of the brand's assets. Sites answer
with a grey "no image", and the status of success, where a picture is missing."""
PLACEHOLDERS_MAX = 100
"""The most placeholders in a result, those of most paths first; all are counted."""
URLS_MAX = 100
"""The most URLs of a placeholder in a result; all are counted."""


def describe_placeholders(snapshot: Snapshot, contents: Contents) -> dict[str, Any]:
    """Return the placeholders as the result of the step has them, and their counts."""
    found = find_placeholders(snapshot, contents)
    return {
        "placeholders": found[:PLACEHOLDERS_MAX],
        "probable_placeholders": len(found),
        "placeholder_assets": sum(int(one["assets"]) for one in found),
    }


def find_placeholders(snapshot: Snapshot, contents: Contents) -> Sequence[dict[str, Any]]:
    """Return contents that are probably placeholders: ``{key, paths, assets, urls}`` each.

    URLs that differ in their query only, or in their host, count once: they are one picture of the
    site in several sizes or signatures. Nothing is removed.
    """
    least = max(PATHS_MIN, PATHS_SHARE_MIN * len(snapshot))
    bounds = np.flatnonzero(np.diff(np.sort(contents.of_asset))) + 1
    by_content = np.split(contents.order[np.argsort(contents.of_asset, kind="stable")], bounds)
    found = []
    for rows in by_content:
        if rows.size < least:
            continue
        urls = sorted(snapshot.urls[int(row)] for row in rows)
        paths = len({urlsplit(url).path for url in urls})
        if paths >= least:
            one = {"key": snapshot.key(int(rows[0])), "paths": paths, "assets": int(rows.size)}
            found.append({**one, "urls": urls[:URLS_MAX]})
    return sorted(found, key=lambda one: (-one["paths"], one["key"]))
