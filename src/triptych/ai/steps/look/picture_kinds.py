"""Photograph, packshot, drawing or logo: a classification of small copies of the pictures.

A packshot is one thing on a plain ground; a photograph fills its picture. The measures of a picture
and their squares are the inputs of a logistic regression, whose weights are in
``picture_kinds.json``. ``python -m evals.kinds`` fits them, and the page of figures
(docs/insights.md, room `kinds`) says on which pictures, and how often they are right. Most errors
are cases on which people would not agree either: a shaded emoji taken for a packshot, a plain
drawing for a logo.

Only the first `LOOKED_MAX` pictures by key, an even sample, are read. The kinds of the others are
predicted from those, by their embeddings.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from triptych.ai.points import Floats, Indices, blocks, find_components, find_points
from triptych.ai.step import Snapshot
from triptych.media.colours import oklab

KINDS = ("photograph", "packshot", "drawing", "logo")
LOOKED_MAX = 3_000
"""The most pictures that are read and decoded."""
SIDE = 64
FLAT = 2
"""Largest step between neighbouring pixels, of 255 in any channel, that counts as flat."""
SOFT = 24
"""Largest step that counts as shading by light and lenses; larger ones are lines or texture."""
HARD = 48
"""Smallest step that counts as an edge."""
GROUND = 10
"""Largest distance of a background pixel from the border's median colour."""
COARSE_BITS = 4
"""Bits per channel when colours are counted."""
PERCEPTUAL = 100
"""OKLab is taken times this, so that a just noticeable difference is about 2."""
BORDER_PIXELS = 2
BORDER_MAX = 25.0
"""A border that is less uniform says no more: the ground of a packshot is below a third of it."""
MEASURES = (
    *("soft", "flat", "hard", "colours", "entropy", "ground", "subject", "border"),
    *("texture_low", "texture_middle", "texture_high", "chroma_mean", "chroma_high"),
)
"""What is measured of a picture. `ground` is the share of the border that is background, and
`subject` the share of the picture that differs from it; `border` is how far the border's colours
are from their median on average, in OKLab. The others are of the subject, or of the whole picture
where the border is not mostly of one colour: the shares of shaded, flat and edge pixels, the binary
logarithm of the number of colours that make up nine tenths of it, the entropy of its colours in
bits, quartiles of its texture (how far a pixel's lightness is from its neighbours'), and mean and
ninth decile of its chroma."""
WEIGHTS_FILE = "picture_kinds.json"
BLOCK_ROWS = 4_096
UNKNOWN = -1


def find_kinds(snapshot: Snapshot, progress: Callable[[float], None]) -> tuple[Indices, int]:
    """Return each asset's index in `KINDS`, or `UNKNOWN`, and the number of pictures read.

    An asset's kind is unknown when it was not read, or its object could not be read, and it has no
    embedding to predict it from.
    """
    kinds = np.full(len(snapshot), UNKNOWN, np.intp)
    keys = snapshot.keys.view(f"S{snapshot.keys.shape[1]}").ravel()
    looked = np.argsort(keys)[:LOOKED_MAX]
    for done, asset in enumerate(looked.tolist(), start=1):
        pixels = snapshot.context.pixels(asset, SIDE)
        if pixels is not None:
            kinds[asset] = weights().kind(measures(pixels))
        progress(done / looked.size)
    seen = int((kinds != UNKNOWN).sum())
    _learn(snapshot, kinds)
    return kinds, seen


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """The logistic regression: standardised measures and their squares."""

    centre: npt.NDArray[np.float64]
    """(m,), as are the ``spread``; the others have a row for each of `KINDS`."""
    spread: npt.NDArray[np.float64]
    linear: npt.NDArray[np.float64]
    squared: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]

    def kind(self, measured: npt.NDArray[np.float64]) -> int:
        """Return the index in `KINDS` of the likeliest kind."""
        scaled = (measured - self.centre) / self.spread
        return int((self.linear @ scaled + self.squared @ scaled**2 + self.bias).argmax())


@cache
def weights() -> Weights:
    """Return the weights that Triptych comes with."""
    text = resources.files(__package__).joinpath(WEIGHTS_FILE).read_text(encoding="utf-8")
    return Weights(**{name: np.array(values) for name, values in json.loads(text).items()})


def measures(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the `MEASURES` of a picture, (side, side, 3) RGB."""
    wide = pixels.astype(np.int16)
    border = np.concatenate([wide[0], wide[-1], wide[:, 0], wide[:, -1]])
    middle = np.median(border, axis=0)
    ground = float((np.abs(border - middle).max(axis=1) <= GROUND).mean())
    subject = np.abs(wide - middle).max(axis=2) > GROUND
    if ground < 0.5 or not subject.any():  # No plain background, or nothing on it.
        subject[:] = True
    colour = PERCEPTUAL * oklab(pixels.astype(np.float64))
    uneven = min(border_distance(colour), BORDER_MAX)
    chroma = np.hypot(colour[..., 1], colour[..., 2])[subject]
    return np.array(
        [
            *_steps(wide, subject),
            *_coarse_colours(pixels[subject]),
            ground,
            subject.mean(),
            uneven,
            *np.quantile(_texture(colour[..., 0])[subject], [0.25, 0.5, 0.75]),
            chroma.mean(),
            np.quantile(chroma, 0.9),
        ]
    )


def border_distance(colour: npt.NDArray[np.float64]) -> float:
    """Return how far the border's colours are from their median on average.

    Args:
        colour: (height, width, 3), in a perceptually uniform space.
    """
    edge = BORDER_PIXELS
    ring = np.ones(colour.shape[:2], bool)
    ring[edge:-edge, edge:-edge] = False
    border = colour[ring]
    return float(np.linalg.norm(border - np.median(border, axis=0), axis=1).mean())


def _steps(
    wide: npt.NDArray[np.int16], subject: npt.NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Return the shares of shaded, flat and edge pixels."""
    steps = np.zeros(wide.shape[:2], np.int16)
    steps[:, :-1] = np.abs(np.diff(wide, axis=1)).max(axis=2)
    steps[:-1] = np.maximum(steps[:-1], np.abs(np.diff(wide, axis=0)).max(axis=2))
    own = steps[subject]
    soft = (own > FLAT) & (own <= SOFT)
    return float(soft.mean()), float((own <= FLAT).mean()), float((own > HARD).mean())


def _coarse_colours(pixels: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Return the logarithm of the number of colours of nine tenths, and the entropy of all."""
    coarse = (pixels >> (8 - COARSE_BITS)).astype(np.intp)
    packed = coarse @ np.array([1 << 2 * COARSE_BITS, 1 << COARSE_BITS, 1])
    shares = np.sort(np.bincount(packed, minlength=1))[::-1] / len(pixels)
    colours = int(np.searchsorted(np.cumsum(shares), 0.9)) + 1
    there = shares[shares > 0]
    return float(np.log2(colours)), float(-(there * np.log2(there)).sum())


def _texture(lightness: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how far each pixel is from its four neighbours; 0 at the border."""
    texture = np.zeros(lightness.shape)
    near = lightness[:-2, 1:-1] + lightness[2:, 1:-1] + lightness[1:-1, :-2] + lightness[1:-1, 2:]
    texture[1:-1, 1:-1] = np.abs(4 * lightness[1:-1, 1:-1] - near)
    return texture


def _learn(snapshot: Snapshot, kinds: Indices) -> None:
    """Predict the kinds of the assets that were not read, where they have embeddings."""
    known = kinds[snapshot.embedded]
    taught, asked = np.flatnonzero(known != UNKNOWN), np.flatnonzero(known == UNKNOWN)
    if not taught.size or not asked.size:
        return
    if np.unique(known[taught]).size == 1:
        kinds[snapshot.embedded[asked]] = known[taught[0]]
        return
    from sklearn.linear_model import LogisticRegression  # Slow import: one second.

    components = find_components(snapshot, find_points(snapshot))

    def small(rows: Indices) -> Floats:
        return components.of(snapshot.embeddings[rows])

    model = LogisticRegression(max_iter=1_000).fit(small(taught), known[taught])
    for block in blocks(asked.size, BLOCK_ROWS):
        rows = asked[block]
        kinds[snapshot.embedded[rows]] = model.predict(small(rows))
