"""A run and a brand as everybody outside sees them: answer, frame and client object in one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta
from typing_extensions import override

from triptych.model import AiState, Brand, Run, RunState
from triptych.runs.schedule import in_words, upcoming
from triptych.shown_url import shown_text, shown_url
from triptych.wire import DESCRIBED_AS, Wire

AI_FINAL = frozenset({AiState.DONE, AiState.FAILED, AiState.SUPERSEDED})
NEW = "new"
"""State of a brand that had no run yet."""

Phase = Literal["gather", "acquire", "commit", "ai", "over"]


def is_over(run: Run) -> bool:
    """Return whether a run and its AI phase have ended."""
    if run.state is RunState.ACTIVE:
        return False
    return run.state is not RunState.COMMITTED or run.ai_state in AI_FINAL


def phase(run: Run | None) -> Phase:
    """Return the phase that a run is in; ``over`` for a brand without one."""
    if run is None:
        return "over"
    if run.state is RunState.ACTIVE:
        if not run.sealed:
            return "gather"
        return "commit" if run.complete else "acquire"
    at_ai = run.ai_state in {AiState.QUEUED, AiState.RUNNING}
    return "ai" if run.state is RunState.COMMITTED and at_ai else "over"


def _fields(noun: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(noun, name) for name in noun.__struct_fields__}


def shown_source(source: str | None) -> str | None:
    """Return a source as it is shown: see `shown_url`."""
    return shown_url(source) if source else source


def _shown(text: str | None) -> str | None:
    return text if text is None else shown_text(text)


class RunShown(Run, Wire, frozen=True, kw_only=True):
    """A run."""

    over: Annotated[bool, Meta(description="Nothing more will happen to it.")]
    phase: Phase
    settled: int
    rows_merged: Annotated[int, Meta(description="Rows whose URL another row has, too.")]

    @classmethod
    def of(cls, run: Run) -> Self:
        """Return a run with what follows from its fields; its source is shown by `shown_url`."""
        fields = _fields(run) | {
            "source": shown_source(run.source),
            "reason": _shown(run.reason),
            "ai_reason": _shown(run.ai_reason),
        }
        return cls(
            **fields,
            over=is_over(run),
            phase=phase(run),
            settled=run.settled,
            rows_merged=run.rows_merged,
        )


class BrandState(Brand, Wire, frozen=True, kw_only=True):
    """A brand, as live status sends it."""

    state: Annotated[str, Meta(extra={DESCRIBED_AS: RunState | Literal["new"]})]
    phase: Phase
    latest: Annotated[RunShown | None, Meta(description="Its newest run.")]

    @classmethod
    def of(cls, brand: Brand, **more: Any) -> Self:
        """Return a brand with what follows from its newest run; sources are as `shown_url`."""
        latest = brand.latest
        fields = _fields(brand) | {
            "source": shown_source(brand.source),
            "state": NEW if latest is None else latest.state.value,
            "phase": phase(latest),
            "latest": None if latest is None else RunShown.of(latest),
        }
        return cls(**fields, **more)


class BrandShown(BrandState, frozen=True, kw_only=True):
    """A brand."""

    schedule: str | None
    due_at: datetime | None
    schedule_words: Annotated[str | None, Meta(description="The schedule as a sentence.")] = None
    next_runs: Annotated[
        list[datetime],
        Meta(description="When the schedule opens the next runs: up to three times."),
    ] = msgspec.field(default_factory=list)

    covers: Annotated[
        list[str],
        Meta(
            description="Assets of its snapshot that show it, at most four: typical pictures where "
            "the AI phase knows them, else the first ones."
        ),
    ] = msgspec.field(default_factory=list)

    @classmethod
    @override
    def of(
        cls,
        brand: Brand,
        *,
        schedule: str | None = None,
        due_at: datetime | None = None,
        **more: Any,
    ) -> Self:
        """Return a brand with its schedule, and what follows from that."""
        shown = super().of(brand, schedule=schedule, due_at=due_at, **more)
        return shown.with_schedule_explained()

    def with_schedule_explained(self) -> Self:
        """Return it with its schedule in words and times: one that was kept may lack them."""
        words = in_words(self.schedule) if self.schedule else None
        times = upcoming(self.schedule, self.due_at) if self.schedule and self.due_at else []
        return msgspec.structs.replace(self, schedule_words=words, next_runs=times)
