"""Names of clusters: ids that are stable from run to run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from triptych.ai.points import Indices
from triptych.ai.step import Snapshot

KEPT_SHARE = 1 / 3
"""Share of the smaller cluster's assets, among those in both snapshots, that must be in both
clusters for the new one to take the old one's name."""
NAME_CHARS = 12


def name_clusters(snapshot: Snapshot, families: Sequence[Indices]) -> tuple[list[str], int]:
    """Return a unique name for each cluster, and how many names were kept.

    New and previous clusters are matched one to one, those that share the most assets first. When
    a cluster splits, the larger part keeps the name; when two merge, the name of the larger one is
    kept. A new cluster is named by the key of the asset nearest its centre.
    """
    names: list[str | None] = [None] * len(families)
    before = _before(snapshot)
    overlaps: list[tuple[int, int, str]] = []
    now_sizes: list[int] = []
    for number, family in enumerate(families):
        known = [name for name in (before[asset] for asset in family.tolist()) if name is not None]
        overlaps += [(count, number, name) for name, count in Counter(known).items() if name]
        now_sizes.append(len(known))
    then_sizes = Counter(name for name in before if name)
    taken: set[str] = set()
    # Greedy matching, largest overlap first; number and name break ties the same way each run.
    for shared, number, name in sorted(overlaps, key=lambda one: (-one[0], one[1], one[2])):
        smaller = min(now_sizes[number], then_sizes[name])
        if names[number] is None and name not in taken and shared >= KEPT_SHARE * smaller:
            names[number] = name
            taken.add(name)
    kept = len(taken)
    # A previous name is never reused for another cluster: users may remember it.
    taken |= set(then_sizes)
    for number, family in enumerate(families):
        if names[number] is None:
            name = _new(snapshot.key(int(family[0])), taken)
            names[number] = name
            taken.add(name)
    return [str(name) for name in names], kept


def _new(key: str, taken: set[str]) -> str:
    """Return the shortest prefix of a key that is not a name yet."""
    heads = (key[:length] for length in range(NAME_CHARS, len(key) + 1))
    numbered = (f"{key}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (*heads, *numbered) if name not in taken)


def _before(snapshot: Snapshot) -> list[str | None]:
    """Return each asset's cluster in the previous snapshot: empty for noise, None if it is new."""
    earlier = snapshot.context.earlier
    if earlier is None or "clusters" not in earlier.results:
        return [None] * len(snapshot)
    column = earlier.marks.get("cluster", ())
    rows = earlier.rows_of(snapshot.keys)
    return [None if row < 0 else (column[row] or "") for row in np.asarray(rows).tolist()]
