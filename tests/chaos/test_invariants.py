"""The invariants of a trial: what is right passes, and each of them is shown to be able to fail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from tests.support.chaos.evidence import AssetRow, Evidence, Expected, ItemRow, Letter, RunRow
from tests.support.chaos.invariants import INVARIANTS, broken
from tests.support.chaos.poison import Poison
from tests.support.chaos.processes import Role
from tests.support.chaos.reader import Walk
from tests.support.chaos.record import Record, SentPoison
from tests.support.chaos.service import Exit

FIRST, SECOND = uuid4(), uuid4()
BRAND = "brand-1"
ENDS = ["opened", "sealed", "committed", "ai_done"]
PICTURES = {f"http://h/{number}.png": b"picture %d" % number for number in range(4)}
GONE = "http://h/gone.png"


def digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def key(body: bytes) -> str:
    name = digest(body).hex()
    return f"sha256/{name[:2]}/{name}"


def run_row(run: UUID, day: int, counts: tuple[int, int, int, int], done: int) -> RunRow:
    added, kept, changed, removed = counts
    return RunRow(
        id=run,
        brand=BRAND,
        kind="full",
        state="committed",
        reason=None,
        sealed=True,
        expected=done + 1,
        done=done,
        failed=1,
        seq=len(ENDS),
        version=9,
        ended_at=datetime(2026, 1, day, tzinfo=UTC),
        added=added,
        kept=kept,
        changed=changed,
        removed=removed,
        ai_state="done",
        ai_reason=None,
    )


def right() -> Evidence:
    """Two runs of a brand: the second lists one picture less and one more."""
    urls = sorted(PICTURES)
    lists = {FIRST: urls[:3], SECOND: urls[1:]}
    evidence = Evidence(
        Record(poisons=[SentPoison("url-process-queue-dlq", Poison.NULL, "1-1")]),
        runs=[run_row(FIRST, 1, (3, 0, 0, 0), 3), run_row(SECOND, 2, (1, 2, 0, 1), 3)],
        timeline={run: list(enumerate(ENDS, 1)) for run in lists},
        brands={BRAND: SECOND},
        letters=[Letter("url-process-queue", "1-1", "not JSON", None)],
        objects={key(body): body for body in PICTURES.values()},
    )
    evidence.items = {
        run: [
            *(ItemRow(run, url, "done", None, None, 0) for url in listed),
            ItemRow(run, GONE, "failed", "not_found", "HTTP 404", 0),
        ]
        for run, listed in lists.items()
    }
    evidence.assets = {
        run: [
            AssetRow(
                *(run, BRAND, url, digest(PICTURES[url]), key(PICTURES[url])), len(PICTURES[url])
            )
            for url in listed
        ]
        for run, listed in lists.items()
    }
    wanted = {GONE: None, **{url: digest(PICTURES[url]) for url in lists[SECOND]}}
    evidence.expected = [Expected(BRAND, SECOND, wanted, frozenset())]
    evidence.walks = [
        Walk(BRAND, run, tuple((url, digest(PICTURES[url]).hex()) for url in listed))
        for run, listed in lists.items()
    ]
    return evidence


def test_what_is_right_breaks_nothing() -> None:
    assert broken(right()) == []


def change_run(evidence: Evidence, number: int, **values: object) -> None:
    evidence.runs[number] = replace(evidence.runs[number], **values)  # type: ignore[arg-type]


def change_asset(evidence: Evidence, **values: object) -> None:
    assets = evidence.assets[SECOND]
    assets[0] = replace(assets[0], **values)  # type: ignore[arg-type]


def lose_an_asset(evidence: Evidence) -> None:
    del evidence.assets[SECOND][0]


def lose_a_url(evidence: Evidence) -> None:
    item = evidence.items[SECOND][0]
    evidence.items[SECOND][0] = replace(item, state="failed", reason="timeout", detail="")
    lose_an_asset(evidence)


def die_in_an_outage(evidence: Evidence, name: str, code: int) -> None:
    evidence.record.outages.append((0, 2e9))
    die(evidence, name, code)


def die(evidence: Evidence, name: str, code: int) -> None:
    evidence.exits.append(Exit(evidence.record.began + 1, name, code))


def log(evidence: Evidence, **said: object) -> None:
    evidence.log.append(json.dumps(said))


BREAKS: dict[str, list[Callable[[Evidence], object]]] = {
    "every_run_ends_once": [
        lambda e: change_run(e, 1, state="active"),
        lambda e: e.timeline[SECOND].append((5, "committed")),
    ],
    "every_run_commits": [lambda e: change_run(e, 0, state="failed", reason="host_down")],
    "settled_is_expected": [
        lambda e: change_run(e, 0, expected=5),
        lambda e: change_run(e, 0, done=2),
        lambda e: e.items[FIRST].pop(),
    ],
    "timelines_have_no_gap": [
        lambda e: e.timeline[FIRST].pop(1),
        lambda e: e.timeline[FIRST].append((4, "again")),
    ],
    "assets_are_the_items_that_are_done": [lose_an_asset],
    "commits_count_right": [
        lambda e: change_run(e, 1, kept=1),
        lambda e: change_run(e, 1, removed=0),
    ],
    "objects_hash_to_their_keys": [
        lambda e: e.objects.update({next(iter(e.objects)): b""}),
    ],
    "every_asset_has_its_object": [
        lambda e: e.objects.clear(),
        lambda e: change_asset(e, size_bytes=1),
        lambda e: change_asset(e, object_key=e.assets[SECOND][1].object_key),
    ],
    "no_staging_is_left": [lambda e: e.staged.update({FIRST: 1})],
    "snapshots_are_the_newest_commits": [
        lambda e: e.brands.update({BRAND: FIRST}),
    ],
    "ai_is_done_once": [
        lambda e: change_run(e, 1, ai_state="running"),
        lambda e: change_run(e, 1, ai_state="superseded"),
        lambda e: e.timeline[FIRST].append((5, "ai_done")),
    ],
    "poisons_are_dead_letters": [
        lambda e: e.letters.clear(),
        lambda e: e.letters.append(e.letters[0]),
        lambda e: e.letters.append(Letter("url-process-queue", "2-2", "", None)),
    ],
    "nothing_else_is_a_dead_letter": [
        lambda e: e.letters.append(Letter("url-process-queue", "2-2", "received", str(FIRST))),
        lambda e: e.letters.append(Letter("url-process-queue", "2-2", "not JSON", None)),
    ],
    "queues_are_empty": [
        lambda e: e.queues.update({"url-process-queue": 1}),
        lambda e: e.outbox.append("url-process-queue"),
    ],
    "processes_end_only_when_made_to": [
        lambda e: die(e, "worker", 1),
        lambda e: die(e, "worker-0", -9),
        lambda e: die(e, "up", 0),
        # An outage is no reason to refuse a start.
        lambda e: die_in_an_outage(e, "up", 1),
    ],
    "the_log_has_no_defect": [
        lambda e: log(e, event="message_defect", error="got result for unknown state"),
        lambda e: e.log.extend(["Traceback (most recent call last):", "  in", "KeyError: 'x'"]),
    ],
    "brands_are_right": [
        lose_a_url,
        lambda e: e.runs.clear(),
        lambda e: change_asset(e, url="http://h/never-listed.png"),
        lambda e: change_asset(e, sha256=digest(b"other")),
    ],
    "walks_are_snapshots": [
        lambda e: e.walks.append(replace(e.walks[1], rows=e.walks[1].rows[:-1])),
        lambda e: e.walks.append(e.walks[0]),
        lambda e: e.walks.append(replace(e.walks[1], run=FIRST)),
    ],
}


def test_every_invariant_is_broken_here() -> None:
    assert BREAKS.keys() == {invariant.__name__ for invariant in INVARIANTS}


@pytest.mark.parametrize(
    ("name", "change"), [(name, each) for name, changes in BREAKS.items() for each in changes]
)
def test_an_invariant_can_fail(name: str, change: Callable[[Evidence], object]) -> None:
    evidence = right()
    change(evidence)
    assert name in {text.partition(":")[0] for text in broken(evidence)}


def test_what_a_trial_did_itself_is_no_violation() -> None:
    evidence = right()
    record = evidence.record
    record.kills[Role.WORKER] = record.stops[Role.API] = 1
    record.outages.append((record.began, record.began + 2))
    record.lost_poisons = 1
    die(evidence, "worker-0", -9)
    die(evidence, "api", 0)
    die(evidence, "worker-1", 1)
    die(evidence, "worker", 1)
    evidence.letters.append(Letter("url-process-queue", "2-2", "not JSON", None))
    evidence.log += [
        "Failed to restore the pool connection floor; retrying",
        "Traceback (most recent call last):",
        "asyncpg.exceptions.CannotConnectNowError: the database system is in recovery mode",
    ]
    # A server may have answered 404 in the moment in which it was asked.
    lost = evidence.assets[SECOND][0].url
    lose_a_url(evidence)
    evidence.expected[0] = replace(evidence.expected[0], may_fail=frozenset({lost}))
    change_run(evidence, 1, done=2, failed=2, kept=1, removed=2)
    evidence.walks.pop()
    assert broken(evidence) == []
