"""The step `duplicates`: assets that are one picture, byte for byte or edited.

Candidates are the nearest by embedding and by perceptual hash (`candidates`). Their pixels are
aligned and compared (`registration`), as photographs or, more strictly, as marks and drawings
(`pixel_judge`). Where pixels are missing, both fingerprints must agree.

Found for photographs: other sizes and qualities, crops down to 60 % of each side, frames, grey
copies, other brightness, overlays on up to about a third. Not found: turned and mirrored copies,
collages, crops of marks. How well: ``docs/insights.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.ai.context import StepResult
from triptych.ai.step import Snapshot, Step
from triptych.ai.steps.duplicates.candidates import Candidates, find_candidates
from triptych.ai.steps.duplicates.exact_copies import Contents, Group, contents_of, ranked
from triptych.ai.steps.duplicates.pixel_judge import Judge, agree
from triptych.ai.steps.duplicates.placeholders import describe_placeholders
from triptych.ai.steps.duplicates.union_groups import choose_heads
from triptych.ai.steps.duplicates.views import Views

PAIRS_MAX = 30_000
"""The most candidates compared by pixels, likeliest first; the others need both fingerprints."""
VIEWED_MAX = 20_000
"""The most assets read for it; 10 kB of each are kept."""
GROUPS_MAX = 10_000
"""The most groups in a result, largest first; all are counted."""
MEMBERS_MAX = 1_000
"""The most members of a group in a result, best first; all are counted."""

SOUGHT, LOOKED = 0.3, 0.7
"""Share of the work that is done after each part."""

Indices = npt.NDArray[np.intp]


def find_duplicates(snapshot: Snapshot) -> StepResult:
    """Return the groups of assets that are one picture, and mark each asset with its group.

    Groups are disjoint. Assets with the same bytes are always in one group. Every content of a
    group matches the group's largest copy, or a content that does, so groups do not chain. The
    best copy is one of the largest, without a frame and in colour if possible, the least
    compressed of those (most bytes), then the one with the lowest key. The order of the assets
    does not matter.

    A group's mark (``duplicates``) is the key of its best copy.

    The result::

        groups            largest first: {kind: "exact" | "near", best: key, why, members:
                          [key, …], size, contents}; members best first; contents: how many
                          different bytes; why: the reason for the best copy, in words
        group_count, exact_groups, near_groups
        redundant         assets that are not the best copy of their group
        exact_redundant   assets with the same bytes as a better one
        compared          contents that could be compared for near duplicates
        candidates        pairs of contents that may be one picture
        seen              pairs that were compared by pixels
        viewed            assets read for it
        placeholders      contents under many paths, probably "no image": {key, paths, assets,
                          urls}, most paths first
        probable_placeholders, placeholder_assets
        truncated         true when groups or members were left out because there are too many
    """
    contents = contents_of(snapshot)
    report = snapshot.context.progress
    candidates = find_candidates(
        snapshot.embeddings,
        contents.vector,
        contents.hashes,
        contents.structured,
        lambda done: report(SOUGHT * done),
    )
    views = Views(snapshot)
    likely = _within_reach(candidates)
    views.look(
        (int(row) for row in contents.first[candidates.pairs[:likely]].ravel()),
        lambda done: report(SOUGHT + (LOOKED - SOUGHT) * done),
    )
    judge = Judge(views, snapshot.embeddings, contents)
    # Heads instead of connected components: chains of similar pictures must not merge.
    head_of = choose_heads(
        contents.first.size,
        _worth_judging(candidates, likely),
        judge,
        lambda done: report(LOOKED + (1 - LOOKED) * done),
    )
    groups = _ranked_groups(snapshot, views, contents, head_of)
    result = {
        **_described(snapshot, groups, contents),
        **describe_placeholders(snapshot, contents),
        "compared": int(((contents.vector >= 0) | contents.structured).sum()),
        "candidates": len(candidates.pairs),
        "seen": judge.compared,
        "viewed": len(views),
    }
    return StepResult(result, {"duplicates": _marks(snapshot, groups)})


DUPLICATES = Step("duplicates", 3, find_duplicates)


def _within_reach(candidates: Candidates) -> int:
    """Return how many of the first pairs can be compared by pixels."""
    pairs = candidates.pairs[:PAIRS_MAX]
    _, first = np.unique(pairs.ravel(), return_index=True)
    if first.size <= VIEWED_MAX:
        return len(pairs)
    return int(np.sort(first)[VIEWED_MAX]) // 2


def _worth_judging(candidates: Candidates, likely: int) -> Sequence[tuple[int, int]]:
    """Return the pairs to compare by pixels and those decided by fingerprints, likeliest first."""
    decided = np.flatnonzero(agree(candidates.cosines, candidates.bits))
    at = np.concatenate([np.arange(likely), decided[decided >= likely]])
    return [(int(first), int(second)) for first, second in candidates.pairs[at]]


def _ranked_groups(
    snapshot: Snapshot, views: Views, contents: Contents, head_of: Indices
) -> Sequence[Group]:
    """Return the groups, largest first."""
    groups = [
        ranked(snapshot, views, contents.order[members])
        for members in _groups(head_of[contents.of_asset])
    ]
    return sorted(groups, key=lambda group: (-group.members.size, snapshot.key(group.members[0])))


def _groups(head_of: Indices) -> Iterator[Indices]:
    """Yield the positions of each group of two or more, ascending."""
    by_head = np.argsort(head_of, kind="stable")
    bounds = np.flatnonzero(np.diff(head_of[by_head])) + 1
    for group in np.split(by_head, bounds):
        if group.size > 1:
            yield group


def _described(snapshot: Snapshot, groups: Sequence[Group], contents: Contents) -> dict[str, Any]:
    content_of_asset = np.empty(len(snapshot), np.intp)
    content_of_asset[contents.order] = contents.of_asset
    different = [int(np.unique(content_of_asset[group.members]).size) for group in groups]
    near = sum(count > 1 for count in different)
    return {
        "groups": [
            {
                "kind": "near" if count > 1 else "exact",
                "best": snapshot.key(group.members[0]),
                "why": group.why if count > 1 else "all have the same bytes",
                "members": [snapshot.key(row) for row in group.members[:MEMBERS_MAX]],
                "size": int(group.members.size),
                "contents": count,
            }
            for group, count in zip(groups[:GROUPS_MAX], different[:GROUPS_MAX], strict=True)
        ],
        "group_count": len(groups),
        "exact_groups": len(groups) - near,
        "near_groups": near,
        "redundant": sum(int(group.members.size) - 1 for group in groups),
        "exact_redundant": len(snapshot) - int(contents.first.size),
        "truncated": len(groups) > GROUPS_MAX
        or any(group.members.size > MEMBERS_MAX for group in groups),
    }


def _marks(snapshot: Snapshot, groups: Sequence[Group]) -> list[str | None]:
    marks: list[str | None] = [None] * len(snapshot)
    for group in groups:
        name = snapshot.key(group.members[0])
        for row in group.members:
            marks[row] = name
    return marks
