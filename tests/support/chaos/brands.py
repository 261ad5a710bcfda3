"""The brands of a trial: how each comes in, what it lists, and what must become of it.

All of it follows from the seed.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from tests.support.picture_server import picture

BRANDS = 7
ITEMS = (40, 100)
REVISIONS_MAX = 6
MISSING_EVERY = 25
"""So many items have one among them that no server has."""
CHANGED_EVERY = 5
"""So many items have one among them whose picture is another in each revision."""
SHARED_EVERY = 10
"""So many items have one among them whose picture another brand has, too."""
FAULTY_SHARE = 0.15
PICTURES = 1_000_000


class Way(StrEnum):
    """How a brand comes in."""

    API = "api"
    """Runs of a catalogue, each of a newer revision of it."""
    GATHER_MESSAGE = "gather_message"
    """One message to the gather queue, of no program of ours."""
    URL_MESSAGES = "url_messages"
    """One message for each URL, of no program of ours."""


class Fault(StrEnum):
    """How a host fails at an item for a moment; then it answers as it should."""

    SERVER_ERROR = "server_error"
    BUSY = "busy"
    """429, with a Retry-After of a second."""
    RESET = "reset"
    RESET_IN_BODY = "reset_in_body"
    CUT = "cut"
    """Fewer bytes than the length says."""
    SLOW = "slow"
    """All bytes, in small parts."""
    GONE_AT_FIRST = "gone_at_first"
    """404, which is final: this item may end either way."""


@dataclass(frozen=True)
class Brand:
    """One brand of a trial."""

    seed: int
    name: str
    way: Way
    items: int
    """Items of each revision."""
    revisions: int
    start_s: float
    """Seconds from the trial's start to its first run."""
    pause_s: float
    """Seconds between the end of a run and the start of the next."""

    def numbers(self, revision: int) -> range:
        """Return the items that a revision lists: some of the last one are gone, some are new."""
        first = revision * (self.items // 8)
        return range(first, first + self.items)

    def is_missing(self, number: int) -> bool:
        """Return whether no server ever has the item."""
        return number % MISSING_EVERY == MISSING_EVERY - 1

    def picture(self, number: int, revision: int) -> bytes:
        """Return an item's bytes while a revision is the newest."""
        of = revision if number % CHANGED_EVERY == 0 else 0
        owner = "all" if number % SHARED_EVERY == 1 else self.name
        return _png(_hashed(self.seed, owner, number, of) % PICTURES)

    def fault(self, number: int, revision: int) -> Fault | None:
        """Return how the item's host fails at it once in a revision, if it does."""
        dice = random.Random(_hashed(self.seed, self.name, number, revision))
        return dice.choice(list(Fault)) if dice.random() < FAULTY_SHARE else None

    def expected(self, number: int, revision: int) -> bytes | None:
        """Return the SHA-256 of an item's asset in a revision's snapshot; None if it has none."""
        if self.is_missing(number):
            return None
        return hashlib.sha256(self.picture(number, revision)).digest()

    def may_fail(self, number: int, revision: int) -> bool:
        """Return whether the item may end without an asset, although its host has it."""
        return self.fault(number, revision) is Fault.GONE_AT_FIRST


def make_brands(seed: int) -> tuple[Brand, ...]:
    """Return the brands of a seed."""
    dice = random.Random(f"brands {seed}")
    ways = [Way.GATHER_MESSAGE, Way.URL_MESSAGES]
    return tuple(
        Brand(
            seed=seed,
            name=f"brand-{number}",
            way=(way := ways[number] if number < len(ways) else Way.API),
            items=dice.randint(*ITEMS),
            revisions=REVISIONS_MAX if way is Way.API else 1,
            # What comes as a message comes while things happen.
            start_s=round(dice.uniform(0, 2) if way is Way.API else dice.uniform(5, 25), 1),
            pause_s=round(dice.uniform(0, 3), 1),
        )
        for number in range(BRANDS)
    )


@lru_cache(maxsize=4096)
def _png(number: int) -> bytes:
    return picture(number)


def _hashed(*parts: object) -> int:
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
