"""A run is one trace from its opening to its AI phase; what happens is counted; logs name items."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from pathlib import Path

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.support.local_pipeline import ended, local_at
from tests.support.picture_server import Site, picture, write_manifest
from triptych.errors import SettingsError
from triptych.messages import AI_QUEUE, GATHER_QUEUE, URL_QUEUE
from triptych.model import AiState, RunState
from triptych.telemetry.metrics import REGISTRY, exposition, served_metrics
from triptych.telemetry.tracing import current_traceparent, span, tracing

pytestmark = pytest.mark.integration

PICTURES = 6


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_a_run_is_one_trace_through_all_queues(site: Site, tmp_path: Path) -> None:
    site.gone = {0}
    exporter = InMemorySpanExporter()
    source = write_manifest(tmp_path, site.base, "nike", PICTURES)
    with tracing(None, role="test", exporter=exporter):
        async with local_at(tmp_path) as local:
            with span("request"):
                opened = await local.submit("nike", source=source)
            run = await ended(local, opened.id)
    assert run.state is RunState.COMMITTED
    spans: list[ReadableSpan] = list(exporter.get_finished_spans())
    (root,) = (one for one in spans if one.name == "request")
    assert root.context is not None
    mine = [one for one in spans if one.context and one.context.trace_id == root.context.trace_id]
    names = [one.name for one in mine]
    assert names.count(f"process {GATHER_QUEUE}") == 1
    assert names.count(f"process {AI_QUEUE}") == 1
    urls = [one for one in mine if one.name == f"process {URL_QUEUE}"]
    assert len(urls) == PICTURES
    assert {(one.attributes or {})["triptych.run"] for one in urls} == {str(run.id)}
    assert len({(one.attributes or {})["triptych.item"] for one in urls}) == PICTURES
    assert "commit" in names
    assert run.traceparent is not None
    assert f"{root.context.trace_id:032x}" in run.traceparent


def test_without_an_endpoint_nothing_is_recorded() -> None:
    with tracing(None, role="test"), span("x"):
        assert current_traceparent() is None


async def test_what_happens_is_counted(site: Site, tmp_path: Path) -> None:
    site.gone = {0}
    source = write_manifest(tmp_path, site.base, "nike", PICTURES)
    done, gone = (
        value("triptych_items_total", outcome="done", reason=""),
        value("triptych_items_total", outcome="failed", reason="not_found"),
    )
    answered = value("triptych_messages_total", queue=URL_QUEUE, outcome="done")
    commits = value("triptych_commit_assets_count")
    async with local_at(tmp_path) as local:
        await ended(local, (await local.submit("nike", source=source)).id)
    assert value("triptych_items_total", outcome="done", reason="") - done == PICTURES - 1
    assert value("triptych_items_total", outcome="failed", reason="not_found") - gone == 1
    assert value("triptych_messages_total", queue=URL_QUEUE, outcome="done") - answered == PICTURES
    assert value("triptych_commit_assets_count") - commits == 1
    assert value("triptych_messages_held", queue=URL_QUEUE) == 0
    assert re.search(rb"^triptych_commit_seconds_bucket", exposition(), re.MULTILINE)


async def test_the_work_on_urls_is_measured(site: Site, tmp_path: Path) -> None:
    source = write_manifest(tmp_path, site.base, "nike", PICTURES)
    names = {
        "triptych_gather_seconds_count": 1,
        "triptych_gathered_total": PICTURES,
        "triptych_fetch_seconds_count": PICTURES,
        "triptych_fetched_bytes_total": sum(len(picture(n)) for n in range(PICTURES)),
        "triptych_decode_seconds_count": PICTURES,
        "triptych_embedded_total": PICTURES,
    }
    before = {name: value(name) for name in names}
    batches = value("triptych_embed_seconds_count")
    steps = {"step": "duplicates", "outcome": "done"}
    taken = value("triptych_ai_step_seconds_count", **steps)
    async with local_at(tmp_path, embedder="bundled") as local:
        run = await ended(local, (await local.submit("nike", source=source)).id)
    assert run.ai_state is AiState.DONE
    assert {name: value(name) - before[name] for name in names} == names
    assert 1 <= value("triptych_embed_seconds_count") - batches <= PICTURES
    assert value("triptych_ai_step_seconds_count", **steps) - taken == 1


async def test_metrics_are_served_and_a_taken_port_is_passed_over() -> None:
    with served_metrics("127.0.0.1", 0) as none:
        assert none is None
    with served_metrics("127.0.0.1", 19_464) as first, served_metrics("127.0.0.1", 19_464) as port:
        assert first is not None
        assert port is not None
        assert port > first
        url = f"http://127.0.0.1:{port}/metrics"
        body = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).read())
    assert b"triptych_items_total" in body
    with pytest.raises(SettingsError, match="cannot be bound"), served_metrics("8.8.8.8", 9):
        pass


async def test_log_lines_name_the_item_that_they_are_about(site: Site, tmp_path: Path) -> None:
    site.failing = {1: 1}
    source = write_manifest(tmp_path, site.base, "nike", 2)
    seen: list[structlog.typing.EventDict] = []

    def keep(
        _logger: object, _name: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        seen.append(dict(event))
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep])
    try:
        async with local_at(tmp_path) as local:
            run = await ended(local, (await local.submit("nike", source=source)).id)
    finally:
        structlog.reset_defaults()
    (deferred,) = (event for event in seen if event["event"] == "message_deferred")
    assert deferred["run"] == str(run.id)
    assert len(deferred["item"]) == 32
