"""What every adapter of the port Queue must do. A subclass gives the fixture ``queue``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from triptych.messages import (
    AI_QUEUE,
    GATHER_QUEUE,
    HEADER_REASON,
    QUEUES,
    URL_QUEUE,
    Delivery,
    Message,
    dead_letter_queue,
)
from triptych.queues.queue import Queue, QueueDepth

MAX_RECEIVES = 3
"""The fixture's ``max_receives``."""
HIDDEN_S = 600.0
SHORT_S = 2.0
PATIENCE_S = 20.0
"""Deadline of waits that end as soon as their condition holds."""


async def take(queue: Queue, name: str = URL_QUEUE, **options: float) -> Sequence[Delivery]:
    return await queue.receive(
        name,
        limit=int(options.get("limit", 10)),
        visibility_s=options.get("visibility_s", HIDDEN_S),
        wait_s=options.get("wait_s", 0),
    )


def numbered(count: int) -> list[Message]:
    return [
        Message({"brand": "nike", "url": f"https://x/{n}", "metadata": {"n": n}}, brand="nike")
        for n in range(count)
    ]


class QueueContract:
    """At-least-once, hidden while held, answered one by one, dead letters kept."""

    async def test_check_finds_every_queue(self, queue: Queue) -> None:
        await queue.check()

    async def test_body_and_headers_arrive_as_they_were_sent(self, queue: Queue) -> None:
        body = {
            "brand": "Å & <b>",
            "url": "https://x/ü?a=1",
            "metadata": {"n": [1, None, {"a": 2.5}]},
        }
        headers = {"triptych-run": "r", "traceparent": "00-ab-cd-01"}
        await queue.send(URL_QUEUE, [Message(body, headers, "Å & <b>")])
        (delivery,) = await take(queue, wait_s=PATIENCE_S)
        assert delivery.body == body
        assert headers.items() <= delivery.headers.items()
        assert (delivery.queue, delivery.receives) == (URL_QUEUE, 1)

    async def test_more_than_a_batch_is_sent_whole(self, queue: Queue) -> None:
        await queue.send(URL_QUEUE, numbered(257))
        seen: set[int] = set()
        while len(seen) < 257:
            found = await take(queue, limit=100, wait_s=PATIENCE_S)
            assert found, "some were lost"
            assert len(found) <= 100
            seen |= {delivery.body["metadata"]["n"] for delivery in found}
            await queue.delete(found)

    async def test_queues_are_apart(self, queue: Queue) -> None:
        await queue.send(GATHER_QUEUE, [Message({"brand": "nike"})])
        assert not await take(queue, AI_QUEUE)
        assert len(await take(queue, GATHER_QUEUE, wait_s=PATIENCE_S)) == 1

    async def test_g4_held_is_hidden_and_comes_back_when_its_time_is_over(
        self, queue: Queue
    ) -> None:
        await queue.send(URL_QUEUE, numbered(1))
        (first,) = await take(queue, visibility_s=SHORT_S, wait_s=PATIENCE_S)
        assert not await take(queue)
        (second,) = await take(queue, wait_s=PATIENCE_S)
        assert (second.id, second.receives) == (first.id, 2)

    async def test_g4_heartbeat_keeps_it_hidden(self, queue: Queue) -> None:
        await queue.send(URL_QUEUE, numbered(2))
        held, other = await take(queue, visibility_s=SHORT_S, wait_s=PATIENCE_S)
        await queue.extend([held], HIDDEN_S)
        (back,) = await take(queue, wait_s=PATIENCE_S)
        assert back.id == other.id

    async def test_g4_returned_is_visible_at_once(self, queue: Queue) -> None:
        await queue.send(URL_QUEUE, numbered(1))
        (first,) = await take(queue, wait_s=PATIENCE_S)
        await queue.extend([first], 0)
        (second,) = await take(queue, wait_s=PATIENCE_S)
        assert second.id == first.id

    async def test_deleted_never_comes_back(self, queue: Queue) -> None:
        await queue.send(URL_QUEUE, numbered(2))
        gone, kept = await take(queue, wait_s=PATIENCE_S)
        await queue.delete([gone])
        await queue.extend([gone, kept], 0)
        (back,) = await take(queue, wait_s=PATIENCE_S)
        assert back.id == kept.id

    async def test_deleting_twice_is_no_error(self, queue: Queue) -> None:
        await queue.send(URL_QUEUE, numbered(1))
        found = await take(queue, wait_s=PATIENCE_S)
        await queue.delete(found)
        await queue.delete(found)

    async def test_delayed_message_comes_later(self, queue: Queue) -> None:
        await queue.send(URL_QUEUE, numbered(1), delay_s=SHORT_S)
        assert not await take(queue)
        assert len(await take(queue, wait_s=PATIENCE_S)) == 1

    async def test_waiting_receive_wakes_when_a_message_comes(self, queue: Queue) -> None:
        waiting = asyncio.create_task(take(queue, AI_QUEUE, wait_s=PATIENCE_S))
        await queue.send(AI_QUEUE, [Message({"brand": "nike"})])
        assert len(await waiting) == 1

    async def test_dead_letter_moves_with_its_reason(self, queue: Queue) -> None:
        await queue.send(URL_QUEUE, [Message({"brand": "nike"}, {"traceparent": "t"})])
        (bad,) = await take(queue, wait_s=PATIENCE_S)
        await queue.dead_letter(bad, "url: Field required.")
        (dead,) = await take(queue, dead_letter_queue(URL_QUEUE), wait_s=PATIENCE_S)
        assert dead.body == bad.body
        assert dead.headers[HEADER_REASON] == "url: Field required."
        assert dead.headers["traceparent"] == "t"
        await queue.extend([bad], 0)
        assert not await take(queue)

    async def test_g3_received_too_often_is_a_dead_letter(self, queue: Queue) -> None:
        await queue.send(URL_QUEUE, numbered(1))
        for _ in range(MAX_RECEIVES):
            found = await take(queue, wait_s=PATIENCE_S)
            await queue.extend(found, 0)
        assert not await take(queue)
        (dead,) = await take(queue, dead_letter_queue(URL_QUEUE), wait_s=PATIENCE_S)
        assert dead.body["metadata"] == {"n": 0}

    async def test_dead_letters_stay_in_their_queue(self, queue: Queue) -> None:
        await queue.send(dead_letter_queue(AI_QUEUE), [Message({"brand": "nike"})])
        for _ in range(MAX_RECEIVES + 2):
            (dead,) = await take(queue, dead_letter_queue(AI_QUEUE), wait_s=PATIENCE_S)
            await queue.extend([dead], 0)

    async def test_depths_tell_waiting_from_held(self, queue: Queue) -> None:
        await queue.send(URL_QUEUE, numbered(5))
        await take(queue, limit=2, wait_s=PATIENCE_S)
        depths = {depth.queue: depth for depth in await queue.depths()}
        assert {*QUEUES, *map(dead_letter_queue, QUEUES)} == depths.keys()
        assert (depths[URL_QUEUE].waiting, depths[URL_QUEUE].in_flight) == (3, 2)
        assert depths[AI_QUEUE].waiting == 0

    async def test_put_off_is_delayed_and_there_once(self, queue: Queue) -> None:
        """Whoever puts a message off no longer works on it; it comes again as if never received."""
        await queue.send(URL_QUEUE, numbered(3))
        await queue.send(URL_QUEUE, numbered(1), delay_s=HIDDEN_S)
        held, busy = await take(queue, limit=2, wait_s=PATIENCE_S)
        await queue.put_off(busy, HIDDEN_S, counted=False)
        depth = await self.depth(queue)
        assert (depth.waiting, depth.in_flight, depth.delayed) == (1, 1, 2)
        await queue.put_off(held, SHORT_S, counted=False)
        (rest,) = await take(queue, wait_s=PATIENCE_S)
        await queue.delete([rest])
        (again,) = await take(queue, wait_s=PATIENCE_S)
        assert (again.body, again.receives) == (held.body, 1)
        assert again.headers == held.headers
        await queue.delete([again])
        await queue.put_off(again, 0, counted=True)  # It is gone, and stays it.
        depth = await self.depth(queue)
        assert (depth.waiting, depth.in_flight, depth.delayed) == (0, 0, 2)

    async def test_put_off_after_a_failure_counts_the_receive(self, queue: Queue) -> None:
        await queue.send(URL_QUEUE, numbered(1))
        for receives in range(1, 3):
            (found,) = await take(queue, wait_s=PATIENCE_S)
            assert found.receives == receives
            await queue.put_off(found, SHORT_S, counted=True)
            depth = await self.depth(queue)
            assert depth.waiting + depth.in_flight + depth.delayed == 1
        (found,) = await take(queue, wait_s=PATIENCE_S)
        depth = await self.depth(queue)
        assert (depth.waiting, depth.in_flight, depth.delayed) == (0, 1, 0)

    async def depth(self, queue: Queue) -> QueueDepth:
        return {depth.queue: depth for depth in await queue.depths()}[URL_QUEUE]

    async def test_closing_twice_is_no_error(self, queue: Queue) -> None:
        await queue.close()
        await queue.close()
