"""Results for programs: JSON with the same types as the API."""

from __future__ import annotations

from pathlib import Path

import msgspec
import typer


def print_json(value: object) -> None:
    """Print one JSON document."""
    typer.echo(msgspec.json.format(_encode(value), indent=2).decode())


def print_json_line(value: object) -> None:
    """Print one JSON document on one line, for streams."""
    typer.echo(_encode(value).decode())


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=_plain)


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError
