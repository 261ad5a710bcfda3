"""The step `map`: a stable position for each picture, with similar pictures close together."""

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
from triptych.ai.steps.map.layout import Plane, lay_out, refine

NEIGHBOURS = 30
LAID_OUT_MIN = 12
"""Fewer distinct pictures are placed by their first two principal components."""
KEPT_MIN = 0.5
"""Least share of points that must have a place for the map to continue the previous one. A brand
that changed more gets a new map, aligned with the old one as well as possible."""
TURNED_MIN = 3
"""Least number of known points for aligning two maps."""
DECIMALS = 4
GRAPH_SHARE = 0.2
"""Approximate share of the step's time that the neighbour search takes."""


def find_map(snapshot: Snapshot) -> StepResult:
    """Place the snapshot's pictures on a map from -1 to 1 in both directions.

    Pictures with the same embedding share a place. Pictures on the previous snapshot's map stay
    near their place: the layout starts from there, new pictures start among their neighbours, and
    the result is aligned with the old map. The order of the assets does not matter.

    The result::

        placed  assets on the map
        points  distinct places
        kept    points that were on the previous map
        scale   units of the layout per unit of the map: the next map continues from it
        moved   median distance between the old and new place of a kept point; null if none was kept

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
    # Nothing may lie outside; shrinking everything keeps the relative positions.
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
    """The previous map."""

    places: Plane
    """(p, 2): each point's place; NaN where it had none."""
    scale: float
    """Units of its layout per unit of the map; 0 if `layout` did not make it."""


def _before(snapshot: Snapshot, points: Points) -> _Before:
    places = np.full((len(points), 2), np.nan)
    earlier = snapshot.context.earlier
    result = None if earlier is None else earlier.results.get("map")
    if earlier is None or result is None or "x" not in earlier.marks:
        return _Before(places, 0.0)
    rows = earlier.rows_of(snapshot.keys[points.assets])
    positions = np.array([earlier.marks["x"], earlier.marks["y"]], np.float64).T
    had = np.flatnonzero(rows >= 0)
    # The first asset of a point by key decides where it was.
    for at in had[::-1]:
        if not np.isnan(positions[rows[at]]).any():
            places[points.point_of[at]] = positions[rows[at]]
    laid_out = result["points"] >= LAID_OUT_MIN
    return _Before(places, float(result["scale"]) if laid_out else 0.0)


def _places(snapshot: Snapshot, small: Floats, before: _Before) -> Plane:
    """Return the places in the layout's units."""
    flat = np.zeros((len(small), 2))
    flat[:, : small.shape[1]] = small[:, :2]
    if len(small) < LAID_OUT_MIN:
        return flat
    progress = snapshot.context.progress
    nearest = Neighbourhood(small).among(
        min(NEIGHBOURS, len(small) - 1), lambda share: progress(GRAPH_SHARE * share)
    )

    def report(share: float) -> None:
        progress(GRAPH_SHARE + (1 - GRAPH_SHARE) * share)

    known = ~np.isnan(before.places[:, 0])
    if known.mean() < KEPT_MIN or not before.scale:
        return lay_out(nearest, flat, report)
    return refine(nearest, before.scale * _joined(nearest, before.places), report)


def _joined(nearest: Nearest, places: Plane) -> Plane:
    """Fill in the places of new points: the mean of their neighbours' places.

    A point whose neighbours are all new gets the mean of their places, or the map's centre.
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
    # Add jitter: t-SNE never separates points that start in the same place.
    golden = np.arange(len(joined)) * np.pi * (3 - np.sqrt(5))
    new = np.isnan(places[:, 0])
    joined[new] += 1e-3 * np.stack([np.cos(golden), np.sin(golden)], axis=1)[new]
    return joined


def _turned(places: Plane, before: Plane, known: npt.NDArray[np.bool_]) -> tuple[Plane, float]:
    """Return the places aligned with the previous ones, and the factor they were scaled by.

    They are rotated, mirrored, scaled and shifted for the least sum of squares (Procrustes;
    Schönemann, 1966).
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
    """Return the places between -1 and 1, and the factor they were scaled by."""
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
