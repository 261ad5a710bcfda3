"""Live status over real sockets: the present state first, then newer ones, of any topic."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import re
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from bench.subscribers import subscribe
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.faults.cutting_proxy import open_proxy
from tests.faults.test_live import live_process
from tests.faults.world import environment
from tests.integration.live_world import PATIENCE_S, Client, client, open_world
from triptych.errors import LiveUnavailable
from triptych.live.client import Told, follow, timeline_remote, watch_remote
from triptych.live.limits import FRAME_MAX_BYTES, MESSAGE_MAX_BYTES, RUN_EVERY_S, Limits
from triptych.live.server import WRITE_BUFFER_BYTES, BoundedWebSocket
from triptych.states import run_of_state

CHANGES = 40


async def test_g7_a_subscriber_has_the_present_state_then_newer_ones_to_the_last(
    migrated_dsn: str,
) -> None:
    async with open_world(migrated_dsn) as world, client(world) as one:
        run = await world.open()
        await one.subscribe(f"run:{run.id}", after=0)
        first = await one.until("state")
        assert run_of_state(first["state"]) == await world.catalogue.run(run.id)
        assert not first["final"]
        items = await world.expect(run.id, 10)
        await world.settle(run.id, items)
        await world.finish(run.id)
        versions, seqs, states = [first["version"]], [], [first["state"]]
        while not (states[-1]["over"] and len(seqs) >= states[-1]["seq"]):
            frame = await one.hear()
            if frame["type"] == "state":
                versions.append(frame["version"])
                states.append(frame["state"])
            else:
                seqs += [event["seq"] for event in frame["events"]]
        assert versions == sorted(set(versions))
        assert run_of_state(states[-1]) == await world.catalogue.run(run.id)
        events = await world.catalogue.timeline(run.id, after=0, limit=1000)
        assert seqs == [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_g7_resuming_a_timeline_has_neither_gap_nor_duplicate(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world:
        run = await world.open()
        for page in range(450):
            await world.catalogue.expect(run.id, [], cursor=str(page), limit=1)
        seq = (await world.catalogue.run(run.id)).seq
        assert seq > 400
        async with client(world) as one:
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
    async with open_world(migrated_dsn) as world, client(world) as one:
        run = await world.open()
        await one.subscribe(f"run:{run.id}")
        await one.until("state")
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(CHANGES):
            await world.catalogue.pause(run.id, paused=number % 2 == 0)
            await asyncio.sleep(0.01)
        last = (await world.catalogue.cancel(run.id)).version
        frames = [await one.until("state")]
        while frames[-1]["version"] < last:
            frames.append(await one.until("state"))
        assert frames[-1]["final"]
        assert len(frames) <= (loop.time() - began) / RUN_EVERY_S + 1
        assert len(frames) < CHANGES


async def test_brands_are_listed_once_and_then_told_of(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world, client(world) as one:
        runs = {name: await world.open(name) for name in ("adidas", "nike")}
        await one.subscribe("brands")
        states = [await one.until("state", key=name) for name in runs]
        assert [frame["state"]["latest"]["id"] for frame in states] == [
            str(run.id) for run in runs.values()
        ]
        assert (await one.hear()) == {"type": "listed", "topic": "brands", "count": 2}
        await world.open("puma")
        assert (await one.until("state"))["key"] == "puma"
        await world.catalogue.cancel(runs["nike"].id)
        frame = await one.until("state", key="nike")
        assert frame["state"]["latest"]["state"] == "cancelled"
        await world.database.fetch("delete from runs where brand = 'adidas'")
        await world.database.fetch("delete from brands where name = 'adidas'")
        while (frame := await one.until("state", key="adidas"))["state"] is not None:
            assert frame["version"] >= states[0]["version"]


async def test_a_brand_is_told_of_before_and_after_it_exists(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world, client(world) as one:
        await one.subscribe("brand:nike")
        assert (await one.until("state", topic="brand:nike"))["state"] is None
        run = await world.open()
        frame = await one.until("state", topic="brand:nike")
        assert frame["state"]["latest"]["id"] == str(run.id)
        await world.catalogue.cancel(run.id)
        later = await one.until("state", topic="brand:nike")
        assert later["version"] > frame["version"]
        assert later["state"]["latest"]["state"] == "cancelled"


async def test_a_run_that_does_not_exist_is_null(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world, client(world) as one:
        await one.subscribe(f"run:{uuid4()}", after=0)
        frame = await one.until("state")
        assert (frame["state"], frame["final"]) == (None, True)


async def test_queues_are_told_of_when_their_depth_changes(migrated_dsn: str) -> None:
    from triptych.messages import GATHER_QUEUE, Message

    async with open_world(migrated_dsn) as world, client(world) as one:
        await one.subscribe("queues")
        first = await one.until("state", topic="queues")
        assert not any(queue["waiting"] for queue in first["state"]["queues"])
        await world.queue.send(GATHER_QUEUE, [Message({"brand": "nike"}, {})])
        frame = await one.until("state", topic="queues")
        assert frame["version"] > first["version"]
        depth = {queue["queue"]: queue for queue in frame["state"]["queues"]}[GATHER_QUEUE]
        assert (depth["waiting"], depth["in_flight"]) == (1, 0)
        (delivery,) = await world.queue.receive(
            GATHER_QUEUE, limit=1, visibility_s=60, wait_s=PATIENCE_S
        )
        await world.queue.delete([delivery])
        # Acknowledging tells nothing: the depth is looked at again by itself.
        last = await one.until("state", topic="queues")
        while any(queue["waiting"] or queue["in_flight"] for queue in last["state"]["queues"]):
            last = await one.until("state", topic="queues")


async def test_g7_nobody_polls_one_subscription_and_no_other_request(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world, client(world) as one:
        run = await world.open()
        await one.subscribe(f"run:{run.id}", after=0)
        reads = world.app.hub.counters.reads
        heard = [await one.hear()]
        assert heard[0]["state"]["expected"] == 0
        items = await world.expect(run.id, 100)
        for start in range(0, 100, 10):
            await world.settle(run.id, items[start : start + 10])
        await world.finish(run.id)
        while not heard[-1].get("final"):
            heard.append(await one.hear())
        assert heard[-1]["state"]["settled"] == 100
        # What the client sent is one subscription. The server read for what changed, and paused
        # when nothing did: a read for each state, and one for each page of the timeline.
        states = sum(frame["type"] == "state" for frame in heard)
        changes = world.app.hub.counters.reads
        assert changes - reads <= 2 * (states + 1)
        await asyncio.sleep(4 * RUN_EVERY_S)
        assert world.app.hub.counters.reads <= changes + 2


async def test_readers_share_one_read_for_a_change(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world, asyncio.TaskGroup() as group:
        run = await world.open()

        async def follow() -> int:
            async with client(world) as one:
                await one.subscribe(f"run:{run.id}", f"brand:{run.brand}")
                ready.release()
                await one.until("state", topic=f"run:{run.id}", final=True)
                return 1

        ready = asyncio.Semaphore(0)
        followers = [group.create_task(follow()) for _ in range(50)]
        for _ in followers:
            await ready.acquire()
        await asyncio.sleep(2 * RUN_EVERY_S)
        before = world.app.hub.counters.reads
        await world.catalogue.cancel(run.id)
        assert sum([await follower for follower in followers]) == 50
        assert world.app.hub.counters.reads - before <= 2


async def test_unsubscribing_ends_it_and_the_topic_is_forgotten(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world, client(world) as one:
        run, other = await world.open(), await world.open("adidas")
        await one.subscribe(f"run:{run.id}", f"run:{other.id}")
        await one.say(type="unsubscribe", topics=[f"run:{run.id}"], id="u")
        assert (await one.until("unsubscribed"))["id"] == "u"
        await world.catalogue.cancel(run.id)
        await world.catalogue.cancel(other.id)
        frame = await one.until("state", final=True)
        assert frame["topic"] == f"run:{other.id}"


async def test_subscribing_again_starts_anew(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world, client(world) as one:
        run = await world.open()
        for _ in range(3):
            await one.subscribe(f"run:{run.id}", after=0)
            assert (await one.until("state"))["version"] >= run.version
            assert (await one.until("timeline"))["events"][0]["seq"] == 1


BAD_FRAMES = {
    "no JSON": "{",
    "no object": "[1, 2]",
    "null": "null",
    "unknown type": '{"type": "shout"}',
    "unknown field": '{"type": "ping", "x": 1}',
    "wrong type": '{"type": "ping", "id": 5}',
    "no topic": '{"type": "subscribe", "topics": []}',
    "unknown topic": '{"type": "subscribe", "topics": [{"topic": "weather"}]}',
    "no id": '{"type": "subscribe", "topics": [{"topic": "run:1"}]}',
    "no brand": '{"type": "subscribe", "topics": [{"topic": "brand:../x"}]}',
    "negative": '{"type": "subscribe", "topics": [{"topic": "brands", "after": -1}]}',
    "too large a number": '{"type":"subscribe","topics":[{"topic":"brands","after":1e400}]}',
    "too many": json.dumps({"type": "unsubscribe", "topics": ["brands"] * 101}),
    "deep": "[" * (FRAME_MAX_BYTES - 1),
    "long": json.dumps({"type": "ping", "id": "x" * FRAME_MAX_BYTES}),
    "surrogate": '{"type": "ping", "id": "\\ud800"}',
    "binary": b'{"type": "ping"}',
}


async def test_g9_a_wrong_frame_is_answered_with_an_error_and_the_stream_goes_on(
    migrated_dsn: str,
) -> None:
    async with open_world(migrated_dsn) as world, client(world) as one:
        for what, frame in BAD_FRAMES.items():
            await one.socket.send(frame)
            error = await one.hear()
            assert error["type"] == "error", what
            assert error["code"] in {"malformed", "too_large"}, what
            await one.say(type="ping", id=what)
            assert await one.hear() == {"type": "pong", "id": what}


async def test_g8_a_huge_message_closes_its_client_and_no_other(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world, client(world) as bad, client(world) as good:
        await bad.socket.send("x" * (MESSAGE_MAX_BYTES + 1))
        assert (await bad.closed())[0] == 1009
        await good.say(type="ping")
        assert await good.hear() == {"type": "pong"}


async def test_g8_what_one_client_may_take_is_limited(migrated_dsn: str) -> None:
    limits = Limits(clients=2, subscriptions=3, frames_burst=5, frames_per_s=0.001, overruns=3)
    async with open_world(migrated_dsn, limits=limits) as world, client(world) as one:
        await one.subscribe("brand:a", "brand:b", "brand:c")
        await one.say(type="subscribe", topics=[{"topic": "brand:d"}], id="x")
        error = await one.until("error")
        assert (error["code"], error["id"]) == ("too_many", "x")
        async with client(world):
            with pytest.raises(InvalidStatus) as refused:
                await connect(world.url, proxy=None)
            assert refused.value.response.status_code == 503
        for _ in range(5):
            await one.say(type="ping")
        assert (await one.until("error"))["code"] == "too_fast"
        for _ in range(3):
            await one.say(type="ping")
        assert await one.closed() == (1008, "too many frames")


async def test_g7_malformed_notifications_end_no_stream(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world, client(world) as one:
        run = await world.open()
        await one.subscribe(f"run:{run.id}", "brands")
        for payload in ("", "garbage", "\x01", "x" * 7000, str(uuid4())):
            for channel in ("triptych_runs", "triptych_brands", "triptych_queues"):
                await world.database.fetch("select pg_notify($1, $2)", channel, payload)
        await world.catalogue.cancel(run.id)
        assert (await one.until("state", topic=f"run:{run.id}", final=True))["state"]


async def test_g7_a_lost_connection_to_the_database_is_caught_up_with(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world, client(world) as one:
        run = await world.open()
        await one.subscribe(f"run:{run.id}", "brands")
        await one.until("listed")
        await world.database.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'triptych-listen' and datname = current_database()"
        )
        await world.catalogue.cancel(run.id)
        await world.database.fetch("delete from brands where name = 'adidas'")
        await one.until("state", topic=f"run:{run.id}", final=True)


async def test_g7_what_no_notification_told_of_is_found(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world, client(world) as one:
        run = await world.open()
        await one.subscribe(f"run:{run.id}")
        await one.until("state")
        await world.database.fetch("alter table runs disable trigger run_notify")
        await world.catalogue.cancel(run.id)
        assert (await one.until("state", final=True))["state"]["state"] == "cancelled"


async def test_stopping_tells_clients_to_come_back_and_cuts_no_frame(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world:
        run = await world.open()
        async with client(world) as one:
            await one.subscribe(f"run:{run.id}")
            await one.until("state")
            world.stop.set()
            assert (await one.closed())[0] == 1012


REFUSED = {
    "a page of another site": {"Origin": "https://evil.example"},
    "a sandboxed page": {"Origin": "null"},
    "a name bound anew": {"Host": "evil.example"},
    "another port's page": {"Origin": "http://127.0.0.1:1"},
}


async def test_g9_other_sites_may_not_connect(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world:
        host = world.url.removeprefix("ws://").removesuffix("/ws")
        for what, headers in REFUSED.items():
            request = {"Host": host, **headers}
            lines = "".join(f"{name}: {value}\r\n" for name, value in request.items())
            assert await handshake(host, lines) == 403, what
        assert await handshake(host, f"Host: {host}\r\nOrigin: http://{host}\r\n") == 101
        assert await handshake(host, f"Host: {host}\r\n", path="/other") == 404
        unknown = f"Host: {host}\r\nSec-WebSocket-Protocol: triptych.v9\r\n"
        assert await handshake(host, unknown) == 400


UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def handshake(host: str, lines: str, *, path: str = "/ws") -> int:
    address, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(address, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\n{lines}{UPGRADE}".encode())
    status = (await asyncio.wait_for(reader.readline(), PATIENCE_S)).split()[1]
    writer.close()
    await writer.wait_closed()
    return int(status)


async def test_the_known_protocol_is_chosen(migrated_dsn: str) -> None:
    async with (
        open_world(migrated_dsn) as world,
        connect(world.url, proxy=None, subprotocols=["other", "triptych.v1"]) as socket,  # type: ignore[list-item]
    ):
        assert socket.subprotocol == "triptych.v1"


async def test_g9_bytes_that_are_no_frames_end_their_connection_only(migrated_dsn: str) -> None:
    rng = random.Random(3)
    async with open_world(migrated_dsn) as world, client(world) as good:
        host, port = world.url.removeprefix("ws://").removesuffix("/ws").split(":")
        for _ in range(50):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\n{UPGRADE}".encode())
            await reader.readuntil(b"\r\n\r\n")
            writer.write(rng.randbytes(rng.randrange(1, 2_000)))
            writer.write_eof()
            await asyncio.wait_for(reader.read(), PATIENCE_S)
            writer.close()
        await good.say(type="ping", id="still")
        assert await good.hear() == {"type": "pong", "id": "still"}


async def test_g8_who_does_not_read_is_closed_and_delays_nobody(migrated_dsn: str) -> None:
    """What waits for a client that does not read: the write buffers and no more."""
    async with open_world(migrated_dsn, limits=Limits(slow_s=0.5)) as world:
        run = await world.open()
        port = int(world.url.rpartition(":")[2].removesuffix("/ws"))
        slow = await subscribe(port, f"run:{run.id}", 20, paused=True)
        # 100 kB a state: kernel and server hold about half a megabyte for each client.
        await world.database.fetch("update runs set reason = repeat('x', 100000)")
        async with client(world) as one:
            await one.subscribe(f"run:{run.id}")
            heard = 0
            async with asyncio.timeout(PATIENCE_S):
                while world.app.hub.counters.slow < len(slow.subscribers):
                    await world.catalogue.pause(run.id, paused=heard % 2 == 0)
                    version = (await world.catalogue.run(run.id)).version
                    while (await one.until("state"))["version"] < version:
                        continue
                    heard += 1
            last = await world.catalogue.cancel(run.id)
            assert (await one.until("state", final=True))["version"] == last.version
        async with asyncio.timeout(PATIENCE_S):
            while world.app.hub.counters.clients:
                await asyncio.sleep(0.05)
        slow.close()


async def test_g8_pings_of_who_does_not_read_are_not_piled_up(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world:
        host, port = world.url.removeprefix("ws://").removesuffix("/ws").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\n{UPGRADE}".encode())
        await reader.readuntil(b"\r\n\r\n")
        ping = b"\x89\xfd" + bytes(4) + b"x" * 125
        for _ in range(200):
            writer.write(ping * 500)
            await writer.drain()
        protocols = [each for each in gc.get_objects() if type(each) is BoundedWebSocket]
        held = max(each.transport.get_write_buffer_size() for each in protocols)
        assert held <= 4 * WRITE_BUFFER_BYTES
        writer.transport.abort()


async def test_g7_a_client_that_is_told_to_come_back_does(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world:
        run = await world.open()
        heard: list[Told] = []

        async def listen(url: str) -> None:
            async for told in follow(url, [f"run:{run.id}"], after={f"run:{run.id}": 0}):
                heard.append(told)
                news.set()

        news = asyncio.Event()
        async with open_proxy([int(world.url.rpartition(":")[2].removesuffix("/ws"))]) as proxy:
            listening = asyncio.create_task(listen(f"ws://127.0.0.1:{proxy.port}/ws"))
            for page in range(5):
                cutting = asyncio.create_task(proxy.cut())
                await world.catalogue.expect(run.id, [], cursor=str(page), limit=1)
                await cutting
            last = await world.catalogue.cancel(run.id)
            async with asyncio.timeout(PATIENCE_S):
                while not any(told.final for told in heard) or seen(heard)[-1:] < [last.seq]:
                    news.clear()
                    await news.wait()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        versions = [told.version for told in heard if told.state is not None]
        assert versions == sorted(set(versions))
        assert seen(heard) == list(range(1, last.seq + 1))


def seen(heard: list[Told]) -> list[int]:
    return [event["seq"] for told in heard for event in told.events]


async def test_a_run_is_watched_and_its_timeline_read_from_afar(migrated_dsn: str) -> None:
    async with open_world(migrated_dsn) as world:
        run = await world.open()
        await world.catalogue.cancel(run.id)
        states = [state async for state in watch_remote(world.url, run.id)]
        assert states == [await world.catalogue.run(run.id)]
        events = [event async for event in timeline_remote(world.url, run.id)]
        assert events == await world.catalogue.timeline(run.id, after=0, limit=100)
        with pytest.raises(LiveUnavailable, match="no run"):
            await anext(watch_remote(world.url, uuid4()))
        with pytest.raises(LiveUnavailable, match="another site"):
            await anext(follow(world.url, ["brands"], headers={"Origin": "https://evil.example"}))
    with pytest.raises(LiveUnavailable, match="triptych live"):
        await anext(follow(world.url, ["brands"], give_up_s=0))


PAGE = Path(__file__).resolve().parents[2] / "docs/reference/live.md"


async def test_the_example_of_the_docs_follows_a_run_to_its_end(
    migrated_dsn: str, tmp_path: Path
) -> None:
    (example,) = re.findall(r"```js\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    script = tmp_path / "watch.js"
    show = "(what) => console.log(JSON.stringify(what))"
    script.write_text(f"{example}\nwatchRun(process.argv[2], process.argv[3], {show});\n", "utf-8")
    async with open_world(migrated_dsn) as world:
        run = await world.open()
        process = await asyncio.create_subprocess_exec(
            *("node", "--experimental-websocket", "--no-warnings", str(script)),
            *(world.url, str(run.id)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            first = json.loads(await process.stdout.readline())
            assert first["id"] == str(run.id)
            last = await world.catalogue.cancel(run.id)
            shown = [json.loads(line) async for line in process.stdout]
            assert await process.wait() == 0
        assert run_of_state(next(each for each in reversed(shown) if "id" in each)) == last


async def test_the_command_drains_on_sigterm(migrated_dsn: str, tmp_path: Path) -> None:
    async with live_process(environment(migrated_dsn, tmp_path)) as (process, port):
        async with connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as socket:
            one = Client(socket)
            await one.subscribe("brands", "queues")
            await one.until("listed")
            process.terminate()
            assert (await one.closed())[0] == 1012
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0


async def test_the_command_listens_on_this_machine_only(migrated_dsn: str, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "triptych", "live", "--host", "0.0.0.0", "--port", "0"),
        env=environment(migrated_dsn, tmp_path),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 1
    assert b"no keys are configured" in said
