"""Topics: the newest state, encoded once for all subscriptions, and the subscriptions.

A subscription holds no frames, only its position: a slow client is sent the state that is newest
when it can take it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from uuid import UUID

from websockets.frames import Frame, Opcode

from triptych.live.limits import TIMELINE_PAGES_KEPT
from triptych.live.protocol import BRANDS, Listed, dump, dump_state, state_frame
from triptych.model import Brand, Run, TimelineEvent
from triptych.runs.run_shown import BrandState, RunShown, is_over

NEVER = 0
"""Edition of a topic without a known state."""

Read = Callable[[UUID, int], Awaitable[Sequence[TimelineEvent]]]


Write = Callable[[bytes], bool]
"""Writes an encoded frame, or nothing if the client is not ready for it; returns whether it did."""


class Reader(Protocol):
    """A client, as topics see it."""

    def mark(self, subscription: Subscription) -> None:
        """Note that there is news for this subscription."""
        ...


class Subscription:
    """One client's position in one topic."""

    __slots__ = ("after", "brands", "changed", "edition", "listing", "reader", "topic")

    def __init__(
        self,
        reader: Reader,
        topic: Topic,
        after: int | None = None,
        brands: frozenset[str] | None = None,
    ) -> None:
        self.reader = reader
        self.brands = brands
        """The only brands that the client may see; None: all."""
        self.topic = topic
        self.edition = NEVER
        """The edition of the newest state that was sent."""
        self.after = after
        """Runs: seq of the newest timeline event that was sent; None without a timeline."""
        self.listing: list[str] | None = None
        """Brands: names still to be listed, in reverse; None before there is a list."""
        self.changed: dict[str, None] = {}
        """Brands: names whose state is newer than the one that was sent."""

    def may_see(self, brand: str | None) -> bool:
        """Return whether the client may see a brand."""
        return self.brands is None or brand in self.brands


class Topic:
    """Something that clients subscribe to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscriptions: dict[Subscription, None] = {}
        self.edition = NEVER
        """Grows by one with every state that differs from the previous one."""
        self.version = -1
        self.brand: str | None = None
        """The brand that the state is about. Another brand's state is null to limited clients."""
        self.published_at = 0.0
        self._text = ""
        self._wire: bytes | None = None
        """The encoded frame: the same for all clients, because servers do not mask."""

    def offer(self, version: int, state_json: str, *, final: bool = False) -> None:
        """Keep a state if its version is not older and it differs from the kept one."""
        if version < self.version:
            return
        text = state_frame(self.name, version, state_json, final=final)
        if text != self._text:
            self.version = version
            self.edition += 1
            self._text, self._wire = text, None

    def publish(self) -> None:
        """Mark every subscription that has not been sent the newest state."""
        for subscription in self.subscriptions:
            if subscription.edition != self.edition:
                subscription.reader.mark(subscription)

    def write_state(self, subscription: Subscription, write: Write) -> bool:
        """Write a new state directly, not by the client's task; return whether it was written."""
        if subscription.edition == self.edition or not subscription.may_see(self.brand):
            return False
        if self._wire is None:
            self._wire = Frame(Opcode.TEXT, self._text.encode()).serialize(mask=False)
        if not write(self._wire):
            return False
        subscription.edition = self.edition
        return True

    def has_more(self, subscription: Subscription) -> bool:
        """Return whether `next` has a frame for a subscription."""
        if not subscription.may_see(self.brand):
            return subscription.edition == NEVER != self.edition
        return subscription.edition != self.edition

    async def next(self, subscription: Subscription) -> str | None:
        """Return the next frame for a subscription; None if it is up to date."""
        if not Topic.has_more(self, subscription):
            return None
        subscription.edition = self.edition
        if not subscription.may_see(self.brand):
            return state_frame(self.name, 0, "null", final=True)
        return self._text


class RunTopic(Topic):
    """A run's state, and its timeline in pages that are read once and shared."""

    def __init__(self, name: str, run_id: UUID, read: Read) -> None:
        super().__init__(name)
        self.run_id = run_id
        self.seq = 0
        self.final = False
        self._read = read
        self._pages: dict[int, asyncio.Future[tuple[str, int]]] = {}

    def offer_run(self, run: Run) -> None:
        """Keep a run's state if it is newer."""
        if run.version <= self.version:
            return
        self.brand = run.brand
        self.final = is_over(run)
        self.offer(run.version, dump_state(RunShown.of(run)), final=self.final)
        if run.seq > self.seq:
            self.seq = run.seq
            self._pages = {}

    def gone(self) -> None:
        """Publish that there is no such run: it does not exist yet, or no longer."""
        self.final = True
        self.offer(max(self.version, 0), "null", final=True)

    def has_more(self, subscription: Subscription) -> bool:
        """See `Topic.has_more`."""
        after = subscription.after if subscription.may_see(self.brand) else None
        return super().has_more(subscription) or (after is not None and after < self.seq)

    async def next(self, subscription: Subscription) -> str | None:
        """Return the state if it is newer, otherwise the next page of the timeline.

        Raises:
            DatabaseUnavailable: the page cannot be read now.
        """
        state = await super().next(subscription)
        after = subscription.after if subscription.may_see(self.brand) else None
        if state is not None or after is None or after >= self.seq:
            return state
        text, last = await self._page(after)
        subscription.after = max(last, subscription.after or 0)
        return text or None

    async def _page(self, after: int) -> tuple[str, int]:
        pages = self._pages
        page = pages.get(after)
        if page is None or (page.done() and (page.cancelled() or page.exception() is not None)):
            page = asyncio.ensure_future(self._read_page(after))
            pages[after] = page
            if len(pages) > TIMELINE_PAGES_KEPT:
                del pages[next(iter(pages))]
        return await asyncio.shield(page)

    async def _read_page(self, after: int) -> tuple[str, int]:
        events = await self._read(self.run_id, after)
        if not events:
            # The run has later events, but they are no longer kept.
            return "", self.seq
        last = events[-1].seq
        body = dump_state(events)
        topic = dump_state(self.name)
        text = f'{{"type":"timeline","topic":{topic},"last":{last},"events":{body}}}'
        return text, last


class BrandsTopic(Topic):
    """Every brand's state: first all of them, then each one that changes."""

    def __init__(self, name: str = BRANDS) -> None:
        super().__init__(name)
        self._brands: dict[str, tuple[int, str]] = {}

    def offer_all(self, brands: Sequence[Brand]) -> None:
        """Keep the states of all existing brands; remove the others, and publish the removal."""
        for name in self._brands.keys() - {brand.name for brand in brands}:
            self.gone(name)
        for brand in brands:
            self.offer_brand(brand)
        names = sorted(self._brands, reverse=True)
        for subscription in self.subscriptions:
            if subscription.listing is None:
                subscription.listing = [name for name in names if subscription.may_see(name)]
                subscription.changed.clear()
                subscription.reader.mark(subscription)

    def offer_brand(self, brand: Brand) -> None:
        """Keep a brand's state if it is newer or differs, and mark the subscriptions it affects."""
        known, old = self._brands.get(brand.name, (-1, ""))
        if brand.version < known:
            return
        body = dump_state(BrandState.of(brand))
        text = state_frame(self.name, brand.version, body, key=brand.name)
        if text != old:
            self._brands[brand.name] = (brand.version, text)
            self._mark(brand.name)

    def gone(self, name: str) -> None:
        """Publish that a brand has been deleted."""
        if self._brands.pop(name, None) is not None:
            self._mark(name)

    def _mark(self, name: str) -> None:
        for subscription in self.subscriptions:
            if subscription.listing is not None and subscription.may_see(name):
                subscription.changed[name] = None
                subscription.reader.mark(subscription)

    def write_state(self, subscription: Subscription, write: Write) -> bool:  # noqa: ARG002
        """Write nothing: the client's task sends brands, of which there may be thousands."""
        return False

    def has_more(self, subscription: Subscription) -> bool:
        """See `Topic.has_more`."""
        if subscription.listing is None:
            return False
        listed = not subscription.listing and subscription.edition != NEVER
        return not listed or bool(subscription.changed)

    async def next(self, subscription: Subscription) -> str | None:
        """Return the next brand of the list, then the end of the list, then changed brands."""
        if subscription.listing is None:
            return None
        if subscription.listing:
            name = subscription.listing.pop()
            subscription.changed.pop(name, None)
            return self._frame(name)
        if subscription.edition == NEVER:
            subscription.edition = NEVER + 1
            count = sum(map(subscription.may_see, self._brands))
            return dump(Listed(count=count))
        if subscription.changed:
            name = next(iter(subscription.changed))
            del subscription.changed[name]
            return self._frame(name)
        return None

    def _frame(self, name: str) -> str:
        known = self._brands.get(name)
        return known[1] if known is not None else state_frame(self.name, 0, "null", key=name)
