"""Pairs of pictures of one kind, judged: copies found, pictures that are no copies kept apart.

A room lists its pictures as `Shown`; `compare` embeds them as one brand, reads the verdicts and
puts two baselines beside them: pHash within 10 bits, and the cosine of embeddings at the threshold
that lets exactly `RATE` of the pairs that are no copies through, which no user could know.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from evals.acquired import acquire
from evals.page import Figure
from evals.photos import SIDE_MAX
from evals.verdicts import Verdict, verdicts
from triptych.ai.step import Snapshot

RATE = 1e-3
"""The share of pairs of pictures that are no copies which may be called copies."""
HAMMING_MAX_BITS = 10
"""imagededup's default threshold."""
OURS, HASH, COSINE = "Triptych", "pHash ≤ 10 bits", "cosine"
HARD = frozenset({"turned by 90°", "mirrored", "collage of two", "in a page"})
"""Edits of which nine in ten are aimed at."""
RECALL_AIM = "≥ 0.9"
SHOW_TWO = frozenset({"collage of two", "in a page"})

Pairs = npt.NDArray[np.bool_]
Edit = Callable[[Image.Image, Image.Image], bytes]


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture and what is true of it."""

    body: bytes
    picture: str
    """Which picture it shows: two with the same one are copies."""
    family: str = ""
    """Of what it is one of several: a product in its colours, a logo's versions, a template."""
    edit: str = ""
    """How it was made from its picture; empty for the original."""
    beside: str = ""
    """The picture that it shows as well: pairs with that one are neither right nor wrong."""


def edited(
    one: Shown, beside: Shown, edits: Mapping[str, Edit], side: int = SIDE_MAX
) -> Iterator[Shown]:
    """Yield the edits of a picture, at most ``side`` pixels a side; some show ``beside`` too."""
    image, other = on_white(one.body, side), on_white(beside.body, side)
    for name, make in edits.items():
        also = beside.picture if name in SHOW_TWO else ""
        yield Shown(make(image, other), one.picture, one.family, name, also)


def spread(pictures: Sequence[Shown], count: int) -> list[tuple[Shown, Shown]]:
    """Return some pictures from the whole list, each with the one before it."""
    step = max(1, len(pictures) // count)
    return [(pictures[at], pictures[at - 1]) for at in range(0, len(pictures), step)][:count]


def on_white(body: bytes, side: int = SIDE_MAX) -> Image.Image:
    """Return a picture as RGB, what is transparent white, at most ``side`` pixels a side."""
    with Image.open(io.BytesIO(body)) as image:
        layer = image.convert("RGBA")
    ground = Image.new("RGBA", layer.size, "white")
    ground.alpha_composite(layer)
    shown = ground.convert("RGB")
    shown.thumbnail((side, side), Image.Resampling.LANCZOS)
    return shown


def compare(what: str, pictures: Sequence[Shown], siblings: str) -> list[Figure]:
    """Return recall by edit, false pairs, and how many siblings are called copies.

    ``what`` begins each line; ``siblings`` says what two pictures of one family are to each other.
    """
    snapshot = acquire({f"{at:05}": one.body for at, one in enumerate(pictures)})
    names = np.array([one.picture for one in pictures])
    families = np.array([one.family for one in pictures])
    beside = np.array([one.beside for one in pictures])
    same = names[:, None] == names[None, :]
    shares = (beside[:, None] == names[None, :]) | (names[:, None] == beside[None, :])
    shares |= (beside[:, None] == beside[None, :]) & (beside[:, None] != "")
    apart = np.triu(~same & ~shares, 1)
    related = apart & (families[:, None] == families[None, :]) & (families[:, None] != "")
    systems = _systems(snapshot, apart)
    shown = list(_recall(what, pictures, systems))
    shown.append(_count(f"{what}: false pairs of {int(apart.sum()):,}", systems, apart))
    rates = {name: float(found[apart].mean()) for name, found in systems.items()}
    shown.append(Figure(f"{what}: false pairs, share", rates, f"≤ {RATE:g}"))
    if related.any():
        line = f"{what}: of those, {siblings}, of {int(related.sum()):,}"
        shown.append(_count(line, systems, related))
    return shown


def _systems(snapshot: Snapshot, apart: Pairs) -> Mapping[str, Pairs]:
    """Return which pairs Triptych and each baseline call copies."""
    vectors = snapshot.embeddings.astype(np.float32)
    cosines = vectors @ vectors.T
    hashes = snapshot.phash.view(np.uint64)
    bits = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    allowed = int(RATE * apart.sum())
    threshold = np.sort(cosines[apart])[::-1][allowed]
    return {
        OURS: np.asarray(verdicts(snapshot) == Verdict.COPY),
        HASH: np.asarray(bits <= HAMMING_MAX_BITS),
        COSINE: np.asarray(cosines > threshold),
    }


def _recall(what: str, pictures: Sequence[Shown], systems: Mapping[str, Pairs]) -> Iterator[Figure]:
    original = {one.picture: at for at, one in enumerate(pictures) if not one.edit}
    edits = list(dict.fromkeys(one.edit for one in pictures if one.edit))
    for edit in edits:
        rows = [at for at, one in enumerate(pictures) if one.edit == edit]
        heads = [original[pictures[at].picture] for at in rows]
        shares = {name: float(found[rows, heads].mean()) for name, found in systems.items()}
        yield Figure(f"{what}: recall, {edit}", shares, RECALL_AIM if edit in HARD else "")


def _count(what: str, systems: Mapping[str, Pairs], among: Pairs) -> Figure:
    return Figure(what, {name: int(found[among].sum()) for name, found in systems.items()})
