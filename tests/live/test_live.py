"""Live status over real sockets: the present state first, then newer ones, of any topic."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from msgspec import convert

from tests.support.live_server import PATIENCE_S, client, open_live_server
from triptych.dead_letters.dead_letter_store import DeadLetter
from triptych.live.limits import RUN_EVERY_S, Limits
from triptych.messages import Phase
from triptych.presence.presence_store import WorkerState
from triptych.runs.run_shown import RunShown

CHANGES = 40


async def test_g7_a_subscriber_gets_every_newer_state_to_the_last(
    migrated_dsn: str,
) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        run = await server.open()
        await one.subscribe(f"run:{run.id}", after=0)
        first = await one.until("state")
        newest = await server.stores.runs.run(run.id)
        assert convert(first["state"], RunShown) == RunShown.of(newest)
        assert not first["final"]
        items = await server.expect(run.id, 10)
        await server.settle(run.id, items)
        await server.finish(run.id)
        versions, states = [first["version"]], [first["state"]]
        seqs: list[int] = []
        while not (states[-1]["over"] and len(seqs) >= states[-1]["seq"]):
            frame = await one.hear()
            if frame["type"] == "state":
                versions.append(frame["version"])
                states.append(frame["state"])
            else:
                seqs += [event["seq"] for event in frame["events"]]
        assert versions == sorted(set(versions))
        newest = await server.stores.runs.run(run.id)
        assert convert(states[-1], RunShown) == RunShown.of(newest)
        events = await server.stores.runs.timeline(run.id, after=0, limit=1000)
        assert seqs == [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_g7_resuming_a_timeline_has_neither_gap_nor_duplicate(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server:
        run = await server.open()
        for page in range(450):
            await server.stores.runs.expect(run.id, [], cursor=str(page), limit=1)
        seq = (await server.stores.runs.run(run.id)).seq
        assert seq > 400
        async with client(server) as one:
            await one.subscribe(f"run:{run.id}", after=17)
            seqs: list[int] = []
            while len(seqs) < seq - 17:
                frame = await one.until("timeline")
                seqs += [event["seq"] for event in frame["events"]]
                assert frame["last"] == seqs[-1]
        assert seqs == list(range(18, seq + 1))


async def test_states_of_a_busy_run_are_coalesced_and_the_last_one_arrives(
    migrated_dsn: str,
) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        run = await server.open()
        await one.subscribe(f"run:{run.id}")
        await one.until("state")
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(CHANGES):
            await server.stores.runs.pause(run.id, paused=number % 2 == 0)
            await asyncio.sleep(0.01)
        last = (await server.stores.runs.cancel(run.id)).version
        frames = [await one.until("state")]
        while frames[-1]["version"] < last:
            frames.append(await one.until("state"))
        assert frames[-1]["final"]
        assert len(frames) <= (loop.time() - began) / RUN_EVERY_S + 1
        assert len(frames) < CHANGES


async def test_a_run_that_stalls_is_told_of_although_nobody_changes_it(migrated_dsn: str) -> None:
    limits = Limits(stalled_s=1.0)
    async with open_live_server(migrated_dsn, limits=limits) as server, client(server) as one:
        run = await server.open()
        await one.subscribe(f"run:{run.id}", "brands")
        first = await one.until("state", topic=f"run:{run.id}")
        assert not first["state"]["stalled"]
        stalled: dict[str, int] = {}
        while len(stalled) < 2:
            frame = await one.until("state")
            of_run = frame["topic"].startswith("run:")
            if (frame["state"] if of_run else frame["state"]["latest"])["stalled"]:
                stalled[frame["topic"]] = frame["version"]
        assert stalled[f"run:{run.id}"] > first["version"]
        await server.stores.runs.pause(run.id, paused=True)
        while (await one.until("state", topic=f"run:{run.id}"))["state"]["stalled"]:
            pass


async def test_brands_are_listed_once_and_then_told_of(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        runs = {name: await server.open(name) for name in ("adidas", "nike")}
        await one.subscribe("brands")
        states = [await one.until("state", key=name) for name in runs]
        assert [frame["state"]["latest"]["id"] for frame in states] == [
            str(run.id) for run in runs.values()
        ]
        assert (await one.hear()) == {"type": "listed", "topic": "brands", "count": 2}
        await server.open("puma")
        assert (await one.until("state"))["key"] == "puma"
        await server.stores.runs.cancel(runs["nike"].id)
        frame = await one.until("state", key="nike")
        assert frame["state"]["latest"]["state"] == "cancelled"
        await server.database.fetch("delete from runs where brand = 'adidas'")
        await server.database.fetch("delete from brands where name = 'adidas'")
        while (frame := await one.until("state", key="adidas"))["state"] is not None:
            assert frame["version"] >= states[0]["version"]


async def test_a_brand_is_told_of_before_and_after_it_exists(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        await one.subscribe("brand:nike")
        assert (await one.until("state", topic="brand:nike"))["state"] is None
        run = await server.open()
        frame = await one.until("state", topic="brand:nike")
        assert frame["state"]["latest"]["id"] == str(run.id)
        await server.stores.runs.cancel(run.id)
        later = await one.until("state", topic="brand:nike")
        assert later["version"] > frame["version"]
        assert later["state"]["latest"]["state"] == "cancelled"


async def test_a_run_that_does_not_exist_is_null(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        await one.subscribe(f"run:{uuid4()}", after=0)
        frame = await one.until("state")
        assert (frame["state"], frame["final"]) == (None, True)


async def test_queues_are_told_of_when_their_depth_changes(migrated_dsn: str) -> None:
    from triptych.messages import GATHER_QUEUE, Message

    async with open_live_server(migrated_dsn) as server, client(server) as one:
        await one.subscribe("queues")
        first = await one.until("state", topic="queues")
        assert not any(queue["waiting"] for queue in first["state"]["queues"])
        await server.queue.send(GATHER_QUEUE, [Message({"brand": "nike"}, {})])
        frame = await one.until("state", topic="queues")
        assert frame["version"] > first["version"]
        depth = {queue["queue"]: queue for queue in frame["state"]["queues"]}[GATHER_QUEUE]
        assert (depth["waiting"], depth["in_flight"]) == (1, 0)
        (delivery,) = await server.queue.receive(
            GATHER_QUEUE, limit=1, visibility_s=60, wait_s=PATIENCE_S
        )
        await server.queue.delete([delivery])
        # Acknowledging tells nothing: the depth is looked at again by itself.
        last = await one.until("state", topic="queues")
        while any(queue["waiting"] or queue["in_flight"] for queue in last["state"]["queues"]):
            last = await one.until("state", topic="queues")


async def test_dead_letters_that_wait_are_counted_as_they_come_and_go(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        await one.subscribe("queues")
        first = await one.until("state", topic="queues")
        assert first["state"]["dead_letters"] == 0
        for number in range(3):
            letter = DeadLetter("url-process-queue", f"m{number}", {}, {}, "no object", None)
            await server.stores.dead_letters.record(letter)
        waiting = first
        while waiting["state"]["dead_letters"] < 3:
            waiting = await one.until("state", topic="queues")
        assert (await server.stores.dead_letters.count(limit=2)).waiting == 2
        newest = waiting["state"]["newest_letter"]
        assert await server.stores.dead_letters.redrive_letters(ids=None, queue=None, limit=10) == 3
        while waiting["state"]["dead_letters"]:
            waiting = await one.until("state", topic="queues")
        assert waiting["version"] > first["version"]
        # One is sent again and another comes at once: as many wait as before, and it is told of.
        await server.stores.dead_letters.record(
            DeadLetter("url-process-queue", "m9", {}, {}, "none", None)
        )
        while waiting["state"]["newest_letter"] == newest:
            waiting = await one.until("state", topic="queues")


async def test_workers_are_told_of_as_they_come_and_go(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        await one.subscribe("workers")
        assert (await one.until("state", topic="workers"))["state"] == {"workers": []}
        worker = WorkerState(uuid4(), "host", 1, "1", ["ai"], {"q": 2}, False, datetime.now(UTC))
        await server.stores.presence.beat(worker, forget_s=60)
        (shown,) = (await one.until("state", topic="workers"))["state"]["workers"]
        assert (shown["id"], shown["alive"], shown["doing"]) == (str(worker.id), True, {"q": 2})
        await server.stores.presence.leave(worker.id)
        assert (await one.until("state", topic="workers"))["state"] == {"workers": []}


async def test_limits_are_told_of_as_they_change(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        await one.subscribe("limits")
        first = (await one.until("state", topic="limits"))["state"]
        assert [phase["phase"] for phase in first["phases"]] == ["gather", "acquire", "ai"]
        assert not first["hosts"]
        put = server.stores.limits
        await put.put_phase(Phase.ACQUIRE, paused=True, concurrency=4, by="key:anna")
        paused = (await one.until("state", topic="limits"))["state"]["phases"][1]
        assert (paused["paused"], paused["concurrency"]) == (True, 4)
        assert paused["paused_by"] == "key:anna"
        await put.put_host("a.example", paused=True, concurrency=None, per_second=None, by="b")
        (host,) = (await one.until("state", topic="limits"))["state"]["hosts"]
        assert (host["host"], host["paused"], host["paused_by"]) == ("a.example", True, "b")


async def test_g7_nobody_polls_one_subscription_and_no_other_request(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        run = await server.open()
        await one.subscribe(f"run:{run.id}", after=0)
        reads = server.app.hub.counters.reads
        heard = [await one.hear()]
        assert heard[0]["state"]["expected"] == 0
        items = await server.expect(run.id, 100)
        for start in range(0, 100, 10):
            await server.settle(run.id, items[start : start + 10])
        await server.finish(run.id)
        while not heard[-1].get("final"):
            heard.append(await one.hear())
        assert heard[-1]["state"]["settled"] == 100
        # What the client sent is one subscription. The server read for what changed, and paused
        # when nothing did: a read for each state, and one for each page of the timeline.
        states = sum(frame["type"] == "state" for frame in heard)
        changes = server.app.hub.counters.reads
        assert changes - reads <= 2 * (states + 1)
        await asyncio.sleep(4 * RUN_EVERY_S)
        assert server.app.hub.counters.reads <= changes + 2


async def test_readers_share_one_read_for_a_change(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, asyncio.TaskGroup() as group:
        run = await server.open()

        async def follow() -> int:
            async with client(server) as one:
                await one.subscribe(f"run:{run.id}", f"brand:{run.brand}")
                ready.release()
                await one.until("state", topic=f"run:{run.id}", final=True)
                return 1

        ready = asyncio.Semaphore(0)
        followers = [group.create_task(follow()) for _ in range(50)]
        for _ in followers:
            await ready.acquire()
        await asyncio.sleep(2 * RUN_EVERY_S)
        before = server.app.hub.counters.reads
        await server.stores.runs.cancel(run.id)
        assert sum([await follower for follower in followers]) == 50
        assert server.app.hub.counters.reads - before <= 2


async def test_unsubscribing_ends_it_and_the_topic_is_forgotten(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        run, other = await server.open(), await server.open("adidas")
        await one.subscribe(f"run:{run.id}", f"run:{other.id}")
        await one.say(type="unsubscribe", topics=[f"run:{run.id}"], id="u")
        assert (await one.until("unsubscribed"))["id"] == "u"
        await server.stores.runs.cancel(run.id)
        await server.stores.runs.cancel(other.id)
        frame = await one.until("state", final=True)
        assert frame["topic"] == f"run:{other.id}"


async def test_subscribing_again_starts_anew(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        run = await server.open()
        for _ in range(3):
            await one.subscribe(f"run:{run.id}", after=0)
            assert (await one.until("state"))["version"] >= run.version
            assert (await one.until("timeline"))["events"][0]["seq"] == 1


async def test_g7_a_lost_connection_to_the_database_is_caught_up_with(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        run = await server.open()
        await one.subscribe(f"run:{run.id}", "brands")
        await one.until("listed")
        await server.database.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'triptych-listen' and datname = current_database()"
        )
        await server.stores.runs.cancel(run.id)
        await server.database.fetch("delete from brands where name = 'adidas'")
        await one.until("state", topic=f"run:{run.id}", final=True)


async def test_g7_what_no_notification_told_of_is_found(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        run = await server.open()
        await one.subscribe(f"run:{run.id}")
        await one.until("state")
        await server.database.fetch("alter table runs disable trigger run_notify")
        await server.stores.runs.cancel(run.id)
        assert (await one.until("state", final=True))["state"]["state"] == "cancelled"


async def test_g7_a_bad_row_ends_no_stream_but_its_own(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        good, bad = await server.open("good"), await server.open("bad")
        await server.database.fetch("alter table runs drop constraint runs_kind_check")
        await server.database.fetch("update runs set kind = 'of tomorrow' where brand = 'bad'")
        await server.database.fetch(
            "select add_event(id, 'odd', '[1, 2]') from runs where brand = 'good'"
        )
        await one.subscribe(f"run:{bad.id}", f"run:{good.id}", after=0)
        await one.until("state", topic=f"run:{good.id}")
        assert (await one.until("timeline"))["events"][-1]["data"] == [1, 2]
        await server.database.fetch("update runs set paused = true")
        await server.stores.runs.cancel(good.id)
        await one.until("state", topic=f"run:{good.id}", final=True)


async def test_any_asgi_server_will_do(migrated_dsn: str) -> None:
    """Without the extensions of our own server: through ASGI's messages alone."""
    async with (
        open_live_server(migrated_dsn, ws="websockets-sansio") as server,
        client(server) as one,
    ):
        run = await server.open()
        await one.subscribe(f"run:{run.id}", "brands", after=0)
        await one.until("listed")
        last = await server.stores.runs.cancel(run.id)
        assert (await one.until("state", final=True))["version"] == last.version
