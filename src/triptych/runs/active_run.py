"""A brand's active run: whether a request to start one may be answered with it."""

from __future__ import annotations

from triptych.errors import RunActive
from triptych.model import Run, RunKind, RunState
from triptych.shown_url import shown_url


def check_same_source(run: Run, source: str | None) -> None:
    """Raise `RunActive` if a run that was asked for has another source than the active one.

    To return the active run instead would drop the new source in silence.
    """
    gathers = run.kind is RunKind.FULL and run.state is RunState.ACTIVE
    if not gathers or source is None or source == run.source:
        return
    place = shown_url(run.source) if run.source else "the default, TRIPTYCH_SOURCE"
    raise RunActive(
        f"Brand {run.brand!r} has an active run ({run.id}) of another source: {place}.",
        remedy=f"Wait for its end, cancel it with `triptych cancel {run.brand}`, or cancel it and "
        "start this one with `--replace`; in the API with `replace`.",
        run_id=run.id,
        source=place,
    )
