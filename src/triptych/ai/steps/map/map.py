"""The step `map`: a place for each picture, so that like lies near like, and stays where it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.ai.context import StepResult
from triptych.ai.nearest import Nearest
from triptych.ai.neighbours import Neighbourhood
from triptych.ai.points import Floats, Points, find_components, find_points, reduced
from triptych.ai.step import Snapshot, Step
from triptych.ai.steps.map.layout import Plane, lay_out, settle

NEIGHBOURS = 30
LAID_OUT_MIN = 12
"""Fewer different pictures are placed by their first two principal components."""
KEPT_MIN = 0.5
"""Share of the points that must have a place already for the map to go on from it; a brand that
changed more gets a new map, turned to lie on the old one as well as it can."""
TURNED_MIN = 3
"""Points known from before that two maps are laid on each other by."""
DECIMALS = 4
GRAPH_SHARE = 0.2
"""Of the step's time, about, that the neighbours take."""


def find_map(snapshot: Snapshot) -> StepResult:
    """Place the snapshot's pictures on a map from -1 to 1 in both directions.

    Pictures of one embedding share a place. Those that the snapshot before had on its map stay
    near theirs: the map goes on from there, new pictures start among their neighbours, and in the
    end it is turned and shifted to lie on the old one. The order of the assets changes nothing.

    The result::

        placed  assets on the map
        points  different places
        kept    points that the map before had
        scale   units of the layout in one of the map: what the next map goes on with
        moved   median distance between a kept point's place then and now; null if none was kept

    Marks: `x` and `y`, to four decimals.
    """
    points = find_points(snapshot)
    if not len(points):
        return StepResult({"placed": 0, "points": 0, "kept": 0, "scale": 1.0, "moved": None})
    small = reduced(snapshot, points, find_components(snapshot, points))
    before = _before(snapshot, points)
    known = ~np.isnan(before.places[:, 0])
    places = _places(snapshot, small, before)
    if known.sum() >= TURNED_MIN:
        places, factor = _turned(places, before.places, known)
    else:
        places, factor = _centred(places)
    # Nothing may lie outside; shrinking all keeps what lies beside what.
    beyond = max(float(np.abs(places).max()), 1.0)
    places = np.round(places / beyond, DECIMALS) + 0.0
    scale = beyond / factor
    moved = np.linalg.norm(places[known] - before.places[known], axis=1)
    return StepResult(
        {
            "placed": int(points.assets.size),
            "points": len(points),
            "kept": int(known.sum()),
            "scale": float(scale),
            "moved": round(float(np.median(moved)), DECIMALS) if moved.size else None,
        },
        _marks(snapshot, points, places),
    )


MAP = Step("map", 1, find_map)


@dataclass(frozen=True, slots=True, eq=False)
class _Before:
    """The map before this one."""

    places: Plane
    """(p, 2): each point's; NaN of those that had none."""
    scale: float
    """Units of its layout in one of the map; 0 if it was none of `layout`'s."""


def _before(snapshot: Snapshot, points: Points) -> _Before:
    places = np.full((len(points), 2), np.nan)
    earlier = snapshot.context.earlier
    result = None if earlier is None else earlier.results.get("map")
    if earlier is None or result is None or "x" not in earlier.marks:
        return _Before(places, 0.0)
    rows = earlier.rows_of(snapshot.keys[points.assets])
    told = np.array([earlier.marks["x"], earlier.marks["y"]], np.float64).T
    had = np.flatnonzero(rows >= 0)
    # Of a point's assets the first by key says where it was.
    for at in had[::-1]:
        if not np.isnan(told[rows[at]]).any():
            places[points.point_of[at]] = told[rows[at]]
    laid_out = result["points"] >= LAID_OUT_MIN
    return _Before(places, float(result["scale"]) if laid_out else 0.0)


def _places(snapshot: Snapshot, small: Floats, before: _Before) -> Plane:
    """Return places in the layout's units."""
    flat = np.zeros((len(small), 2))
    flat[:, : small.shape[1]] = small[:, :2]
    if len(small) < LAID_OUT_MIN:
        return flat
    progress = snapshot.context.progress
    nearest = Neighbourhood(small).among(
        min(NEIGHBOURS, len(small) - 1), lambda share: progress(GRAPH_SHARE * share)
    )

    def told(share: float) -> None:
        progress(GRAPH_SHARE + (1 - GRAPH_SHARE) * share)

    known = ~np.isnan(before.places[:, 0])
    if known.mean() < KEPT_MIN or not before.scale:
        return lay_out(nearest, flat, told)
    return settle(nearest, before.scale * _joined(nearest, before.places), told)


def _joined(nearest: Nearest, places: Plane) -> Plane:
    """Return the places with those of new points: in the middle of their neighbours'.

    A point whose neighbours are all new takes the place of their means, or the map's middle.
    """
    joined = places.copy()
    for _ in range(2):
        missing = np.flatnonzero(np.isnan(joined[:, 0]))
        around = joined[nearest.indices[missing]]
        there = ~np.isnan(around[:, :, 0])
        sums = np.where(there[:, :, None], around, 0).sum(axis=1)
        found = there.any(axis=1)
        joined[missing[found]] = sums[found] / there.sum(axis=1)[found, None]
    left = np.flatnonzero(np.isnan(joined[:, 0]))
    joined[left] = np.nanmean(joined, axis=0)
    # No two may start in the very same place: nothing would ever part them.
    golden = np.arange(len(joined)) * np.pi * (3 - np.sqrt(5))
    new = np.isnan(places[:, 0])
    joined[new] += 1e-3 * np.stack([np.cos(golden), np.sin(golden)], axis=1)[new]
    return joined


def _turned(places: Plane, before: Plane, known: npt.NDArray[np.bool_]) -> tuple[Plane, float]:
    """Return the places laid on those before, and what they were multiplied with.

    Turned, mirrored, scaled and shifted for the least sum of squares (Procrustes; Schönemann,
    1966).
    """
    ours, theirs = places[known], before[known]
    our_middle, their_middle = ours.mean(axis=0), theirs.mean(axis=0)
    left, values, right = np.linalg.svd((ours - our_middle).T @ (theirs - their_middle))
    size = float(((ours - our_middle) ** 2).sum())
    factor = float(values.sum()) / size if size > 0 else 0.0
    if factor <= 0:
        return _centred(places)
    return factor * (places - our_middle) @ (left @ right) + their_middle, factor


def _centred(places: Plane) -> tuple[Plane, float]:
    """Return the places between -1 and 1, and what they were multiplied with."""
    low, high = places.min(axis=0), places.max(axis=0)
    size = float((high - low).max()) / 2
    factor = 1 / size if size > 0 else 1.0
    return (places - (low + high) / 2) * factor, factor


def _marks(snapshot: Snapshot, points: Points, places: Plane) -> dict[str, list[Any]]:
    point_of = points.of_assets(len(snapshot)).tolist()
    listed = places.tolist()
    return {
        name: [None if point < 0 else listed[point][axis] for point in point_of]
        for axis, name in enumerate("xy")
    }
