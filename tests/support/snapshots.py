"""Snapshots and assets made by hand, for tests of the AI phase."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import numpy.typing as npt
from evals.acquired import part

from triptych.ai.context import Context
from triptych.ai.step import Snapshot
from triptych.model import AiState, Asset, Colour, Policy, Run, RunKind, RunState

Vectors = npt.NDArray[np.floating[Any]]


def unit(vectors: Vectors) -> npt.NDArray[np.float16]:
    """Bring rows to length 1, in half precision."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / lengths, np.float16)


def digests(names: Sequence[object], size: int) -> npt.NDArray[np.uint8]:
    """One digest a name: equal names, equal rows."""
    rows = [hashlib.sha256(str(name).encode()).digest()[:size] for name in names]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, size)


def snapshot_of(
    embeddings: npt.NDArray[np.float16],
    *,
    phash: Sequence[int] | npt.NDArray[np.int64],
    contents: Sequence[object] | None = None,
    sides: Sequence[int] | npt.NDArray[np.int64] | None = None,
    size_bytes: Sequence[int] | npt.NDArray[np.int64] | None = None,
    keys: Sequence[object] | None = None,
    embedded: Sequence[int] | None = None,
    sampled: bool = False,
    media_types: Sequence[str] | None = None,
    colours: Sequence[tuple[Colour, ...]] | None = None,
    context: Context | None = None,
) -> Snapshot:
    """Make a snapshot. Assets of equal ``contents`` have the same bytes; by default all differ."""
    count = len(phash)
    widths = np.full(count, 100) if sides is None else np.asarray(sides, np.int64)
    return Snapshot(
        brand="nike",
        run_id=uuid4(),
        keys=digests(range(count) if keys is None else keys, 16),
        urls=[f"https://x/{number}" for number in range(count)],
        sha256=digests(range(count) if contents is None else contents, 32),
        phash=np.asarray(phash, np.int64),
        widths=widths,
        heights=widths,
        size_bytes=np.asarray(np.full(count, 1000) if size_bytes is None else size_bytes, np.int64),
        model="m",
        embeddings=embeddings,
        embedded=np.asarray(range(count) if embedded is None else embedded, np.intp),
        sampled=sampled,
        media_types=["image/png"] * count if media_types is None else media_types,
        colours=[()] * count if colours is None else colours,
        context=context or Context(),
    )


def shuffled(snapshot: Snapshot, order: Sequence[int] | npt.NDArray[np.intp]) -> Snapshot:
    """Return the same assets in another order; all of them must have an embedding."""
    return part(snapshot, np.asarray(order, np.intp))


def committed_run(brand: str = "nike", *, added: int | None = None) -> Run:
    now = datetime.now(UTC)
    return Run(
        id=uuid4(),
        brand=brand,
        kind=RunKind.FULL,
        state=RunState.COMMITTED,
        source=None,
        policy=Policy(0.5, 3, 3600),
        sealed=True,
        paused=False,
        expected=0,
        done=0,
        failed=0,
        out=0,
        version=1,
        seq=1,
        created_at=now,
        progressed_at=now,
        deadline_at=now,
        ended_at=now,
        reason=None,
        reasons={},
        added=added,
        kept=None,
        changed=None,
        removed=None,
        ai_state=AiState.RUNNING,
        ai_reason=None,
    )


def asset(
    run_id: UUID,
    number: int,
    *,
    embedding: npt.NDArray[np.float32] | None = None,
    model: str | None = None,
) -> Asset:
    url = f"https://x/{number}"
    return Asset(
        run_id=run_id,
        key=hashlib.sha256(url.encode()).digest()[:16],
        brand="nike",
        url=url,
        sha256=hashlib.sha256(f"bytes of {number}".encode()).digest(),
        object_key=f"sha256/{number}",
        media_type="image/png",
        size_bytes=1000 + number,
        width=number + 1,
        height=2 * number + 1,
        phash=-number,
        embedding=embedding,
        model=model,
        metadata={},
    )
