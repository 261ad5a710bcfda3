"""A brand's active run: whether a request to start one may be answered with it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from triptych.errors import RunActive
from triptych.model import Run, RunKind, RunState
from triptych.shown_url import shown_url

DOING: Mapping[RunKind, str] = MappingProxyType(
    {
        RunKind.FULL: "gathered",
        RunKind.REEMBED: "re-embedded",
        RunKind.RESTORE: "restored",
    }
)
"""What a run of each kind does to its brand; those of kind ``add`` have a sentence of their own."""


def check_joinable(run: Run, wanted: RunKind) -> None:
    """Raise `RunActive` if a brand's active run is not of the kind that was asked for."""
    if run.kind is wanted or run.state is not RunState.ACTIVE:
        return
    if run.kind is RunKind.ADD:
        raise RunActive(
            f"Brand {run.brand!r} is taking in single URLs (run {run.id}).",
            remedy="It commits within seconds; try again then.",
            run_id=run.id,
        )
    raise RunActive(
        f"Brand {run.brand!r} is being {DOING[run.kind]} (run {run.id}).",
        remedy="Try again when that has ended, or cancel it.",
        run_id=run.id,
    )


def check_same_source(run: Run, source: str | None) -> None:
    """Raise `RunActive` if a run that was asked for has another source than the active one.

    Or if that is of another kind: to return the active run instead would drop the new source in
    silence, and to keep the source without a run would be half of what was asked for.
    """
    if source is None or run.state is not RunState.ACTIVE:
        return
    check_joinable(run, RunKind.FULL)
    if source == run.source:
        return
    place = shown_url(run.source) if run.source else "the default, TRIPTYCH_SOURCE"
    raise RunActive(
        f"Brand {run.brand!r} has an active run ({run.id}) of another source: {place}.",
        remedy=f"Wait for its end, cancel it with `triptych cancel {run.brand}`, or cancel it and "
        "start this one with `--replace`; in the API with `replace`.",
        run_id=run.id,
        source=place,
    )
