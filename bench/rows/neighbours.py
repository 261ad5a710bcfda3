"""Row 9: near-duplicates and clusters of many embeddings, beside exact search."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.metrics import adjusted_rand_score

from bench.lanes import PEERS, WORK, Contender, Lane, Spent, interleaved, laned
from bench.results import Aim, Entry, compared, rounded

ROW = 9
TITLE = "near-duplicates and clusters"
FULL = {"count": 100_000, "rounds": 1}
REDUCED = {"count": 1_000, "rounds": 1}
FASTER = Aim("< 1 at recall ≥ 0.99", most=1.0)
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


def measure(size: dict[str, int], tell: Callable[[str], None]) -> list[Entry]:
    count = size["count"]
    path, family = write_vectors(count)
    vectors = np.load(path)

    def work(lane: Lane) -> Spent:
        return lane.run()

    def contender(name: str, module: str, what: str, **more: object) -> Contender:
        out = str(WORK / f"found-{name.replace(' ', '-')}.npy")
        return Contender(name, module, {"vectors": path, "what": what, "out": out}, **more)

    peer = "bench.peers.neighbours_lane"
    # As `triptych worker` runs: one thread a call. Peers take all cores, as they do by themselves.
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    contenders = [
        contender("pairs", "bench.ours.neighbours", "pairs", environment=alone),
        contender("sklearn", peer, "sklearn", python=PEERS),
        contender("faiss", peer, "faiss", python=PEERS),
        contender("clusters", "bench.ours.neighbours", "labels", environment=alone),
        contender("hdbscan", peer, "labels", python=PEERS),
    ]
    spent: dict[str, list[Spent]] = interleaved(laned(contenders, work), size["rounds"], tell)
    found = {each.name: np.load(each.arguments["out"]) for each in contenders}
    seconds = {name: [each.wall_s for each in every] for name, every in spent.items()}
    peak = {name: round(max(s.peak_bytes for s in every) / 1e6) for name, every in spent.items()}
    cpu = {name: [round(s.cpu_s) for s in every] for name, every in spent.items()}
    entries = [
        compared(
            ROW,
            f"near-duplicate candidates of {count:,} × {DIMENSION}",
            text,
            "s",
            seconds["pairs"],
            seconds[name],
            FASTER,
            recall=rounded(recall(found["pairs"], found[name], vectors)),
            peak_MB={each: peak[each] for each in ("pairs", name)},
            cpu_s={each: cpu[each] for each in ("pairs", name)},
        )
        for name, text in (
            ("sklearn", "scikit-learn, brute force"),
            ("faiss", "faiss, flat"),
        )
    ]
    for entry in entries:
        entry["met"] = entry["met"] and entry["recall"] >= 0.99
    families = {name: adjusted_rand_score(family, found[name]) for name in ("clusters", "hdbscan")}
    entries.append(
        compared(
            ROW,
            f"clusters of {count:,} × {DIMENSION}",
            "faiss, flat, then HDBSCAN on its graph",
            "s",
            seconds["clusters"],
            seconds["hdbscan"],
            Aim("< 1", most=1.0),
            agreement_with_the_families={k: rounded(v) for k, v in families.items()},
            peak_MB={each: peak[each] for each in ("clusters", "hdbscan")},
            cpu_s={each: cpu[each] for each in ("clusters", "hdbscan")},
        )
    )
    return entries
