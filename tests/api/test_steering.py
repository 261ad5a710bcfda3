"""Submitted tasks: accepted once for each key, done once whatever is repeated or killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.support.api_server import Api, check_described, commit, fill, pictures, serving
from triptych.api.http import idempotency
from triptych.messages import AI_QUEUE, GATHER_QUEUE, URL_QUEUE
from triptych.model import AiState
from triptych.tasks.task_store import Task

SOURCE = {"source": "manifest:https://x.example/list.csv"}


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path) as opened:
        yield opened


async def waiting(api: Api, queue: str) -> int:
    return {depth.queue: depth.waiting for depth in await api.queue.depths()}[queue]


async def test_a_start_answers_with_its_task_which_follows_the_run(api: Api) -> None:
    reply = await api.post("/brands/nike/runs", json=SOURCE)
    assert reply.status == 202
    task = reply.json
    check_described(Task, task)
    assert reply.headers["Location"] == f"/api/v1/tasks/{task['id']}"
    assert (task["state"], task["result"]) == ("accepted", {"opened": True})
    assert await waiting(api, GATHER_QUEUE) == 1
    again = (await api.post("/brands/nike/runs")).json
    assert (again["run"], again["result"]) == (task["run"], {"opened": False})
    assert again["id"] != task["id"]
    assert (await api.get(f"/tasks/{task['id']}")).json["state"] == "running"
    cancelled = (await api.post(f"/runs/{task['run']}/cancel")).json
    assert (cancelled["kind"], cancelled["state"]) == ("cancel", "done")
    assert (await api.get(f"/tasks/{task['id']}")).json["state"] == "failed"


async def test_a_start_from_another_source_names_the_active_run_and_can_replace_it(
    api: Api,
) -> None:
    first = {"source": "manifest:https://me:s3cret@x.example/list.csv"}
    active = (await api.post("/brands/nike/runs", json=first)).json["run"]
    refused = await api.post("/brands/nike/runs", json=SOURCE)
    assert (refused.status, refused.json["reason"]) == (409, "run-active")
    assert refused.json["run"] == active
    assert refused.json["source"] == "manifest:https://…@x.example/list.csv"
    assert active in refused.json["detail"]
    assert "s3cret" not in str(refused.json)
    assert (await api.get("/brands/nike")).json["source"] == refused.json["source"]
    again = await api.post("/brands/nike/runs", json=first)
    assert (again.json["run"], again.json["result"]) == (active, {"opened": False})
    key = {"Idempotency-Key": "replaced"}
    wanted = {**SOURCE, "replace": True}
    replaced = await api.post("/brands/nike/runs", json=wanted, headers=key)
    assert (replaced.status, replaced.json["result"]) == (202, {"opened": True})
    assert (await api.get(f"/runs/{active}")).json["state"] == "cancelled"
    run = (await api.get(f"/runs/{replaced.json['run']}")).json
    assert (run["state"], run["source"]) == ("active", SOURCE["source"])
    repeated = await api.post("/brands/nike/runs", json=wanted, headers=key)
    assert repeated.body == replaced.body
    joined = (await api.post("/brands/nike/runs", json=wanted)).json
    assert joined["run"] == replaced.json["run"], "of the same source: nothing to replace"


async def test_a_run_gets_the_policy_it_is_given_and_the_rest_from_the_settings(api: Api) -> None:
    given = {**SOURCE, "policy": {"max_attempts": 2}}
    task = (await api.post("/brands/nike/runs", json=given)).json
    policy = (await api.get(f"/runs/{task['run']}")).json["policy"]
    default = api.services.settings.policy
    assert policy == {
        "tolerated_failures": default.tolerated_failures,
        "max_attempts": 2,
        "deadline_s": default.deadline_s,
        "max_removed": default.max_removed,
    }


async def test_an_idempotency_key_has_one_effect_and_one_answer(
    api: Api,
) -> None:
    key = {"Idempotency-Key": "k1"}
    replies = await asyncio.gather(
        *(api.post("/brands/nike/runs", json=SOURCE, headers=key) for _ in range(8))
    )
    assert {reply.status for reply in replies} == {202}
    assert len({reply.body for reply in replies}) == 1
    run = UUID(replies[0].json["run"])
    await api.registry.cancel(run)
    again = await api.post("/brands/nike/runs", json=SOURCE, headers=key)
    assert again.body == replies[0].body
    assert len(await api.stores.runs.runs("nike", limit=10)) == 1
    assert len((await api.get("/audit")).json["items"]) == 1


async def test_a_key_with_another_request_is_refused(api: Api) -> None:
    key = {"Idempotency-Key": "k1"}
    await api.post("/brands/nike/runs", json=SOURCE, headers=key)
    for path, body in [
        ("/brands/adidas/runs", SOURCE),
        ("/brands/nike/runs", {"source": "manifest:https://x.example/other.csv"}),
        ("/dead-letters/redrive", None),
    ]:
        reply = await api.post(path, json=body, headers=key)
        assert (reply.status, reply.json["reason"]) == (422, "idempotency-key-reused")


async def test_a_key_is_free_again_after_24_hours(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"Idempotency-Key": "k1"}
    first = (await api.post("/brands/nike/runs", json=SOURCE, headers=key)).json
    monkeypatch.setattr(idempotency, "KEPT_S", 0.0)
    second = await api.post("/brands/adidas/runs", json=SOURCE, headers=key)
    assert second.status == 202
    assert second.json["id"] != first["id"]
    assert (await api.get(f"/tasks/{first['id']}")).status == 200


async def test_a_server_killed_between_effect_and_answer_makes_no_second_run(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"Idempotency-Key": "k1"}

    async def killed(*_: object, **__: object) -> None:
        raise RuntimeError

    async def nothing(*_: object) -> None:
        return

    with monkeypatch.context() as patch:
        patch.setattr(api.stores.tasks, "accept_task", killed)
        patch.setattr(api.stores.tasks, "drop_claim", nothing)
        assert (await api.post("/brands/nike/runs", json=SOURCE, headers=key)).status == 500
    (run,) = await api.stores.runs.runs("nike", limit=10)
    await api.registry.cancel(run.id)
    monkeypatch.setattr(idempotency, "WAIT_S", 0.1)
    early = await api.post("/brands/nike/runs", json=SOURCE, headers=key)
    assert (early.status, early.json["reason"]) == (409, "request-in-progress")
    monkeypatch.setattr(idempotency, "STALE_S", 0.0)
    reply = await api.post("/brands/nike/runs", json=SOURCE, headers=key)
    assert (reply.status, reply.json["run"]) == (202, str(run.id))
    assert len(await api.stores.runs.runs("nike", limit=10)) == 1


async def test_what_was_refused_leaves_its_key_free(api: Api) -> None:
    key = {"Idempotency-Key": "k1"}
    refused = await api.post(f"/runs/{uuid4()}/cancel", headers=key)
    assert refused.status == 404
    assert (await api.post("/brands/nike/runs", json=SOURCE, headers=key)).status == 202


async def test_pause_resume_cancel_and_redrive(api: Api) -> None:
    ids = await fill(api)
    active = ids["active"]
    assert (await api.post(f"/runs/{active}/pause")).json["state"] == "done"
    assert (await api.get(f"/runs/{active}")).json["paused"] is True
    assert (await api.post(f"/runs/{active}/resume")).status == 202
    assert (await api.get(f"/runs/{active}")).json["paused"] is False
    assert (await api.post(f"/runs/{active}/cancel")).status == 202
    late = await api.post(f"/runs/{active}/pause")
    assert (late.status, late.json["reason"]) == (409, "run-ended")
    key = {"Idempotency-Key": "k1"}
    none = await api.post(f"/runs/{ids['new']}/redrive", json={"reasons": ["too_large"]})
    assert none.status == 409
    wrong = await api.post(f"/runs/{ids['new']}/redrive", json={"reasons": ["no such"]})
    assert (wrong.status, wrong.json["field"]) == (422, "reasons.0")
    first = await api.post(f"/runs/{ids['new']}/redrive", headers=key)
    again = await api.post(f"/runs/{ids['new']}/redrive", headers=key)
    assert (first.status, first.body) == (202, again.body)
    redriven = (await api.get(f"/runs/{first.json['run']}")).json
    assert (redriven["state"], redriven["expected"]) == ("active", 2)
    assert first.json["result"]["left"] == {}
    busy = await api.post(f"/runs/{ids['new']}/redrive")
    assert busy.status == 409


async def test_dead_letters_go_back_to_their_queues_once(api: Api) -> None:
    await fill(api)
    replies = await asyncio.gather(*(api.post("/dead-letters/redrive") for _ in range(4)))
    counts = sorted(reply.json["result"]["redriven"] for reply in replies)
    assert counts == [0, 0, 0, 1], "the other letter's body is no object"
    (delivery,) = await api.queue.receive(URL_QUEUE, limit=10, visibility_s=60, wait_s=0)
    assert delivery.body["url"] == "https://x.example/9"
    assert "triptych-run" not in delivery.headers
    letters = (await api.get("/dead-letters")).json["items"]
    assert [letter["redriven_at"] is not None for letter in letters] == [False, True]


async def test_discarded_dead_letters_are_gone_and_audited(api: Api) -> None:
    await fill(api)
    ids = [letter["id"] for letter in (await api.get("/dead-letters")).json["items"]]
    assert (await api.get("/queues")).json["dead_letters"] == len(ids) == 2
    bodies: list[dict[str, object]] = [{}, {"ids": []}, {"ids": [0]}, {"queue": URL_QUEUE}]
    for wrong in bodies:
        assert (await api.post("/dead-letters/discard", json=wrong)).status == 422
    key = {"Idempotency-Key": "k1"}
    first = await api.post("/dead-letters/discard", json={"ids": ids[:1]}, headers=key)
    again = await api.post("/dead-letters/discard", json={"ids": ids[:1]}, headers=key)
    assert (first.status, first.json["result"]) == (202, {"discarded": 1})
    assert again.body == first.body
    (left,) = (await api.get("/dead-letters")).json["items"]
    assert left["id"] == ids[1]
    assert (await api.get("/queues")).json["dead_letters"] == 1
    entry = (await api.get("/audit")).json["items"][0]
    assert (entry["action"], entry["detail"]["request"]) == ("discard_letters", {"ids": ids[:1]})


async def test_letters_of_an_active_run_and_of_other_queues_wait(api: Api) -> None:
    from triptych.dead_letters.dead_letter_store import DeadLetter

    opened = await api.registry.open("nike", source="manifest:x.csv")
    for number, queue in enumerate((URL_QUEUE, GATHER_QUEUE)):
        run_id = opened.run.id if queue == URL_QUEUE else None
        letter = DeadLetter(queue, f"m{number}", {"brand": "nike"}, {}, "why", run_id)
        await api.stores.dead_letters.record(letter)
    none = await api.post("/dead-letters/redrive", json={"queue": URL_QUEUE})
    assert none.json["result"] == {"redriven": 0}
    by_id = await api.post("/dead-letters/redrive", json={"ids": [1, 2, 99]})
    assert by_id.json["result"] == {"redriven": 1}


async def test_ai_again_is_queued_and_its_message_sent(api: Api) -> None:
    run = await commit(api.stores, "nike", pictures(1))
    await api.registry.relay(run.id)
    await api.stores.ai.begin_ai("nike", run.id)
    busy = await api.post("/brands/nike/ai")
    assert (busy.status, await waiting(api, AI_QUEUE)) == (202, 1)
    await api.stores.ai.finish_ai(run.id, [])
    again = await api.post("/brands/nike/ai")
    assert (again.json["state"], again.json["run"]) == ("accepted", str(run.id))
    assert await waiting(api, AI_QUEUE) == 2
    assert (await api.stores.runs.run(run.id)).ai_state is AiState.QUEUED
    assert await api.stores.ai.begin_ai("nike", run.id)
    assert (await api.get(f"/tasks/{again.json['id']}")).json["state"] == "running"
    assert (await api.post("/brands/nobody/ai")).status == 404
    await api.registry.open("adidas", source="manifest:x.csv")
    assert (await api.post("/brands/adidas/ai")).status == 409


async def test_a_schedule_opens_one_run_for_each_time_due_whoever_sweeps(api: Api) -> None:
    body = {**SOURCE, "schedule": "* * * * *"}
    assert (await api("PUT", "/brands/nike", json=body)).status == 202
    brand = (await api.get("/brands/nike")).json
    assert brand["schedule"] == "* * * * *"
    assert not await api.stores.brands.due_brands(limit=10)
    first = await make_due(api)
    sweeps = {"idle_s": 60, "quiet_s": 60, "resend_s": 60, "owed_s": 60}
    await asyncio.gather(*(api.registry.sweep(**sweeps) for _ in range(5)))
    (run,) = await api.stores.runs.runs("nike", limit=10)
    assert run.source == SOURCE["source"]
    assert not await api.stores.brands.due_brands(limit=10)
    await api.registry.cancel(run.id)
    # A sweeper that saw the time before it was advanced, and went on after the run had ended.
    await api.stores.brands.advance_schedule(
        "nike", seen=(await scheduled(api)).due_at, due_at=first
    )
    await api.registry.sweep(**sweeps)
    assert len(await api.stores.runs.runs("nike", limit=10)) == 1
    await make_due(api)
    await asyncio.gather(*(api.registry.sweep(**sweeps) for _ in range(5)))
    assert len(await api.stores.runs.runs("nike", limit=10)) == 2
    assert (await api("PUT", "/brands/nike", json={})).status == 202
    brand = (await api.get("/brands/nike")).json
    assert (brand["source"], brand["schedule"], brand["due_at"]) == (None, None, None)


async def scheduled(api: Api):  # type: ignore[no-untyped-def]
    return await api.stores.brands.scheduled("nike")


async def make_due(api: Api):  # type: ignore[no-untyped-def]
    """Let the schedule's next time be a time that has passed, another one each time."""
    from datetime import UTC, datetime

    seen = (await scheduled(api)).due_at
    due_at = datetime.now(UTC)
    assert await api.stores.brands.advance_schedule("nike", seen=seen, due_at=due_at)
    return due_at


BAD = [
    ("POST", "/brands/nike/runs", {"sauce": "x"}, "sauce"),
    ("POST", "/brands/nike/runs", {"source": 1}, "source"),
    ("POST", "/brands/nike/runs", {"source": "ftp:x"}, "source"),
    ("POST", "/brands/nike/runs", {"source": "manifest:"}, "source"),
    ("POST", "/brands/nike/runs", {"source": "manifest:\x00"}, "source"),
    ("POST", "/brands/nike/runs", {"source": "manifest:" + "x" * 9000}, "source"),
    ("POST", "/brands/nike/runs", {"policy": {"max_attempts": "3"}}, "policy.max_attempts"),
    ("POST", "/brands/nike/runs", {"policy": {"max_attempts": 0}}, "policy.max_attempts"),
    ("POST", "/brands/nike/runs", {"policy": {"tolerated_failures": 2}}, None),
    ("POST", "/brands/nike/runs", [], None),
    ("POST", "/brands/a%2Fb/runs", {}, None),
    ("POST", "/brands/%20/runs", {}, "brand"),
    ("PUT", "/brands/nike", {"schedule": "often"}, "schedule"),
    ("PUT", "/brands/nike", {"schedule": "* * * * * *"}, "schedule"),
    ("PUT", "/brands/nike", {"schedule": "0 0 31 2 *"}, "schedule"),
    ("PUT", "/brands/nike", {"schedule": "1" * 101}, "schedule"),
    ("PUT", "/brands/nike", {"due_at": "2026-01-01T00:00:00Z"}, "due_at"),
    ("POST", "/dead-letters/redrive", {"ids": []}, "ids"),
    ("POST", "/dead-letters/redrive", {"ids": [2**70]}, "ids.0"),
    ("POST", "/dead-letters/redrive", {"ids": [True]}, "ids.0"),
    ("POST", "/dead-letters/redrive", {"queue": "nowhere"}, "queue"),
    ("POST", "/runs/1/pause", None, "run"),
]

RAW = [
    (b'{"source": NaN}', 422),
    (b'{"policy": {"deadline_s": NaN}}', 422),
    (b'{"policy": {"deadline_s": Infinity}}', 422),
    (b'{"policy": {"deadline_s": 1e999}}', 422),
    (b'{"source": "manifest:\\ud800"}', 422),
    (b"{", 422),
    (b"\xff\xfe", 422),
    (b"[" * 100_000, 400),
    (b'{"source": "' + b"x" * 300_000 + b'"}', 413),
]


async def test_wrong_bodies_are_problems_of_the_asker_and_change_nothing(api: Api) -> None:
    for method, path, body, field in BAD:
        reply = await api(method, path, json=body)
        assert 400 <= reply.status < 500, (path, body)
        if field is not None:
            assert reply.json["field"] == field, (path, body, reply.json)
    for raw, status in RAW:
        reply = await api.post(
            "/brands/nike/runs", data=raw, headers={"Content-Type": "application/json"}
        )
        assert reply.status == status, (raw[:40], reply.json)
        assert reply.headers["Content-Type"] == "application/problem+json"
    plain = await api.post("/brands/nike/runs", data=b"{}", headers={"Content-Type": "text/plain"})
    assert plain.status in {415, 422}, "a form of another site cannot send JSON unasked"
    assert not (await api.get("/tasks")).json["items"]
    assert not (await api.get("/brands")).json["items"]
