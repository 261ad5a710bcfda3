"""Clusters: how pure they are, how much they hold, and whether their names stay."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evals.acquired import acquire, part
from evals.page import Figure, Findings
from evals.photos import icons, stamps
from triptych.ai.context import Column, Context, Earlier
from triptych.ai.step import Snapshot
from triptych.ai.steps.clusters.cluster_names import name_clusters
from triptych.ai.steps.clusters.clusters import find_clusters

SUBJECT_MIN = 3
"""Subjects of fewer stamps are left out: nothing could be a cluster of them."""
VARIANT = re.compile(r"-(?:brand|color|text|cn|avatar|combine)\b")
STARTS = 3
FIRST_SHARE = 0.7
NOBODY = -1

Labels = npt.NDArray[np.intp]


def measure() -> Findings:
    """Measure clusters and nearest neighbours."""
    by_subject, by_brand = subjects(), brands()
    return Findings(
        "Clusters and nearest neighbours",
        f"""
{len(by_subject[0])} stamps of Tux Paint, cut-out photographs and cartoons, in
{len(np.unique(by_subject[1]))} folders by subject; and {len(by_brand[0])} icons of
{len(np.unique(by_brand[1]))} brands, most in a few variants. The steps were not tuned on either.

Purity: the share of clustered pictures that show their cluster's most frequent subject. Baselines:
*k-means* with as many clusters, on the embeddings of all pictures, and *k-means of those*, on only
the pictures that Triptych put into clusters. All purities are of the same pictures. ARI: the
adjusted Rand index with the subjects, of these pictures. Names kept: a brand grows from
{FIRST_SHARE:.0%} of its pictures to all; of the pictures in clusters before and after, the share
whose cluster still has its name. Clusters of k-means are named by the same rule.

1-NN: the share of pictures whose most similar other picture shows the same subject. Baselines: the
perceptual hash, and the dominant colours.
""",
        [
            *_figures("stamps", *by_subject),
            *_figures("icons", *by_brand),
            *_nearest("stamps", *by_subject),
            *_nearest("icons", *by_brand),
        ],
    )


def subjects() -> tuple[Snapshot, Labels]:
    """Return the stamps and the numbers of their folders."""
    found = stamps()
    folder = {name: str(Path(name).parent) for name in found}
    sizes = {name: list(folder.values()).count(where) for name, where in folder.items()}
    return _labelled({n: p for n, p in found.items() if sizes[n] >= SUBJECT_MIN}, folder)


def brands() -> tuple[Snapshot, Labels]:
    """Return the icons and the numbers of their brands."""
    found = icons()
    return _labelled(found, {name: VARIANT.sub("", Path(name).stem) for name in found})


def _labelled(files: Mapping[str, Path], label: Mapping[str, str]) -> tuple[Snapshot, Labels]:
    """Return the pictures of different bytes, and their labels' numbers."""
    bodies: dict[bytes, str] = {}
    for name, path in files.items():
        bodies.setdefault(path.read_bytes(), name)
    snapshot = acquire({name: body for body, name in bodies.items()}, context=Context())
    return snapshot, np.unique([label[url] for url in snapshot.urls], return_inverse=True)[1]


def _figures(what: str, snapshot: Snapshot, subject: Labels) -> list[Figure]:
    from sklearn.metrics import adjusted_rand_score

    found = _clusters(snapshot)
    inside = np.flatnonzero(found != NOBODY)
    count = len(np.unique(found[inside]))
    systems = {
        "Triptych": found[inside],
        "k-means": _kmeans(snapshot, np.arange(len(snapshot)), count)[inside],
        "k-means of those": _kmeans(snapshot, inside, count),
    }
    kept = _kept(snapshot, count)

    def each(measured: Any) -> dict[str, float | None]:
        return {name: round(float(measured(labels)), 4) for name, labels in systems.items()}

    nothing: dict[str, float | None] = {"k-means": None, "k-means of those": None}
    return [
        Figure(
            f"{what}: purity", each(lambda labels: _purity(labels, subject[inside])), "> k-means"
        ),
        Figure(f"{what}: ARI", each(lambda labels: adjusted_rand_score(subject[inside], labels))),
        Figure(
            f"{what}: clusters", {"Triptych": count, "k-means": count, "k-means of those": count}
        ),
        Figure(f"{what}: share in clusters", {"Triptych": inside.size / len(snapshot), **nothing}),
        Figure(
            f"{what}: names kept",
            {"Triptych": kept[0], "k-means": kept[1], "k-means of those": None},
        ),
    ]


def _clusters(snapshot: Snapshot) -> Labels:
    names = find_clusters(snapshot).marks["cluster"]
    number = {name: at for at, name in enumerate(sorted({n for n in names if n is not None}))}
    return np.array([NOBODY if name is None else number[name] for name in names])


def _kmeans(snapshot: Snapshot, rows: Labels, count: int) -> Labels:
    from sklearn.cluster import KMeans

    vectors = snapshot.embeddings[rows].astype(np.float32)
    return np.asarray(KMeans(count, n_init=STARTS, random_state=0).fit_predict(vectors), np.intp)


def _purity(labels: Labels, subject: Labels) -> float:
    most = [np.bincount(subject[labels == label]).max() for label in np.unique(labels)]
    return float(np.sum(most)) / labels.size


def _kept(snapshot: Snapshot, count: int) -> tuple[float, float]:
    """Return the share of names kept while the brand grows, by Triptych and by k-means."""
    first = np.flatnonzero(np.random.default_rng(0).random(len(snapshot)) < FIRST_SHARE)
    before = part(snapshot, first)
    found = find_clusters(before)
    grown = replace(snapshot, context=_after(before, found.marks["cluster"]))
    ours = _same(first, found.marks["cluster"], find_clusters(grown).marks["cluster"])
    names = _named(before, _kmeans(before, np.arange(first.size), count))
    later = replace(snapshot, context=_after(before, names))
    again = _named(later, _kmeans(snapshot, np.arange(len(snapshot)), count))
    return ours, _same(first, names, again)


def _after(before: Snapshot, names: Column) -> Context:
    return Context(earlier=Earlier(before.keys, {"cluster": list(names)}, {"clusters": {}}))


def _named(snapshot: Snapshot, labels: Labels) -> list[str]:
    families = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    names, _ = name_clusters(snapshot, families)
    of_asset = [""] * len(snapshot)
    for name, family in zip(names, families, strict=True):
        for asset in family.tolist():
            of_asset[asset] = name
    return of_asset


def _same(first: Labels, before: Column, now: Column) -> float:
    both = [(a, now[row]) for row, a in zip(first, before, strict=True) if a and now[row]]
    return float(np.mean([a == b for a, b in both]))


def _nearest(what: str, snapshot: Snapshot, subject: Labels) -> list[Figure]:
    """Return how often the most similar other picture is of the same subject."""
    from scipy.spatial.distance import cdist

    vectors = snapshot.embeddings.astype(np.float32)
    hashes = snapshot.phash.view(np.uint64)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None, :]).astype(np.float32)
    colours = _colour_vectors(snapshot)
    systems = {
        "embedding": vectors @ vectors.T,
        "perceptual hash": -apart,
        "colours": -cdist(colours, colours, "cityblock"),
    }
    values: dict[str, float | None] = {}
    for name, likeness in systems.items():
        np.fill_diagonal(likeness, -np.inf)
        values[name] = float((subject[likeness.argmax(axis=1)] == subject).mean())
    return [Figure(f"{what}: 1-NN accuracy", values, "> both")]


def _colour_vectors(snapshot: Snapshot) -> npt.NDArray[np.float32]:
    """Return what share of each picture has which of 64 coarse colours."""
    shares = np.zeros((len(snapshot), 64), np.float32)
    for row, colours in enumerate(snapshot.colours):
        for colour in colours:
            red, green, blue = (colour.rgb >> shift & 255 for shift in (16, 8, 0))
            shares[row, (red >> 6) * 16 + (green >> 6) * 4 + (blue >> 6)] += colour.share
    return shares
