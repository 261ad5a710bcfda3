"""What may be redriven: the rules of `RunStore.redrive_run`, whatever the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from triptych.errors import Conflict
from triptych.model import Policy, Reason, Run, RunKind, RunState
from triptych.runs.failure_reasons import EXPLAINED
from triptych.shown_url import without_credentials

NEVER_REDRIVEN = (
    Reason.INVALID_URL.value,
    Reason.INVALID_ROW.value,
    Reason.INVALID_METADATA.value,
)
"""Items that failed for one of these would fail again."""


@dataclass(frozen=True, slots=True)
class NamedItem:
    """An item that a redrive names."""

    key: bytes
    url: str
    failed: bool
    reason: str | None


def check_redrivable(run: Run, *, part: bool, collected: bool) -> None:
    """Raise `Conflict` unless a run has ended in a way that can be redriven.

    ``part``: only some of its failed items are asked for.
    """
    if run.state is RunState.ACTIVE:
        raise Conflict(
            f"Run {run.id} is still active.", remedy="Redrive when it has ended, or cancel it."
        )
    if collected:
        raise Conflict(
            f"The rows of run {run.id} have been deleted.", remedy="Start a new run of the brand."
        )
    if run.kind is RunKind.RESTORE:
        raise Conflict(
            f"Run {run.id} is a restore: it has no items.", remedy="Restore the snapshot again."
        )
    if run.state is RunState.HELD:
        raise Conflict(f"Run {run.id} is held.", remedy="Publish or discard it first.")
    if run.state is RunState.CANCELLED:
        raise Conflict(f"Run {run.id} was cancelled.", remedy="Start a new run of the brand.")
    if part and run.state is not RunState.COMMITTED:
        raise Conflict(
            f"Run {run.id} did not commit: it is redriven as a whole.",
            remedy="Redrive it without naming reasons or items.",
        )


def check_named(run: Run, asked: Sequence[bytes], found: Sequence[NamedItem]) -> None:
    """Raise `Conflict` unless each of the items ``asked`` for has failed and may be tried again.

    None is left out silently: the error says how many cannot be tried, and names one.
    """
    unknown = sorted(set(asked) - {item.key for item in found})
    if unknown:
        raise Conflict(
            f"Run {run.id} has no item {unknown[0].hex()}.",
            remedy="Take the keys from the run's items.",
        )
    for bad, why in (
        ([item for item in found if not item.failed], "did not fail"),
        ([item for item in found if item.reason in NEVER_REDRIVEN], "would fail again"),
    ):
        if bad:
            reason = f" ({bad[0].reason})" if bad[0].reason else ""
            raise Conflict(
                f"{len(bad)} of the {len(found)} items {why}: "
                f"{without_credentials(bad[0].url)}{reason}.",
                remedy="Leave them out.",
            )


def redriven_kind(run: Run) -> RunKind:
    """Return the kind of the run that redrives ``run``.

    A committed run's other items are assets already: the failed ones are added to them.
    """
    added = run.kind is RunKind.FULL and run.state is RunState.COMMITTED
    return RunKind.ADD if added else run.kind


def redrive_policy(run: Run, policy: Policy) -> Policy:
    """Return the policy of the run that redrives ``run``.

    The failures of a committed run were tolerated, so those that remain are no verdict on the
    brand: its redrive commits however many fail again. Any other run is judged as a whole.
    """
    if run.state is not RunState.COMMITTED:
        return policy
    return replace(policy, tolerated_failures=1.0)


def helpful_reasons(run: Run, reasons: Sequence[Reason] | None) -> Sequence[Reason] | None:
    """Return the reasons for which items of a run are redriven; None for all but `NEVER_REDRIVEN`.

    ``reasons`` are those that were asked for. Without them, items of a committed run are left that
    would fail again whatever the internet does meanwhile; one that did not commit is redriven as a
    whole.

    Raises:
        Conflict: the run has failures, but none that a redrive may help.
    """
    if reasons is not None or run.state is not RunState.COMMITTED:
        return reasons
    helpful = [reason for reason, known in EXPLAINED.items() if known.may_help]
    if run.reasons and not set(run.reasons) & {reason.value for reason in helpful}:
        names = ", ".join(sorted(run.reasons))
        raise Conflict(
            f"A redrive helps none of the failures of run {run.id}: {names}.",
            remedy="`triptych failures RUN` says what helps. Name reasons to try them anyway.",
        )
    return helpful


def left_out(run: Run, reasons: Sequence[Reason] | None) -> Mapping[str, int]:
    """Return how many failed items of a run its redrive for ``reasons`` leaves, by reason."""
    tried = None if reasons is None else {reason.value for reason in reasons}
    return {
        reason: count
        for reason, count in sorted(run.reasons.items())
        if reason in NEVER_REDRIVEN or (tried is not None and reason not in tried)
    }


def check_something_left(run: Run, *, expected: int, done: int) -> None:
    """Raise `Conflict` if the items that move along make no run.

    ``done`` of the ``expected`` items that move are done and staged.
    """
    lost = run.state is not RunState.COMMITTED and done < run.done
    if lost or (expected == done and run.sealed):
        raise Conflict(
            f"Run {run.id} has nothing left to redrive.", remedy="Start a new run of the brand."
        )


def active_run(run: Run) -> Conflict:
    """Return the error of a brand whose active run stands in the way of a redrive."""
    return Conflict(
        f"Brand {run.brand!r} has an active run, {run.id}.",
        remedy="Redrive when it has ended, or cancel it.",
    )
