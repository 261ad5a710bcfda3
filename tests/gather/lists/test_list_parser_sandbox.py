"""What code reaches that has taken over a list parser: its list, and nothing around it."""

from __future__ import annotations

import asyncio
import gzip
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from tests.support import sandbox_attempts
from tests.support.list_files import workbook, zipped
from tests.support.postgres import PostgresServer
from triptych.errors import SourceRefused, SourceUnavailable
from triptych.gather.lists import list_parsers
from triptych.gather.lists.bounds import MIB
from triptych.gather.lists.exchange import FRAME_MAX_BYTES, Kind, Request, framed
from triptych.gather.lists.list_parsers import (
    ListPart,
    list_parser,
    parser_environment,
    sandbox_lacks,
)
from triptych.gather.source import Row
from triptych.runtime.sandbox import OOM_SCORE_ADJ

pytestmark = pytest.mark.integration

A = "https://cdn.example/a.jpg"
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def outcomes(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    return sandbox_attempts.outcomes(
        "triptych.gather.lists.list_parser.enter_parser_sandbox",
        parser_environment(),
        dsn=postgres_server.dsn("triptych"),
        folder=tmp_path_factory.mktemp("secrets"),
    )


@pytest.mark.parametrize("attempt", sandbox_attempts.ATTEMPTS)
def test_nothing_around_a_list_parser_can_be_reached(
    outcomes: dict[str, str], attempt: str
) -> None:
    assert outcomes[attempt] == "PermissionError"


async def rows(path: Path, memory: int = list_parsers.MEMORY_MAX_BYTES) -> Sequence[Row]:
    parts = [ListPart(path.name, lambda: path.open("rb"))]
    request = Request(parts=[path.name], page_rows=1000, memory_max_bytes=memory, step_cpu_s=10)
    found: list[Row] = []
    async with asyncio.timeout(PATIENCE_S), list_parser() as parser:
        await parser.ask(request, parts)
        async for _, records in parser.pages():
            found += [row for record in records for row in record.rows()]
    return found


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    times = pa.array([0], pa.timestamp("us", tz="Europe/Berlin"))
    pq.write_table(pa.table({"url": [A], "title": ["a"], "at": times}), sink)
    return bytes(sink.getvalue())


FORMS = {
    "CSV": f"url,title\n{A},a\n".encode(),
    "CSV in Windows-1252": f"url,title,größe\n{A},a,é\n".encode("cp1252"),
    "JSON Lines": f'{{"url": "{A}", "title": "a"}}\n'.encode(),
    "JSON array": f'[{{"url": "{A}", "title": "a"}}]'.encode(),
    "JSON document": f'{{"a":\n{{"b": [{{"url": "{A}", "title": "a"}}]}}}}'.encode(),
    "RSS": f"<rss><channel><item><image_link>{A}</image_link><title>a</title></item></channel>"
    "</rss>".encode(),
    "Parquet": parquet(),
    "workbook": workbook({"S": [["url", "title"], [A, "a"]]}),
}
PACKED = {
    **{f"{name}, gzipped": gzip.compress(content, mtime=0) for name, content in FORMS.items()},
    **{f"{name}, zipped": zipped({"list": content}) for name, content in FORMS.items()},
}


@pytest.mark.parametrize("form", [*FORMS, *PACKED])
async def test_every_form_is_read_inside(tmp_path: Path, form: str) -> None:
    path = tmp_path / "list"
    path.write_bytes({**FORMS, **PACKED}[form])
    (row,) = await rows(path)
    assert (row.url, row.metadata["title"]) == (A, "a")


async def test_a_living_parser_is_confined_and_is_ended_before_its_worker() -> None:
    assert await sandbox_lacks() == ()
    async with list_parser() as parser:
        process = Path(f"/proc/{parser.pid}")
        told = (process / "status").read_text()
        status = dict(line.split(":\t", 1) for line in told.splitlines())
        score = int((process / "oom_score_adj").read_text())
        assert (status["NoNewPrivs"], status["Seccomp"], score) == ("1", "2", OOM_SCORE_ADJ)
        assert status["Threads"] == "1", "of which Landlock confines one"
    assert not process.exists()


async def test_a_parser_that_does_not_start_is_no_lists_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list").write_bytes(FORMS["CSV"])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SourceUnavailable, match=r"List parsers do not start \(exit 1"):
        await rows(tmp_path / "list")


async def test_what_a_parsers_sandbox_lacks_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    list_parsers._note_sandbox.cache_clear()
    with capture_logs() as logs:
        for _ in range(2):
            list_parsers._note_sandbox(("seccomp: not here",))
    assert [(entry["event"], entry["of"]) for entry in logs] == [
        ("sandbox_incomplete", "list parsers")
    ]


SAYS = """
import os, socket, sys
line = socket.socket(fileno=0)
line.sendall({greeting!r})
line.recv(65536)
line.sendall({frame!r})
line.recv(1)
"""
TAKEN_OVER = {
    "a frame without an end": bytes([Kind.PAGE]) + (FRAME_MAX_BYTES[Kind.PAGE] + 1).to_bytes(4),
    "a frame of no kind": bytes([99, 0, 0, 0, 0]),
    "no JSON": framed(Kind.PAGE, b"\x80\x04."),
    "another type": framed(Kind.PAGE, b'{"records": [["", [5], []]], "last": true}'),
    "a text that is no record": framed(Kind.PAGE, b'{"records": ["[1]"], "last": true}'),
    "deep nesting": framed(Kind.PAGE, b'{"records": ' + b"[" * 100_000),
    "too many records": framed(
        Kind.PAGE, b'{"records": [' + b",".join([b'[""]'] * 10_001) + b'], "last": true}'
    ),
    "a part that is none": framed(Kind.PART, b"7"),
    "a negative part": framed(Kind.PART, b"-1"),
    "a greeting twice": framed(Kind.GREETING, b"[]"),
    "a doubt about a list": framed(Kind.DOUBTED, b'{"message": "m"}'),
    "nothing": b"",
}


@pytest.mark.parametrize("frame", TAKEN_OVER)
async def test_what_a_parser_says_is_trusted_as_little_as_its_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frame: str
) -> None:
    """A parser that was taken over can make its own list fail, and nothing else."""
    greeting = framed(Kind.GREETING, msgspec.json.encode([]))
    program = tmp_path / "taken_over.py"
    end = "sys.exit(0)" if frame == "nothing" else ""
    program.write_text(
        SAYS.format(greeting=greeting, frame=TAKEN_OVER[frame]).replace(
            "line.recv(1)", end or "line.recv(1)"
        )
    )
    (tmp_path / "list").write_bytes(FORMS["CSV"])
    monkeypatch.setattr(list_parsers, "MODULE", "taken_over")
    monkeypatch.setattr(
        list_parsers, "parser_environment", lambda: {"PYTHONPATH": str(tmp_path), "PATH": "/bin"}
    )
    with pytest.raises(SourceRefused, match=r"is broken there|^m$"):
        await rows(tmp_path / "list")


async def test_a_parser_ends_with_whoever_asked(tmp_path: Path) -> None:
    """Also in the middle of a list, when the socket between them is full."""
    path = tmp_path / "list.csv"
    path.write_text("url\n" + "https://cdn.example/a.jpg\n" * 300_000)
    parts = [ListPart("list.csv", lambda: path.open("rb"))]
    async with list_parser() as parser:
        await parser.ask(
            Request(parts=["list.csv"], page_rows=1000, memory_max_bytes=512 * MIB, step_cpu_s=9),
            parts,
        )
        async for _page in parser.pages():
            break
        process = Path(f"/proc/{parser.pid}")
        assert process.exists()
    assert not process.exists()
