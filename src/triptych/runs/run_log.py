"""What a process logs and counts of runs when all is well.

A store calls these when the transaction that decided has committed, so each event is logged once,
by the process that decided it, however often it is asked for: a repeated commit decides nothing. If
the connection is lost while the transaction commits, its outcome is unknown and nothing is logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import structlog

from triptych.model import Run, RunState
from triptych.telemetry.metrics import COMMIT_ASSETS, COMMIT_SECONDS, ITEMS, RUNS

SEVERAL = "several"
"""In place of a reason, in the metric of items, where it is not known which of several it is."""

log = structlog.get_logger(__name__)


def log_opened(run: Run) -> None:
    """Log a run that was opened: by a request, a message, a schedule or a redrive."""
    log.info("run_opened", run=str(run.id), brand=run.brand, kind=run.kind.value)


def log_sealed(run: Run) -> None:
    """Log that all items of a run are known, with their number."""
    log.info(
        "run_sealed",
        run=str(run.id),
        brand=run.brand,
        expected=run.expected,
        done=run.done,
        failed=run.failed,
        rows=run.rows_read,
        seconds=_seconds(run, datetime.now(UTC)),
    )


def log_ended(run: Run, *, commit_s: float | None = None) -> None:
    """Log and count how a run has ended, with its counts, and seconds from its opening.

    A run that is held has ended as such; it ends again when it is published or discarded.
    ``commit_s``: seconds of the transaction, if it was a commit.
    """
    log.info(
        "run_ended",
        run=str(run.id),
        brand=run.brand,
        kind=run.kind.value,
        state=run.state.value,
        reason=run.reason,
        expected=run.expected,
        done=run.done,
        failed=run.failed,
        added=run.added,
        kept=run.kept,
        changed=run.changed,
        removed=run.removed,
        seconds=_seconds(run, run.ended_at or datetime.now(UTC)),
        commit_s=None if commit_s is None else round(commit_s, 3),
    )
    RUNS.labels(run.state.value).inc()
    if commit_s is not None:
        COMMIT_SECONDS.observe(commit_s)
    if run.state is RunState.COMMITTED:
        COMMIT_ASSETS.observe((run.added or 0) + (run.kept or 0) + (run.changed or 0))


def count_failed(reasons: Mapping[str, int]) -> None:
    """Count items that failed without being worked on: refused as they came, or at a deadline."""
    for reason, count in reasons.items():
        if count:
            ITEMS.labels("failed", reason).inc(count)


def _seconds(run: Run, until: datetime) -> float:
    return round(max(0.0, (until - run.created_at).total_seconds()), 3)
