"""What the log says of runs when all is well: a line when one is opened, and one when it ends."""

from __future__ import annotations

import structlog

from triptych.model import Run
from triptych.runs.run_store import Opened

log = structlog.get_logger(__name__)


def log_opened(opened: Opened) -> None:
    """Log a run that was opened; nothing if there was one already."""
    run = opened.run
    if opened.created:
        log.info("run_opened", run=str(run.id), brand=run.brand, kind=run.kind.value)


def log_ended(run: Run, *, commit_s: float | None = None) -> None:
    """Log how a run has ended, with its counts, and seconds from its opening; nothing before.

    ``commit_s``: seconds that its commit took.
    """
    if run.ended_at is None:
        return
    log.info(
        "run_ended",
        run=str(run.id),
        brand=run.brand,
        state=run.state.value,
        expected=run.expected,
        done=run.done,
        failed=run.failed,
        added=run.added,
        kept=run.kept,
        changed=run.changed,
        removed=run.removed,
        seconds=round((run.ended_at - run.created_at).total_seconds(), 3),
        commit_s=None if commit_s is None else round(commit_s, 3),
    )
