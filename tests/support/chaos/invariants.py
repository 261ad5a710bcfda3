"""What must hold after any trial. Each invariant yields what breaks it, with ids."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from uuid import UUID

from tests.support.chaos.evidence import AssetRow, Evidence, Expected, RunRow
from tests.support.chaos.processes import Role
from triptych.messages import DEAD_LETTER_SUFFIX

ENDS = {"committed", "failed", "cancelled"}
NO_SERVER_HAS_IT = "not_found"
KILLED, ASKED = {-9}, {0, -15}
"""Exit codes of a process that was killed, and of one that was asked to stop."""
DEFECTS = {
    *("acquire_defect", "ai_step_failed", "api_defect", "batch_defect", "consumer_defect"),
    *("counters_repaired", "flush_failed", "heartbeat_defect", "loop_failed", "mark_given_twice"),
    "message_defect",
}
"""Events of the log that say that something happened which nobody had thought of."""
OUTAGES = re.compile(
    r"asyncpg\.exceptions\.|(\w*Connection\w*|BrokenPipe|Timeout|FileNotFound)Error\b"
)
SHOWN_MAX = 5

Invariant = Callable[[Evidence], Iterator[str]]


def every_run_ends_once(evidence: Evidence) -> Iterator[str]:
    for run in evidence.runs:
        ends = [kind for _, kind in evidence.timeline.get(run.id, ()) if kind in ENDS]
        if run.state not in ENDS or ends != [run.state]:
            yield f"{run}: state {run.state}, ends in its timeline {ends}"


def settled_is_expected(evidence: Evidence) -> Iterator[str]:
    for run in evidence.runs:
        items = evidence.items.get(run.id, ())
        states = Counter(item.state for item in items)
        settled = states["done"] + states["failed"]
        if run.state != "committed":
            settled += states["cancelled"]
        counted = (len(items), states["done"], states["failed"])
        if counted != (run.expected, run.done, run.failed) or settled != run.expected:
            yield f"{run}: {run.expected} = {run.done} + {run.failed}, but items {dict(states)}"


def timelines_have_no_gap(evidence: Evidence) -> Iterator[str]:
    for run in evidence.runs:
        seqs = [seq for seq, _ in evidence.timeline.get(run.id, ())]
        if seqs != list(range(1, run.seq + 1)):
            yield f"{run}: seq {run.seq}, but events {seqs}"


def assets_are_the_items_that_are_done(evidence: Evidence) -> Iterator[str]:
    for run in evidence.runs:
        assets = Counter(asset.url for asset in evidence.assets.get(run.id, ()))
        done = {item.url for item in evidence.items.get(run.id, ()) if item.state == "done"}
        if run.state != "committed":
            if assets:
                yield f"{run}: {run.state}, with {len(assets)} assets"
            continue
        wrong = done - assets.keys()
        if run.kind == "full":
            wrong |= assets.keys() - done
        wrong |= {url for url, times in assets.items() if times > 1}
        if wrong:
            yield f"{run}: assets and items that are done differ in {_some(wrong)}"


def commits_count_right(evidence: Evidence) -> Iterator[str]:
    for brand in evidence.brands:
        before: dict[str, bytes] = {}
        for run in evidence.committed(brand):
            now = evidence.snapshot(run.id)
            both = now.keys() & before.keys()
            kept = sum(now[url] == before[url] for url in both)
            right = (len(now) - len(both), kept, len(both) - kept, len(before) - len(both))
            said = (run.added, run.kept, run.changed, run.removed)
            if said != right:
                yield f"{run}: added, kept, changed, removed {said}, but they are {right}"
            before = now


def objects_hash_to_their_keys(evidence: Evidence) -> Iterator[str]:
    for key, body in evidence.objects.items():
        if hashlib.sha256(body).hexdigest() != key.rpartition("/")[2]:
            yield f"object {key}: its {len(body)} bytes have another hash"


def every_asset_has_its_object(evidence: Evidence) -> Iterator[str]:
    for assets in evidence.assets.values():
        for asset in assets:
            if (wrong := _object_problem(asset, evidence)) is not None:
                yield f"asset {asset.url} of run {asset.run_id}: {wrong}"


def _object_problem(asset: AssetRow, evidence: Evidence) -> str | None:
    body = evidence.objects.get(asset.object_key)
    if body is None:
        return f"no object {asset.object_key}"
    if asset.object_key.rpartition("/")[2] != asset.sha256.hex():
        return f"object {asset.object_key} is of another hash than {asset.sha256.hex()}"
    return None if len(body) == asset.size_bytes else f"{len(body)} bytes, not {asset.size_bytes}"


def no_staging_is_left(evidence: Evidence) -> Iterator[str]:
    """But that of a brand's newest failed run, which is kept for a redrive."""
    kept = {run.brand: run.id for run in evidence.runs if run.state == "failed"}
    for run_id, staged in evidence.staged.items():
        if run_id not in kept.values():
            yield f"run {run_id}: {staged} staged rows are left"


def snapshots_are_the_newest_commits(evidence: Evidence) -> Iterator[str]:
    for brand, current in evidence.brands.items():
        committed = evidence.committed(brand)
        newest = committed[-1].id if committed else None
        if current != newest:
            yield f"{brand}: its snapshot is run {current}, its newest commit {newest}"


def ai_is_done_once(evidence: Evidence) -> Iterator[str]:
    for brand in evidence.brands:
        committed = evidence.committed(brand)
        for run in committed:
            times = sum(kind == "ai_done" for _, kind in evidence.timeline.get(run.id, ()))
            newest = run is committed[-1]
            right = (run.ai_state, times) in {("done", 1), ("superseded", 0)}
            if not right or (newest and run.ai_state != "done"):
                yield f"{run}: AI {run.ai_state} ({run.ai_reason}), done {times} times" + (
                    ", of the newest commit" if newest else ""
                )


def poisons_are_dead_letters(evidence: Evidence) -> Iterator[str]:
    found = Counter((letter.queue, letter.message_id) for letter in evidence.letters)
    for sent in evidence.record.poisons:
        place = (sent.queue.removesuffix(DEAD_LETTER_SUFFIX), sent.message_id)
        if found[place] != 1:
            yield f"{sent.poison} in {sent.queue} ({sent.message_id}): {found[place]} dead letters"
    for letter in evidence.letters:
        if not letter.reason:
            yield f"dead letter {letter.message_id} of {letter.queue}: no reason"


def nothing_else_is_a_dead_letter(evidence: Evidence) -> Iterator[str]:
    """But poison whose answer was lost when it was sent."""
    sent = {
        (each.queue.removesuffix(DEAD_LETTER_SUFFIX), each.message_id)
        for each in evidence.record.poisons
    }
    others = [each for each in evidence.letters if (each.queue, each.message_id) not in sent]
    strangers = [each for each in others if each.run is None]
    for letter in others:
        if letter.run is not None or len(strangers) > evidence.record.lost_poisons:
            yield (
                f"dead letter {letter.message_id} of {letter.queue}, run {letter.run}: "
                f"{letter.reason[:120]}"
            )


def queues_are_empty(evidence: Evidence) -> Iterator[str]:
    for queue, count in evidence.queues.items():
        yield f"{queue}: {count} messages are left"
    for owed in evidence.outbox:
        yield f"outbox: a message is left to {owed}"


def processes_end_only_when_made_to(evidence: Evidence) -> Iterator[str]:
    record = evidence.record
    seen: dict[str, Counter[str]] = {"killed": Counter(), "asked": Counter()}
    for each in evidence.exits:
        if each.code in KILLED:
            seen["killed"][_role(each.name)] += 1
        elif each.code in ASKED:
            seen["asked"][_role(each.name)] += 1
        elif each.name == Role.UP or not record.excused(each.at):
            yield f"{each.name}: exit {each.code} at {each.at - record.began:.1f} s, not ours"
    for how, ours in (("killed", record.kills), ("asked", record.stops)):
        for role, times in seen[how].items():
            if times > ours[Role(role)]:
                yield f"{role}: {how} {times} times, {ours[Role(role)]} of them by the trial"


def _role(name: str) -> str:
    return name.partition("-")[0]


def the_log_has_no_defect(evidence: Evidence) -> Iterator[str]:
    found: Counter[str] = Counter()
    for error in _uncaught(evidence.log):
        found[f"a traceback that ends with {error}"] += 1
    for line in evidence.log:
        if not line.startswith("{"):
            continue
        said = json.loads(line)
        if said["event"] in DEFECTS:
            lines = str(said.get("error") or said.get("exception") or "").strip().splitlines()
            found[f"{said['event']}: {(lines or [''])[-1][:200]}"] += 1
    for text, times in found.items():
        yield f"log, {times} times: {text}"


def _uncaught(log: Sequence[str]) -> Iterator[str]:
    """Yield what tracebacks end with that stand between the log's lines.

    asyncpg writes its own, when it cannot connect while the database is away: those are left out.
    """
    inside = False
    for line in log:
        if line.startswith("Traceback"):
            inside = True
        elif inside and line and not line.startswith((" ", "{")):
            inside = False
            if not OUTAGES.match(line):
                yield line[:200]


def brands_are_right(evidence: Evidence) -> Iterator[str]:
    """No URL is lost that a server has, and none is there that no server has."""
    runs = {run.id: run for run in evidence.runs}
    for expected in evidence.expected:
        run_id = expected.run or evidence.brands.get(expected.brand)
        run = runs.get(run_id) if run_id is not None else None
        if run is None:
            yield f"{expected.brand}: no snapshot (run {run_id})"
        elif run.state == "committed":
            yield from _differences(expected, run, evidence)


def _differences(expected: Expected, run: RunRow, evidence: Evidence) -> Iterator[str]:
    has = evidence.snapshot(run.id)
    # What comes as messages may have come in several runs.
    wanted = [run] if expected.run else [each for each in evidence.runs if each.brand == run.brand]
    reasons = {
        item.url: f"{item.reason}: {item.detail}"
        for each in wanted
        for item in evidence.items.get(each.id, ())
    }
    right = {url: sha256 for url, sha256 in expected.assets.items() if sha256 is not None}
    lost = right.keys() - has.keys() - expected.may_fail
    if lost:
        why = Counter(reasons.get(url, "no item") for url in lost)
        yield f"{run}: {len(lost)} URLs lost of {len(right)}: {why.most_common(SHOWN_MAX)}"
    if more := has.keys() - right.keys():
        yield f"{run}: assets that no server has: {_some(more)}"
    if other := {url for url in has.keys() & right.keys() if has[url] != right[url]}:
        yield f"{run}: assets with other bytes than were served: {_some(other)}"
    for url in expected.assets.keys() - right.keys():
        reason = reasons.get(url, "no item")
        if not reason.startswith(NO_SERVER_HAS_IT):
            yield f"{run}: {url} ended as {reason}"


def every_run_commits(evidence: Evidence) -> Iterator[str]:
    for run in evidence.runs:
        if run.state in ENDS and run.state != "committed":
            yield f"{run}: {run.state}: {run.reason}"


def walks_are_snapshots(evidence: Evidence) -> Iterator[str]:
    snapshots: dict[UUID, Sequence[tuple[str, str]]] = {}
    order = {run.id: number for number, run in enumerate(evidence.runs)}
    for walk in evidence.walks:
        if walk.run not in snapshots:
            rows = evidence.snapshot(walk.run).items()
            snapshots[walk.run] = sorted((url, sha256.hex()) for url, sha256 in rows)
        if sorted(walk.rows) != snapshots[walk.run]:
            yield (
                f"reader: {walk.brand} had {len(walk.rows)} rows of run {walk.run}, "
                f"whose snapshot has {len(snapshots[walk.run])}"
            )
    for brand in evidence.brands:
        seen = [walk.run for walk in evidence.walks if walk.brand == brand]
        for earlier, later in pairwise(seen):
            if order.get(later, -1) < order.get(earlier, -1):
                yield f"reader: {brand} went back from run {earlier} to run {later}"


INVARIANTS: Sequence[Invariant] = (
    every_run_ends_once,
    every_run_commits,
    settled_is_expected,
    timelines_have_no_gap,
    assets_are_the_items_that_are_done,
    commits_count_right,
    objects_hash_to_their_keys,
    every_asset_has_its_object,
    no_staging_is_left,
    snapshots_are_the_newest_commits,
    ai_is_done_once,
    poisons_are_dead_letters,
    nothing_else_is_a_dead_letter,
    queues_are_empty,
    processes_end_only_when_made_to,
    the_log_has_no_defect,
    brands_are_right,
    walks_are_snapshots,
)


OF_PROCESSES: Sequence[Invariant] = (processes_end_only_when_made_to, the_log_has_no_defect)
"""Those that need nothing of the database."""


def broken(evidence: Evidence, invariants: Sequence[Invariant] = INVARIANTS) -> list[str]:
    """Return all that breaks an invariant, each with the invariant's name."""
    return [
        f"{invariant.__name__}: {text}" for invariant in invariants for text in invariant(evidence)
    ]


def _some(texts: set[str]) -> str:
    shown = sorted(texts)[:SHOWN_MAX]
    return f"{shown}" + (f" and {len(texts) - SHOWN_MAX} more" if len(texts) > SHOWN_MAX else "")
