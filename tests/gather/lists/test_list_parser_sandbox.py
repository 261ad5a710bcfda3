"""What code reaches that has taken over a list parser: its list, and nothing around it."""

from __future__ import annotations

import asyncio
import gzip
import os
import resource
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from tests.support import sandbox_attempts
from tests.support.list_files import workbook, zipped
from tests.support.postgres import PostgresServer
from tests.support.waiting import until_true
from triptych.errors import SourceRefused, SourceUnavailable
from triptych.gather.lists import list_parsers
from triptych.gather.lists.exchange import FRAME_MAX_BYTES, Kind, Request, framed
from triptych.gather.lists.list_parsers import (
    MEMORY_MAX_BYTES,
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


def opened(path: Path) -> BinaryIO:
    return path.open("rb")


def request_for(*paths: Path, step_cpu_s: int = 10) -> Request:
    names = [path.name for path in paths]
    return Request(
        parts=names, page_rows=1000, memory_max_bytes=MEMORY_MAX_BYTES, step_cpu_s=step_cpu_s
    )


async def rows(*paths: Path, step_cpu_s: int = 10) -> Sequence[Row]:
    found: list[Row] = []
    async with asyncio.timeout(PATIENCE_S), list_parser() as parser:
        await parser.ask(
            request_for(*paths, step_cpu_s=step_cpu_s),
            [ListPart(path.name, partial(opened, path)) for path in paths],
        )
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


@pytest.fixture(scope="module")
def read_inside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    """The only row of each form; one parser reads them all, as parts of a list."""
    folder, forms = tmp_path_factory.mktemp("forms"), {**FORMS, **PACKED}
    paths = [folder / f"part-{number}" for number in range(len(forms))]
    for path, content in zip(paths, forms.values(), strict=True):
        path.write_bytes(content)
    listed = asyncio.run(rows(*paths))
    found = {row.place.split(" ")[0]: row for row in listed}
    assert len(listed) == len(found) == len(forms)
    return {form: found[path.name] for form, path in zip(forms, paths, strict=True)}


@pytest.mark.parametrize("form", [*FORMS, *PACKED])
def test_every_form_is_read_inside(read_inside: dict[str, Row], form: str) -> None:
    row = read_inside[form]
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
    "a page without records": framed(Kind.PAGE, b'{"records": [], "last": false}'),
    "a long cursor": framed(
        Kind.PAGE, b'{"records": [], "last": true, "cursor": "%s"}' % (b"x" * 5000)
    ),
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
    async with list_parser() as parser:
        await parser.ask(request_for(path), [ListPart(path.name, partial(opened, path))])
        async for _page in parser.pages():
            break
        process = Path(f"/proc/{parser.pid}")
        assert process.exists()
    assert not process.exists()


COSTLY = b"url\n" + b"https://cdn.example/a.jpg\n" * 400_000


async def test_a_step_that_takes_too_long_is_ended_and_told(tmp_path: Path) -> None:
    """A JSON document is parsed in one step. With no time for it, the first second is the last."""
    path = tmp_path / "list.json"
    path.write_bytes(b'{"a":\n[' + b'{"url":"u","n":NaN},' * 1_400_000 + b'{"url":"u"}]}')
    with pytest.raises(SourceRefused, match=r"^list\.json: The list takes more than 0 s of CPU"):
        await rows(path, step_cpu_s=0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_parser_that_is_killed_costs_its_list(tmp_path: Path, how: signal.Signals) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(COSTLY)
    async with list_parser() as parser:
        await parser.ask(request_for(path), [ListPart(path.name, partial(opened, path))])
        pages = parser.pages()
        await anext(pages)
        os.kill(parser.pid, how)
        with pytest.raises(SourceRefused, match=rf"after record \d+000, .*signal {how.name}\)"):
            [page async for page in pages]


async def test_a_reader_that_is_cancelled_ends_its_parser(tmp_path: Path) -> None:
    """While it waits for a page."""
    path = tmp_path / "list.csv"
    path.write_bytes(COSTLY)
    pids: list[int] = []

    async def wait() -> None:
        async with list_parser() as parser:
            pids.append(parser.pid)
            os.kill(parser.pid, signal.SIGSTOP)
            await parser.ask(request_for(path), [ListPart(path.name, partial(opened, path))])
            async for _page in parser.pages():
                raise AssertionError("it is stopped")

    waiting = asyncio.create_task(wait())
    await until_true(lambda: pids)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not Path(f"/proc/{pids[0]}").exists()


async def test_a_part_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(FORMS["CSV"])
    paths = [tmp_path / "a.csv", tmp_path / "gone.csv"]
    parts = [ListPart(path.name, partial(opened, path)) for path in paths]
    async with list_parser() as parser:
        await parser.ask(request_for(*paths), parts)
        with pytest.raises(SourceRefused, match=r"^gone\.csv: It cannot be read \(.*No such file"):
            [page async for page in parser.pages()]


async def test_many_parts_take_few_descriptors(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.csv" for number in range(300)]
    for number, path in enumerate(paths):
        path.write_text(f"url\nhttps://cdn.example/{number}.jpg\n")
    parts = [ListPart(path.name, partial(opened, path)) for path in paths]
    urls: list[str] = []
    async with list_parser() as parser:
        resource.prlimit(parser.pid, resource.RLIMIT_NOFILE, (20, 20))
        await parser.ask(request_for(*paths), parts)
        async for _, records in parser.pages():
            urls += [row.url for record in records for row in record.rows()]
    assert urls == [f"https://cdn.example/{number}.jpg" for number in range(300)]
