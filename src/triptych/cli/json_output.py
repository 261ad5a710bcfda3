"""Results for programs: JSON with the same types as the API, safe on a terminal, too."""

from __future__ import annotations

from pathlib import Path

import msgspec
import typer

from triptych.cli.terminal_text import printable_json
from triptych.shown_url import encoded_without_credentials


def print_json(value: object) -> None:
    """Print one JSON document."""
    typer.echo(printable_json(msgspec.json.format(_encode(value), indent=2).decode()))


def print_json_line(value: object) -> None:
    """Print one JSON document on one line, for streams."""
    typer.echo(printable_json(_encode(value).decode()))


def _encode(value: object) -> bytes:
    return encoded_without_credentials(msgspec.json.encode(value, enc_hook=_plain))


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError
