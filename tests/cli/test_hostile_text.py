"""Text of servers, lists and brands on the terminal: no markup, no control character has effect.

Every command runs against a client whose every answer has hostile text in every string.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args, get_type_hints
from uuid import UUID

import pytest
import structlog
from rich.color import ColorSystem
from typer.testing import CliRunner, Result

from tests.support.hostile_values import CONTROLS, HOSTILE, MARKUP, hostile_stream, hostile_value
from triptych.access.access_store import ApiKey
from triptych.api.exports import ExportFormatShown
from triptych.api.sources import SourceTypeShown
from triptych.api.system import Setting
from triptych.api.tasks import IdentityShown
from triptych.api.webhooks import WebhookMade
from triptych.cli import key_commands, read_commands
from triptych.cli.command_line import app
from triptych.cli.invocation import Invocation
from triptych.cli.tables import console
from triptych.cli.terminal_text import REPLACEMENT, printable, printable_json
from triptych.client.client import Client
from triptych.errors import TriptychError
from triptych.reads.projection_store import ProjectionState
from triptych.snapshots.object_check import Finding, Tally
from triptych.snapshots.reports import report
from triptych.tasks.task_store import Task
from triptych.wiring import doctor, verification

RUN = str(UUID(int=7))
API_TYPES = {
    kind.__name__: kind
    for kind in (ExportFormatShown, IdentityShown, Setting, SourceTypeShown, WebhookMade)
}
"""Types that the client imports only where it needs them: they come with FastAPI."""
COMMANDS: dict[str, list[str]] = {
    "check": ["manifest:x.csv", "--server", "http://127.0.0.1:1"],
    "submit": ["nike", "--source", "manifest:x.csv"],
    "status": [],
    "status of a run": [RUN],
    "runs": [],
    "failures": [RUN],
    "assets": ["nike"],
    "assets of a snapshot": ["nike", "--snapshot", RUN],
    "asset": ["id"],
    "search": ["shoe"],
    "facets": ["nike"],
    "near": ["nike"],
    "compare": ["nike", "puma"],
    "schedule": ["nike"],
    "ai": ["nike"],
    "delete": ["nike", "--yes"],
    "sources": [],
    "timeline": [RUN],
    "workers": [],
    "me": [],
    "tasks": [],
    "audit": [],
    "webhooks list": [],
    "webhooks create": ["https://x.example"],
    "webhooks deliveries": [RUN],
    "similar": ["id"],
    "insights": ["nike"],
    "insights at length": ["nike", "--verbose"],
    "report": ["nike", "--to", "report"],
    "export": ["nike", "--to", "out"],
    "snapshots": ["nike"],
    "diff": ["nike", RUN],
    "restore": ["nike", str(UUID(int=8)), "--yes"],
    "pause": [RUN],
    "resume": [RUN],
    "cancel": [RUN],
    "publish": [RUN],
    "discard": [RUN],
    "redrive": [RUN],
    "reembed": ["nike"],
    "doctor": [],
    "settings": [],
    "dead-letters list": [],
    "keys list": [],
    "reads status": [],
    "verify": [],
}
"""What each command is run with. After `` of `` or `` at `` it is the same command once more."""
NOT_RUN = {
    *("run", "up", "api", "worker", "live", "migrate", "backup"),
    *("dead-letters redrive", "dead-letters discard", "keys create", "keys revoke"),
    *("reads rebuild", "webhooks delete"),
}
"""Commands that start processes, and those that print numbers and the words they were given."""


class HostileClient:
    """A client of a hostile server: its methods return what `Client`'s are annotated with."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        kind = get_type_hints(getattr(Client, name), localns=API_TYPES)["return"]
        if str(kind).startswith("collections.abc.AsyncIterator"):
            return lambda *_, **__: hostile_stream(get_args(kind)[0])

        async def answer(*_: object, **__: object) -> Any:
            return hostile_value(kind)

        return answer

    async def export(self, *_: object) -> Task:
        files = [{"name": f"a{CONTROLS.replace('/', '')}[blink]"}]
        task: Task = hostile_value(Task)
        task.result.update(files=files, assets=1, notes=[HOSTILE])  # type: ignore[attr-defined]
        return task

    async def fetch_file(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Undo the configuration of the log, which a command makes for its own process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @asynccontextmanager
    async def open_client(_call: Invocation, **_: object) -> AsyncIterator[HostileClient]:
        yield HostileClient()

    async def diagnose(*_: object, **__: object) -> Sequence[doctor.Finding]:
        return [doctor.Finding("database", ok=True, says=HOSTILE)]

    async def make_report(*_: object) -> report.Report:
        return report.Report({}, (HOSTILE,))

    @asynccontextmanager
    async def open_verification(*_: object, **__: object) -> AsyncIterator[Any]:
        check = SimpleNamespace(tally=hostile_value(Tally), folder=1)
        yield SimpleNamespace(check=check, findings=hostile_stream(Finding))

    class Keys:
        access = None

        async def keys(self) -> list[ApiKey]:
            return [hostile_value(ApiKey)]

    @asynccontextmanager
    async def open_stores(_call: Invocation) -> AsyncIterator[Any]:
        stores = Keys()
        stores.access = stores  # type: ignore[assignment]
        yield stores

    class Projections:
        async def states(self, _: UUID, *, after: str, limit: int) -> list[ProjectionState]:
            assert limit
            return [] if after else [hostile_value(ProjectionState)]

    @asynccontextmanager
    async def open_projections(_call: Invocation) -> AsyncIterator[Any]:
        yield read_commands.OpenedReads(HOSTILE, UUID(int=7), cast("Any", Projections()))

    monkeypatch.setattr(read_commands, "_open", open_projections)
    monkeypatch.setattr(Invocation, "open_client", open_client)
    monkeypatch.setattr(doctor, "diagnose", diagnose)
    monkeypatch.setattr(verification, "open_verification", open_verification)
    monkeypatch.setattr(report, "make_report", make_report)
    monkeypatch.setattr(key_commands, "_open_stores", open_stores)
    monkeypatch.setenv("TRIPTYCH_USER_AGENT", HOSTILE)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(tmp_path)


def called(name: str, *more: str) -> Result:
    words = name.split(" of ", maxsplit=1)[0].split(" at ", maxsplit=1)[0].split()
    return CliRunner().invoke(app, [*words, *COMMANDS[name], *more])


def names() -> set[str]:
    found = {each.callback.__name__ for each in app.registered_commands if each.callback}
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for each in group.typer_instance.registered_commands:
            assert each.callback is not None
            verb = each.name or each.callback.__name__
            found.add(f"{group.typer_instance.info.name} {verb}")
    return found


def test_every_command_is_among_them() -> None:
    tried = {name.split(" of ")[0].split(" at ")[0] for name in COMMANDS}
    assert tried | NOT_RUN == names()
    assert not tried & NOT_RUN


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("name", COMMANDS)
def test_markup_of_others_is_shown_and_has_no_effect(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = called(name)
    assert plain.exception is None or isinstance(plain.exception, SystemExit), plain.exception
    assert not [c for c in plain.output if not c.isprintable() and c != "\n"]
    monkeypatch.setattr(console, "_force_terminal", True)
    monkeypatch.setattr(console, "_color_system", ColorSystem.TRUECOLOR)
    drawn = called(name).output
    assert "\x1b]8" not in drawn, "a link"
    assert not {"\x1b[5m", "\x1b[5;31m", "\x9b", "\x85", "\x7f", "\u202e", "\u2066"} & {
        piece for size in (1, 4, 7) for piece in (drawn[at : at + size] for at in range(len(drawn)))
    }


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("name", COMMANDS)
def test_json_means_the_same_and_has_no_control_character(name: str) -> None:
    result = called(name, "--json")
    assert not [c for c in result.stdout if not c.isprintable() and c != "\n"]
    streams = name in {"restore", "verify"}
    texts = result.stdout.splitlines() if streams else [result.stdout]
    documents = [json.loads(text) for text in texts]
    assert documents
    if "\\u009b" in result.stdout:
        assert CONTROLS in json.dumps(documents, ensure_ascii=False).encode().decode(
            "utf-8"
        ).replace("\\u001b", "\x1b").replace("\\u0007", "\x07")


def test_errors_of_a_server_are_plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @asynccontextmanager
    async def refuse(_call: Invocation, **_: object) -> AsyncIterator[HostileClient]:
        if HOSTILE:
            raise TriptychError(HOSTILE, remedy=HOSTILE)
        yield HostileClient()

    monkeypatch.setattr(Invocation, "open_client", refuse)
    monkeypatch.chdir(tmp_path)
    result = called("status")
    assert result.exit_code == 1
    assert f"error: {MARKUP}" in result.output
    assert not [c for c in result.output if not c.isprintable() and c != "\n"]


def test_what_is_printable_stays() -> None:
    assert printable("Löwe 价格 €\n\t", lines=True) == "Löwe 价格 €\n\t"
    assert printable("a\nb") == f"a{REPLACEMENT}b"
    text = '{"a": "Löwe \x9b\x7f\u202e\U000e0001"}'
    assert printable_json(text) == '{"a": "Löwe \\u009b\\u007f\\u202e\\udb40\\udc01"}'
    assert json.loads(printable_json(text)) == json.loads(text)
