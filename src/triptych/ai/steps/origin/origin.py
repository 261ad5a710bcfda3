"""The step `origin`: what a brand's files say of their rights and their origin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from triptych.ai.step import Snapshot, Step
from triptych.features.file_feature import FILE, facts_of

VERSION = 1
NAMES_MAX = 20
"""The most frequent creators and copyright notices that are shown, and the types of source."""
DISTINCT_MAX = 20_000
"""Names that are counted; those that are rare so far are dropped when there are more."""
LISTED_MAX = 50
"""Assets listed that name a place, and that are generated."""
GENERATED = frozenset(
    {"trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicMedia"}
)
"""IPTC digital source types of pictures that a program has made, in whole or in part."""


def find_origin(snapshot: Snapshot) -> Mapping[str, Any]:
    """Count what files say; nothing of it is verified.

    The result::

        on               false where this installation does not read files; nothing else then
        read             pictures whose files were read
        unreadable       those that cannot be
        not_read_yet     those that a later phase reads
        silent           pictures that name no copyright, creator, credit or licence
        copyright, creator, credit, licence, content_credentials: pictures that have each
        broken           pictures of which a part of the metadata is broken or too large
        place            {count, keys}: pictures that say where they were taken
        generated        {count, keys}: pictures that say that a program has made them
        source_types, creators, copyrights   [{name, pictures}, …], the most frequent first
        problem          why reading ended early, if it did
    """
    features = snapshot.context.features
    outcome = features.outcome(FILE.name)
    if outcome is None:
        return {"on": False}
    counts: Counter[str] = Counter()
    names: dict[str, Counter[str]] = {name: Counter() for name in _NAMED}
    place: list[int] = []
    generated: list[int] = []
    for row, feature in features.read(FILE.name):
        facts = facts_of(feature)
        if facts is None:
            counts["unreadable"] += 1
            continue
        origin = facts.origin
        counts["read"] += 1
        counts["silent"] += not origin.says_rights
        counts["content_credentials"] += origin.has_content_credentials
        counts["broken"] += bool(origin.unreadable)
        for field in ("copyright", "creator", "credit", "licence"):
            counts[field] += getattr(origin, field) is not None
        for name, field in _NAMED.items():
            _count(names, name, getattr(origin, field))
        if origin.has_place:
            place.append(row)
        if origin.source_type in GENERATED:
            generated.append(row)
    result: dict[str, Any] = {
        "on": True,
        **{name: counts[name] for name in _COUNTED},
        "not_read_yet": len(snapshot) - counts["read"] - counts["unreadable"],
        "place": _listed(snapshot, place),
        "generated": _listed(snapshot, generated),
        **{name: _most(counted) for name, counted in names.items()},
    }
    if outcome.error is not None:
        result["problem"] = outcome.error
    return result


_COUNTED = (
    *("read", "unreadable", "silent", "copyright", "creator", "credit", "licence"),
    *("content_credentials", "broken"),
)
_NAMED = {"source_types": "source_type", "creators": "creator", "copyrights": "copyright"}


def _count(names: dict[str, Counter[str]], name: str, value: str | None) -> None:
    if value is not None:
        names[name][value] += 1
        if len(names[name]) > DISTINCT_MAX:
            names[name] = Counter(dict(names[name].most_common(DISTINCT_MAX // 2)))


def _most(counted: Counter[str]) -> list[dict[str, Any]]:
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return [{"name": name, "pictures": count} for name, count in ranked[:NAMES_MAX]]


def _listed(snapshot: Snapshot, rows: list[int]) -> dict[str, Any]:
    return {"count": len(rows), "keys": sorted(map(snapshot.key, rows))[:LISTED_MAX]}


ORIGIN = Step("origin", VERSION, find_origin)
