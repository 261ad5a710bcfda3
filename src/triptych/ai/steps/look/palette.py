"""A brand's palette: the most frequent colours of its pictures, grouped perceptually."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.ai.colour_words import Places, places, words
from triptych.ai.step import Snapshot
from triptych.media.colours import JOINED_BELOW, oklab

PALETTE_MAX = 8
SHARE_MIN = 0.01
BIN_BITS = 5
"""Bits per channel of the colour histogram: at most 32,768 bins for a brand of any size."""
STARTS = 4

Shares = npt.NDArray[np.float64]


def find_palette(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return at most `PALETTE_MAX` colours, largest share first.

    Each picture has the same weight, spread over its dominant colours. They are grouped by weighted
    k-means in OKLab, and near groups are joined. Each group is shown by its most frequent colour,
    since a mean might be a colour that the brand does not have. An entry is
    {colour: "#rrggbb", word, share}; shares are of all colours counted, and add up to less than 1
    where small ones are left out.
    """
    bins, weights = _bins(snapshot)
    if not weights.size:
        return []
    seen = oklab(bins)
    group_of = _groups(seen, weights)
    total = weights.sum()
    found = []
    for group in np.unique(group_of):
        members = np.flatnonzero(group_of == group)
        share = float(weights[members].sum() / total)
        shown = bins[members[weights[members].argmax()]]
        if share >= SHARE_MIN:
            found.append((share, "#" + "".join(f"{round(float(c)):02x}" for c in shown)))
    found.sort(key=lambda entry: (-entry[0], entry[1]))
    names = words(places([int(colour[1:], 16) for _, colour in found]))
    return [
        {"colour": colour, "word": word, "share": round(share, 3)}
        for (share, colour), word in zip(found, names, strict=True)
    ]


def distance(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> float:
    """Return how far one palette is from another, in OKLab: 0 for the same, 1 for black and white.

    This is the earth mover's distance (Rubner, Tomasi and Guibas, 2000) of the colours' shares.
    """
    from scipy.optimize import linprog

    sides = []
    for palette in (before, now):
        shares = np.array([float(entry["share"]) for entry in palette])
        where = places([int(str(entry["colour"])[1:], 16) for entry in palette])
        sides.append((where, shares / shares.sum()))
    (first, have), (second, want) = sides
    away = np.linalg.norm(first[:, None] - second[None, :], axis=2)
    # A transport problem: each entry of the flattened plan moves one colour's share to another.
    leaving = np.kron(np.eye(have.size), np.ones(want.size))
    coming = np.kron(np.ones(have.size), np.eye(want.size))
    # Drop one redundant equation: a rounding error would make the system infeasible.
    answer = linprog(
        away.ravel(),
        A_eq=np.concatenate([leaving, coming])[:-1],
        b_eq=np.concatenate([have, want])[:-1],
    )
    return float(answer.fun)


def _bins(snapshot: Snapshot) -> tuple[npt.NDArray[np.float64], Shares]:
    """Return the mean colour of each non-empty bin, (n, 3) of 0..255, and its weight."""
    flat = [(colour.rgb, colour.share) for each in snapshot.colours for colour in each]
    if not flat:
        return np.empty((0, 3)), np.empty(0)
    packed = np.array([rgb for rgb, _ in flat], np.intp)
    weights = np.array([share for _, share in flat], np.float64)
    channels = np.stack([packed >> 16, (packed >> 8) & 255, packed & 255], axis=1)
    coarse = channels >> (8 - BIN_BITS)
    index = coarse @ np.array([1 << 2 * BIN_BITS, 1 << BIN_BITS, 1])
    totals = np.bincount(index, weights).astype(np.float64)
    full = np.flatnonzero(totals)
    sums = [np.bincount(index, weights * channels[:, channel])[full] for channel in range(3)]
    return np.stack(sums, axis=1) / totals[full, None], totals[full]


def _groups(seen: Places, weights: Shares) -> npt.NDArray[np.intp]:
    """Return the group of each colour."""
    from sklearn.cluster import KMeans  # Slow import: one second.

    count = min(PALETTE_MAX, len(np.unique(seen, axis=0)))
    model = KMeans(count, n_init=STARTS, random_state=0).fit(seen, sample_weight=weights)
    group_of = np.asarray(model.labels_, np.intp)
    totals = np.bincount(group_of, weights, count)
    # K-means may split one colour: merge each group into a larger one that is close.
    joined = np.arange(count)
    kept: list[int] = []
    for group in np.argsort(-totals, kind="stable").tolist():
        centre = model.cluster_centers_[group]
        near = [
            k for k in kept if np.linalg.norm(model.cluster_centers_[k] - centre) < JOINED_BELOW
        ]
        joined[group] = near[0] if near else group
        if not near:
            kept.append(group)
    return joined[group_of]
