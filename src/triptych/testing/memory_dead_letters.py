"""Dead letters in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import asdict, replace
from typing_extensions import override

from triptych.dead_letters.dead_letter_store import (
    NOT_REDRIVEN,
    DeadLetter,
    DeadLetterStore,
    KeptLetter,
    Letters,
)
from triptych.messages import Message
from triptych.model import RunState, Slice
from triptych.runs.change_feed import News
from triptych.testing.memory_state import MemoryState, as_json


class MemoryDeadLetterStore(DeadLetterStore):
    """`DeadLetterStore` in memory."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self._newest_id = 0

    def _newest(self) -> list[KeptLetter]:
        return list(self._state.letters.values())[::-1]

    @override
    async def record(self, letter: DeadLetter) -> None:
        known = {(kept.queue, kept.message_id) for kept in self._newest()}
        if (letter.queue, letter.message_id) not in known:
            self._newest_id += 1
            number = self._newest_id
            fields = asdict(letter) | {
                "body": as_json(letter.body),
                "headers": as_json(letter.headers),
            }
            self._state.letters[number] = KeptLetter(
                **fields, id=number, at=self._state.now(), redriven_at=None
            )
            self._state.notify(News(queues=True))

    @override
    async def dead_letters(self, *, limit: int) -> Sequence[tuple[datetime, DeadLetter]]:
        return [(kept.at, kept.letter) for kept in self._newest()[:limit]]

    @override
    async def page(self, *, before: int | None, limit: int) -> Slice[KeptLetter, int]:
        found = [kept for kept in self._newest() if before is None or kept.id < before]
        return Slice(found[:limit], found[limit - 1].id if len(found) > limit else None)

    @override
    async def count(self, *, limit: int) -> Letters:
        letters = self._newest()
        waiting = sum(kept.redriven_at is None for kept in letters)
        return Letters(min(waiting, limit), letters[0].id if letters else None)

    @override
    async def redrive_letters(
        self, *, ids: Sequence[int] | None, queue: str | None, limit: int
    ) -> int:
        chosen = [
            kept
            for kept in self._state.letters.values()
            if (ids is None or kept.id in ids)
            and queue in (None, kept.queue)
            and self._redrivable(kept)
        ][:limit]
        for kept in chosen:
            headers = {k: str(v) for k, v in kept.headers.items() if k not in NOT_REDRIVEN}
            brand = kept.body.get("brand")
            message = Message(kept.body, headers, "" if brand is None else str(brand))
            self._state.owe(kept.queue, message, None)
            self._state.letters[kept.id] = replace(kept, redriven_at=self._state.now())
        if chosen:
            self._state.notify(News(queues=True))
        return len(chosen)

    @override
    async def discard(self, ids: Sequence[int]) -> int:
        found = [number for number in set(ids) if self._state.letters.pop(number, None)]
        if found:
            self._state.notify(News(queues=True))
        return len(found)

    def _redrivable(self, kept: KeptLetter) -> bool:
        run_id = kept.run_id
        run = self._state.runs.get(run_id) if run_id is not None else None
        ended = run is None or run.run.state is not RunState.ACTIVE
        return kept.redriven_at is None and isinstance(kept.body, dict) and ended
