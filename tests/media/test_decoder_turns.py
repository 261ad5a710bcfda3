"""Who decodes next: turns by owner, slow pictures beside the others, those of losers last."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import pytest

from triptych.media import decoder_turns
from triptych.media.decoder_turns import LAST_AFTER_S, LAST_SHARE, DecoderTurns, Rank, Turn

QUICK_S = 0.01
COSTLY_S = 5.0


class Decoding:
    """Decoders whose pictures take what the test says, on a clock of the test."""

    def __init__(self, places: int) -> None:
        self.now = 0.0
        self.turns = DecoderTurns(places, clock=lambda: self.now)
        self.running: list[tuple[float, Turn]] = []
        self.begun: list[str] = []
        self.ended: list[tuple[str, float]] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(
        self, owner: str, seconds: float, rank: Rank = Rank.QUICK, count: int = 1
    ) -> None:
        self.tasks += [
            asyncio.create_task(self._picture(owner, seconds, rank)) for _ in range(count)
        ]
        await self.settle()

    async def _picture(self, owner: str, seconds: float, rank: Rank) -> None:
        turn = await self.turns.take(owner, rank)
        self.begun.append(owner)
        self.running.append((self.now + seconds, turn))

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def next_end(self) -> str:
        """Let time pass until the first picture is done; return whose it was."""
        self.running.sort(key=lambda each: each[0])
        self.now, turn = self.running.pop(0)
        self.turns.give_back(turn)
        self.ended.append((turn.owner, self.now))
        await self.settle()
        return turn.owner

    async def until_done(self, owner: str) -> float:
        """Return when an owner has no picture left."""
        for _ in range(100_000):
            if not self.turns._active[owner]:
                return self.now
            await self.next_end()
        raise AssertionError("it never ends")


@pytest.mark.parametrize("places", [1, 2, 4])
async def test_turns_go_round_by_owner_not_by_arrival(places: int) -> None:
    decoding = Decoding(places)
    await decoding.ask("many", QUICK_S, count=500)
    await decoding.ask("few", QUICK_S, count=5)
    await decoding.until_done("few")
    ended = Counter(owner for owner, _ in decoding.ended)
    assert ended["few"] == 5
    assert ended["many"] <= 5 + 2 * places


@pytest.mark.parametrize("places", [1, 2, 4])
async def test_costly_pictures_are_paid_for_by_their_owner(places: int) -> None:
    decoding = Decoding(places)
    await decoding.ask("costly", COSTLY_S, count=50)
    await decoding.ask("other", QUICK_S, count=20)
    done = await decoding.until_done("other")
    # Those that were being decoded end; none begins before the other brand is done.
    last = len(decoding.begun) - decoding.begun[::-1].index("other")
    assert decoding.begun[:last].count("costly") == places
    assert done <= COSTLY_S + 20 * QUICK_S


@pytest.mark.parametrize("places", [2, 4])
async def test_what_may_be_slow_leaves_a_decoder_to_the_others(places: int) -> None:
    alone = Decoding(places)
    await alone.ask("other", QUICK_S, count=5)
    needed = await alone.until_done("other")
    decoding = Decoding(places)
    await decoding.ask("costly", COSTLY_S, Rank.SLOW, count=8)
    assert decoding.turns.holding("costly") == places - 1
    await decoding.ask("other", QUICK_S, count=5)
    done = await decoding.until_done("other")
    assert decoding.begun.count("costly") == places - 1, "none began meanwhile"
    assert done <= 2 * needed if places == 2 else done <= 5 * QUICK_S


async def test_with_one_decoder_slow_pictures_are_decoded_too() -> None:
    decoding = Decoding(1)
    await decoding.ask("a", COSTLY_S, Rank.SLOW, count=2)
    await decoding.ask("b", COSTLY_S, Rank.LAST, count=2)
    for owner in ("a", "b"):
        await decoding.until_done(owner)
    assert decoding.begun == ["a", "a", "b", "b"]


async def test_who_has_lost_decoders_waits_last() -> None:
    decoding = Decoding(2)
    await decoding.ask("loser", QUICK_S, Rank.LAST, count=1)  # Nobody else waits.
    await decoding.ask("loser", QUICK_S, Rank.LAST, count=3)
    await decoding.ask("a", QUICK_S, Rank.SLOW, count=10)
    await decoding.ask("b", QUICK_S, count=10)
    for owner in ("a", "b"):
        await decoding.until_done(owner)
    begun = decoding.begun
    assert begun.count("loser") <= 2
    assert await decoding.until_done("loser") > 0
    assert begun[-2:] == ["loser", "loser"]


async def test_waiting_last_ends_though_others_always_wait() -> None:
    decoding = Decoding(1)
    await decoding.ask("busy", 1.0, count=10)
    await decoding.ask("loser", 1.0, Rank.LAST, count=3)
    for _ in range(int(LAST_AFTER_S + 3 * LAST_SHARE) + 5):
        await decoding.next_end()
        await decoding.ask("busy", 1.0)
    losers = [at for owner, at in decoding.ended if owner == "loser"]
    assert len(losers) == 3
    assert losers[0] >= LAST_AFTER_S
    assert min(later - sooner for sooner, later in itertools.pairwise(losers)) >= LAST_SHARE


async def test_who_comes_again_has_no_advantage_of_it() -> None:
    """One picture at a time, each costly: what the last one took is still counted."""
    decoding = Decoding(1)
    await decoding.ask("steady", QUICK_S, count=2_000)
    served = 0.0
    for _ in range(600):
        if not decoding.turns._active["coming"]:
            await decoding.ask("coming", 1.0)
        if await decoding.next_end() == "coming":
            served += 1.0
    steady = sum(owner == "steady" for owner, _ in decoding.ended) * QUICK_S
    assert served <= steady + 2.0


async def test_a_cancelled_wait_costs_no_place() -> None:
    decoding = Decoding(1)
    await decoding.ask("a", 1.0)
    waiting = [asyncio.create_task(decoding.turns.take("b")) for _ in range(3)]
    await decoding.settle()
    waiting[0].cancel()  # While it waits.
    await decoding.settle()
    await asyncio.gather(waiting[0], return_exceptions=True)
    decoding.now, turn = decoding.running.pop()
    decoding.turns.give_back(turn)  # It is the second one's, which is cancelled before it hears it.
    waiting[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[1]
    third = await asyncio.wait_for(waiting[2], 30)
    decoding.turns.give_back(third)
    assert (decoding.turns.waiting(), decoding.turns._held) == (0, set())
    assert not decoding.turns._active


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_turns, "OWNERS_REMEMBERED", 10)
    decoding = Decoding(1)
    await decoding.ask("always", QUICK_S, count=300)
    for number in range(100):
        await decoding.ask(f"brand {number}", QUICK_S)
        await decoding.until_done(f"brand {number}")
    assert len(decoding.turns._used) <= 12
