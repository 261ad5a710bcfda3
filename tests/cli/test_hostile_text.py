"""Text of servers, lists and brands on the terminal: no markup, no control character has effect.

Every command runs against a client whose every answer has hostile text in every string.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
import structlog
from rich.color import ColorSystem
from typer.testing import CliRunner, Result

from tests.support.hostile_client import COMMANDS, HostileClient
from tests.support.hostile_values import CONTROLS, HOSTILE, MARKUP, hostile_stream, hostile_value
from tests.support.verbs import VERBS, Verb
from triptych.access.access_store import ApiKey
from triptych.cli import key_commands, read_commands
from triptych.cli.command_line import app
from triptych.cli.invocation import Invocation
from triptych.cli.tables import console
from triptych.cli.terminal_text import REPLACEMENT, printable, printable_json
from triptych.errors import TriptychError
from triptych.reads.projection_store import ProjectionState
from triptych.snapshots.object_check import Finding, Tally
from triptych.snapshots.reports import report
from triptych.wiring import doctor, verification

NOT_RUN = {
    *("run", "up", "api", "worker", "live", "migrate", "backup"),
    *("dead-letters redrive", "dead-letters discard", "keys create", "keys revoke"),
    *("reads rebuild", "webhooks delete", "uploads delete", "models fetch", "new step"),
}
"""Commands that start processes, and those that print numbers and the words they were given."""


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Undo the configuration of the log, which a command makes for its own process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> HostileClient:
    client = HostileClient()

    @asynccontextmanager
    async def open_client(_call: Invocation, **_: object) -> AsyncIterator[HostileClient]:
        yield client

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
    return client


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


@pytest.mark.parametrize("name", COMMANDS)
def test_json_means_the_same_and_has_no_control_character(
    name: str, hostile: HostileClient
) -> None:
    result = called(name, "--json")
    methods = {verb.method for verb in VERBS.values() if verb.command == name}
    assert methods <= set(hostile.asked), "it does not ask what the table of verbs says"
    assert not [c for c in result.stdout if not c.isprintable() and c != "\n"]
    streams = name in {"restore", "verify"}
    texts = result.stdout.splitlines() if streams else [result.stdout]
    documents = [json.loads(text) for text in texts]
    assert documents
    if "\\u009b" in result.stdout:
        assert CONTROLS in json.dumps(documents, ensure_ascii=False).encode().decode(
            "utf-8"
        ).replace("\\u001b", "\x1b").replace("\\u0007", "\x07")


@pytest.mark.parametrize(
    "verb",
    [
        verb
        for verb in VERBS.values()
        if isinstance(verb.command, str) and verb.command not in COMMANDS
    ],
    ids=lambda verb: verb.method,
)
def test_commands_with_other_options_ask_what_the_table_of_verbs_says(
    verb: Verb, hostile: HostileClient, tmp_path: Path
) -> None:
    assert isinstance(verb.command, str)
    (tmp_path / "file").write_bytes(b"x")
    words = [word.replace("_", " ") for word in verb.command.format(file="file").split()]
    CliRunner().invoke(app, words)
    assert verb.method in hostile.asked


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
