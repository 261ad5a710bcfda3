"""Row 9: near-duplicates and clusters of many embeddings, beside exact search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import numpy as np
from sklearn.metrics import adjusted_rand_score

from bench.lanes import Contender, Lane, Tell, figures, measured
from bench.paths import PEERS, WORK
from bench.program import Given, Ready
from bench.results import Aim, Entry, each_compared, rounded
from triptych.ai.step import Snapshot
from triptych.ai.steps.clusters.clusters import find_clusters
from triptych.ai.steps.duplicates.candidates import find_candidates

ROW = 9
TITLE = "near-duplicates and clusters"
FULL = {"count": 100_000, "rounds": 1}
REDUCED = {"count": 1_000, "rounds": 1}
RECALL_MIN = 0.99
FASTER = Aim("< 1 at recall ≥ 0.99", most=1.0)
EXACT = {"sklearn": ("scikit-learn, brute force", FASTER), "faiss": ("faiss, flat", FASTER)}
CLUSTERED = {"hdbscan": ("faiss, flat, then HDBSCAN on its graph", Aim("< 1", most=1.0))}
DIMENSION = 1280
RANK = 64
FAMILY = 250
"""Pictures of a family on average."""
SPREAD = 0.5
COPIES = 0.1
"""Share of pictures that are another one, edited."""
EDIT = 0.15
NEAR = 0.8
"""Cosine from which a pair is a near-duplicate, as the embedder's edits are."""
WARM_UP = 500
"""Embeddings that are worked on before anything is measured."""


def snapshot(vectors: np.ndarray) -> Snapshot:
    """Return a snapshot that has these embeddings, and nothing else to tell its assets by."""
    count = len(vectors)
    random = np.random.default_rng(0)
    numbers = np.zeros(count, np.int64)
    return Snapshot(
        brand="bench",
        run_id=UUID(int=1),
        keys=random.integers(0, 256, (count, 16), np.uint8),
        urls=[""] * count,
        sha256=random.integers(0, 256, (count, 32), np.uint8),
        phash=numbers,
        widths=numbers + 800,
        heights=numbers + 600,
        size_bytes=numbers + 1,
        model="m",
        embeddings=vectors,
        embedded=np.arange(count),
        sampled=False,
        media_types=["image/jpeg"] * count,
        colours=[()] * count,
    )


def pairs(vectors: np.ndarray) -> np.ndarray:
    """Return the pairs that may be near-duplicates."""
    count = len(vectors)
    nothing, distinct = np.zeros(count, np.uint64), np.zeros(count, bool)
    return find_candidates(vectors, np.arange(count), nothing, distinct, lambda _: None).pairs


def labels(vectors: np.ndarray) -> np.ndarray:
    """Return the cluster of each; -1 for noise."""
    marks = find_clusters(snapshot(vectors)).marks["cluster"]
    numbers: dict[Any, int] = {None: -1}
    return np.array([numbers.setdefault(mark, len(numbers) - 1) for mark in marks])


@contextmanager
def triptych(arguments: Given) -> Iterator[Ready]:
    vectors = np.load(arguments["vectors"])
    find = {"pairs": pairs, "labels": labels}[arguments["what"]]
    find(vectors[:WARM_UP])
    yield Ready(lambda _: np.save(arguments["out"], find(vectors)))


def write_vectors(count: int) -> tuple[str, np.ndarray]:
    """Make embeddings in families, some of them edits of others; return their file and families."""
    random = np.random.default_rng(0)
    families = max(4, count // FAMILY)
    basis = random.standard_normal((RANK, DIMENSION), np.float32)
    centres = random.standard_normal((families, RANK), np.float32)
    family = random.integers(0, families, count)
    small = centres[family] + SPREAD * random.standard_normal((count, RANK), np.float32)
    copies = random.random(count) < COPIES
    originals = random.integers(0, count, count)
    small[copies] = small[originals[copies]]
    family[copies] = family[originals[copies]]
    small[copies] += EDIT * random.standard_normal((int(copies.sum()), RANK), np.float32)
    vectors = small @ basis
    vectors += 0.02 * np.abs(vectors).mean() * random.standard_normal(vectors.shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    path = WORK / f"vectors-{count}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors.astype(np.float16))
    return str(path), family


def recall(found: np.ndarray, exact: np.ndarray, vectors: np.ndarray) -> float:
    """Return the share of exact near-duplicates that were found."""
    count = len(vectors)
    cosines = np.concatenate(
        [
            np.einsum("ij,ij->i", *(vectors[part[:, side]].astype(np.float32) for side in (0, 1)))
            for part in np.array_split(exact, max(1, len(exact) // 10_000))
        ]
    )
    wanted = exact[cosines >= NEAR]
    known = np.isin(wanted[:, 0] * count + wanted[:, 1], found[:, 0] * count + found[:, 1])
    return float(known.mean()) if len(known) else 1.0


def contenders(path: str) -> list[Contender]:
    """Return ours and the peers; what each finds is in a file by its name."""
    # As `triptych worker` runs: one thread a call. Peers take all cores, as they do by themselves.
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

    def peer(name: str, what: str) -> Contender:
        return Contender(name, "bench.peers.neighbours:peer", given(name, what), PEERS)

    def ours(name: str, what: str) -> Contender:
        arguments = given(name, what)
        return Contender(name, "bench.rows.neighbours:triptych", arguments, environment=alone)

    def given(name: str, what: str) -> dict[str, str]:
        return {"vectors": path, "what": what, "out": str(WORK / f"found-{name}.npy")}

    return [
        ours("pairs", "pairs"),
        *(peer(name, name) for name in EXACT),
        ours("clusters", "labels"),
        *(peer(name, "labels") for name in CLUSTERED),
    ]


def measure(size: dict[str, int], tell: Tell) -> list[Entry]:
    count = size["count"]
    path, family = write_vectors(count)
    every = contenders(path)
    spent = measured(every, Lane.run, size["rounds"], tell)
    found = {each.name: np.load(each.arguments["out"]) for each in every}
    seconds = figures(spent, lambda s: s.wall_s)
    told: dict[str, dict[str, Any]] = {
        "peak_MB": {name: round(max(s.peak_bytes for s in of) / 1e6) for name, of in spent.items()},
        "cpu_s": {**figures(spent, lambda s: round(s.cpu_s))},
    }
    exact = each_compared(
        ROW, f"near-duplicate candidates of {count:,} × {DIMENSION}", "s", seconds, EXACT, **told
    )
    for entry, name in zip(exact, EXACT, strict=True):
        entry["recall"] = rounded(recall(found["pairs"], found[name], np.load(path)))
        entry["met"] = entry["met"] and entry["recall"] >= RECALL_MIN
    agreed = {
        name: rounded(adjusted_rand_score(family, found[name])) for name in ("clusters", *CLUSTERED)
    }
    clusters = {name: seconds[name] for name in ("clusters", *CLUSTERED)}
    work = f"clusters of {count:,} × {DIMENSION}"
    told["agreement_with_the_families"] = agreed
    return [*exact, *each_compared(ROW, work, "s", clusters, CLUSTERED, **told)]
