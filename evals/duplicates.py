"""Room `duplicates`: ten edits found again, unrelated pictures and families of marks kept apart.

Baselines: pHash within 10 bits, as imagededup has it by default, and the cosine of embeddings at
the threshold that keeps it to the same rate of false positives as is aimed at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from evals.acquired import acquire, part
from evals.edits import EDITS
from evals.page import Figure, Findings
from evals.photos import album, icons, jpeg, reduced, stamps, wallpapers
from evals.verdicts import Verdict, verdicts
from triptych.ai.step import Snapshot

HAMMING_MAX_BITS = 10
"""imagededup's default threshold."""
RATE = 1e-4
SAME_PICTURES = (("explore_monuments/42", "details/94"),)
"""Different files of the sources that show one photograph: neither right nor wrong."""
OURS, HASH, COSINE = "duplicates", "pHash ≤ 10 bits", "cosine"

ABOUT = """
{count} photographs and scenes: {album} of GCompris's activities and {wallpapers} wallpapers,
each at most 1280 pixels
a side, and ten edits of each. Recall: with the originals and one edit of each in one brand, how
many edits are in a group with their original. The thresholds were chosen on every fourth of these
photographs. False positives: among originals and edits together,
pairs of different photographs in one group, of {pairs:,} pairs. Baselines compare pairs:
imagededup's default, and the embedder's cosine at the threshold ({threshold:.2f}) that lets
one false pair in ten thousand through.

Logos and drawings: the demo's {icons:,} icons of some 340 brands and Tux Paint's {stamps:,} stamps,
each as one brand. A group is mixed if it has icons of two brands. For the baselines,
groups are joined pairs.
"""

Pairs = npt.NDArray[np.bool_]


def measure() -> Findings:
    """Return recall by edit, the rate of false positives, and the largest mixed groups."""
    sources: dict[str, bytes | Path] = {**album(), **wallpapers()}
    pictures: dict[str, bytes] = {}
    for name, source in sources.items():
        image = reduced(source)
        pictures[f"{name}|"] = jpeg(image)
        pictures.update({f"{name}|{edit}": make(image) for edit, make in EDITS.items()})
    whole = acquire(pictures)
    names = np.array([url.split("|")[0] for url in whole.urls])
    edits = np.array([url.split("|")[1] for url in whole.urls])
    cosines = _cosines(whole)
    close = _bits(whole) <= HAMMING_MAX_BITS
    different = np.triu(_different(names), 1)
    threshold = float(np.quantile(cosines[different], 1 - RATE))
    near = cosines >= threshold
    original = np.flatnonzero(edits == "")
    figures = []
    shares = []
    seen = np.isin(names, list(album()))
    for edit in EDITS:
        edited = np.flatnonzero(edits == edit)
        found = _found(whole, original, edited)
        shares.append((found, close[original, edited], near[original, edited]))
        figures.append(_recall(edit, *shares[-1]))
    ours, theirs, cosine = (np.concatenate(part) for part in zip(*shares, strict=True))
    figures.append(_recall("all ten edits", ours, theirs, cosine, "≥ 0.95"))
    held_out = np.tile(~seen[original], len(EDITS))
    figures.append(
        _recall("all ten, wallpapers", ours[held_out], theirs[held_out], cosine[held_out], "≥ 0.95")
    )
    grouped = verdicts(whole) == Verdict.COPY
    false = {
        OURS: float(grouped[different].mean()),
        HASH: float(close[different].mean()),
        COSINE: float(near[different].mean()),
    }
    figures.append(Figure("false positives", false, f"≤ {RATE:g}"))
    figures += _marks(
        "icons", {name: path.read_bytes() for name, path in icons().items()}, threshold
    )
    figures += _marks(
        "stamps", {name: path.read_bytes() for name, path in stamps().items()}, threshold
    )
    about = ABOUT.format(
        count=len(sources),
        album=len(album()),
        wallpapers=len(wallpapers()),
        pairs=int(different.sum()),
        threshold=threshold,
        icons=len(icons()),
        stamps=len(stamps()),
    )
    return Findings("Duplicates", about, figures)


def _recall(what: str, ours: Pairs, theirs: Pairs, cosine: Pairs, aim: str = "") -> Figure:
    shares = {OURS: ours, HASH: theirs, COSINE: cosine}
    return Figure(
        f"recall, {what}", {name: float(found.mean()) for name, found in shares.items()}, aim
    )


def _found(whole: Snapshot, original: npt.NDArray[np.intp], edited: npt.NDArray[np.intp]) -> Pairs:
    """Return of which pictures the edit is grouped with its original."""
    said = verdicts(part(whole, np.concatenate([original, edited])))
    firsts = np.arange(len(original))
    return np.asarray(said[firsts, firsts + len(original)] == Verdict.COPY)


def _cosines(snapshot: Snapshot) -> npt.NDArray[np.float32]:
    vectors = snapshot.embeddings.astype(np.float32)
    return vectors @ vectors.T


def _bits(snapshot: Snapshot) -> npt.NDArray[np.uint8]:
    hashes = snapshot.phash.view(np.uint64)
    return np.asarray(np.bitwise_count(hashes[:, None] ^ hashes[None, :]))


def _different(names: npt.NDArray[np.str_]) -> Pairs:
    different = names[:, None] != names[None, :]
    for first, second in SAME_PICTURES:
        one, other = names == first, names == second
        different &= ~(np.outer(one, other) | np.outer(other, one))
    return np.asarray(different)


def _marks(what: str, pictures: Mapping[str, bytes], threshold: float) -> list[Figure]:
    """Return the largest group, and of icons the largest one that mixes brands."""
    snapshot = acquire(pictures)
    other = _bits(snapshot) <= HAMMING_MAX_BITS, _cosines(snapshot) >= threshold
    families = {
        OURS: _joined(verdicts(snapshot) == Verdict.COPY),
        HASH: _joined(other[0]),
        COSINE: _joined(other[1]),
    }
    largest = {name: max(Counter(family).values()) for name, family in families.items()}
    shown: list[Figure] = [Figure(f"{what}: pictures in the largest group", largest)]
    if what == "icons":
        brands = [Path(name).stem.split("-")[0] for name in pictures]
        mixed = {name: _most_brands(family, brands) for name, family in families.items()}
        shown.append(Figure("icons: brands in the group that mixes most", mixed))
    return shown


def _most_brands(family: list[int], brands: list[str]) -> int:
    mixed: dict[int, set[str]] = {}
    for mark, brand in zip(family, brands, strict=True):
        mixed.setdefault(mark, set()).add(brand)
    return max(map(len, mixed.values()))


def _joined(pairs: Pairs) -> list[int]:
    """Return the component of each, as pairs join them."""
    _, labels = connected_components(csr_array(pairs), directed=False)
    return [int(label) for label in labels]
