"""Turns at decoders, shared out by owner: nobody waits for all of another's costly pictures.

An owner is a brand in phase 2, and an identity in search. The next free decoder goes to the owner
whose pictures have taken the least decoder time while others wanted it (start-time fair queueing,
Goyal et al. 1996, without weights), so an owner of many or of costly pictures gets its share and no
more. What a picture costs is known only afterwards. So pictures that may be slow leave one decoder
to the others, and pictures of whoever has lost decoders wait last.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from itertools import count

TURN_S = 0.001
"""What each turn costs its owner beside the time that it takes, so that equals alternate."""
LAST_AFTER_S = 20.0
"""Decoder time of others after which a picture that waits last has a turn, however many wait."""
LAST_SHARE = 20
"""From then on the pictures that wait last have one part in so many of the decoders' time."""
OWNERS_REMEMBERED = 1_000
"""Owners without a picture of which it is known what their last ones took."""


class Rank(IntEnum):
    """In which order pictures of one owner, and of owners with equal claims, are decoded."""

    QUICK = 0
    SLOW = 1
    """It may take long: pictures of this rank and the next never hold the last decoder."""
    LAST = 2
    """It is decoded when nothing else waits, and in `LAST_SHARE` of the time if that never is."""


@dataclass(eq=False, slots=True)
class Turn:
    """A picture's place in the queue, then at a decoder."""

    owner: str
    rank: Rank
    number: int
    """Later turns have higher ones."""
    granted: asyncio.Future[None]
    begun: float = 0.0


class DecoderTurns:
    """Turns at ``places`` decoders. For one event loop.

    The callers bound how many wait.
    """

    def __init__(self, places: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = places
        self._guarded_max = max(1, places - 1)
        self._clock = clock
        self._numbers = count()
        self._waiting: dict[tuple[Rank, str], deque[Turn]] = {}
        self._held: set[Turn] = set()
        self._active: Counter[str] = Counter()
        self._used: dict[str, float] = {}
        self._last_s = self._others_s = 0.0

    async def take(self, owner: str, rank: Rank = Rank.QUICK) -> Turn:
        """Wait for a turn; hand it back with `give_back`. Cancelling the wait costs no place."""
        turn = Turn(owner, rank, next(self._numbers), asyncio.get_running_loop().create_future())
        self._enter(owner)
        self._waiting.setdefault((rank, owner), deque()).append(turn)
        self._grant()
        try:
            await turn.granted
        except asyncio.CancelledError:
            if turn in self._held:
                self.give_back(turn)
            else:
                self._withdraw(turn)
            raise
        return turn

    def give_back(self, turn: Turn) -> None:
        """End a turn: its time is its owner's, and the next one begins."""
        self._held.remove(turn)
        taken = self._clock() - turn.begun
        self._used[turn.owner] += taken
        if turn.rank is Rank.LAST:
            self._last_s += taken
        elif self._is_waiting(Rank.LAST):
            self._others_s += taken
        self._leave(turn.owner)
        self._grant()

    def holding(self, owner: str) -> int:
        """Return how many decoders an owner holds."""
        return sum(turn.owner == owner for turn in self._held)

    def waiting(self) -> int:
        """Return how many pictures wait."""
        return sum(len(turns) for turns in self._waiting.values())

    def _grant(self) -> None:
        while len(self._held) < self._places and (turn := self._next()) is not None:
            self._dequeue(turn)
            if turn.granted.done():
                continue  # Cancelled; its caller is about to withdraw it.
            turn.begun = self._clock()
            self._used[turn.owner] += TURN_S
            self._held.add(turn)
            turn.granted.set_result(None)

    def _next(self) -> Turn | None:
        """Return whose turn it is; None if nobody waits whose picture may be decoded now."""
        guarded = sum(turn.rank is not Rank.QUICK for turn in self._held) >= self._guarded_max
        first = self._first(Rank.QUICK) if guarded else self._first(Rank.QUICK, Rank.SLOW)
        if guarded or (first is not None and not self._last_is_due()):
            return first
        return self._first(Rank.LAST) or first

    def _last_is_due(self) -> bool:
        return self._others_s > LAST_AFTER_S + LAST_SHARE * self._last_s

    def _first(self, *ranks: Rank) -> Turn | None:
        heads = [turns[0] for (rank, _), turns in self._waiting.items() if rank in ranks]
        return min(heads, key=lambda turn: (self._cost(turn.owner), turn.number), default=None)

    def _cost(self, owner: str) -> float:
        now = self._clock()
        running = sum(now - turn.begun for turn in self._held if turn.owner == owner)
        return self._used[owner] + running

    def _enter(self, owner: str) -> None:
        """Count an owner's picture. What one that comes again has used is still counted."""
        if not self._active:
            # Nobody had to wait for what has been used.
            self._used.clear()
        if not self._active[owner]:
            least = min((self._cost(other) for other in +self._active), default=0.0)
            self._used[owner] = max(self._used.get(owner, 0.0), least)
        self._active[owner] += 1
        if len(self._used) > OWNERS_REMEMBERED + len(self._active):
            self._forget()

    def _forget(self) -> None:
        """Forget half of the owners without pictures: those who used the least."""
        absent = sorted((used, o) for o, used in self._used.items() if not self._active[o])
        for _, owner in absent[: len(absent) // 2]:
            del self._used[owner]

    def _leave(self, owner: str) -> None:
        self._active[owner] -= 1
        if not self._active[owner]:
            del self._active[owner]

    def _withdraw(self, turn: Turn) -> None:
        self._dequeue(turn)
        self._leave(turn.owner)
        self._grant()

    def _dequeue(self, turn: Turn) -> None:
        place = (turn.rank, turn.owner)
        turns = self._waiting.get(place)
        if turns is None or turn not in turns:
            return  # Cancelled and skipped before.
        turns.remove(turn)
        if not turns:
            del self._waiting[place]
        if not self._is_waiting(Rank.LAST):
            self._last_s = self._others_s = 0.0

    def _is_waiting(self, rank: Rank) -> bool:
        return any(each is rank for each, _ in self._waiting)
