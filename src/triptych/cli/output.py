"""How results look: tables for people, JSON for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import orjson
import typer
from rich.console import Console
from rich.table import Table

from triptych.model import AiState, Asset, Brand, Reason, Run, RunState
from triptych.runs.failure_reasons import EXPLAINED
from triptych.runs.run_shown import BrandState, RunShown
from triptych.runs.run_store import FailureGroup
from triptych.snapshots.asset_shown import AssetShown

console = Console(highlight=False)

STATE_STYLE = {
    RunState.ACTIVE: "cyan",
    RunState.COMMITTED: "green",
    RunState.FAILED: "red",
    RunState.CANCELLED: "yellow",
}


def print_json(value: object) -> None:
    """Print one JSON document."""
    typer.echo(orjson.dumps(_plain(value), option=orjson.OPT_INDENT_2).decode())


def print_json_line(value: object) -> None:
    """Print one JSON document on one line, for streams."""
    typer.echo(orjson.dumps(_plain(value)).decode())


def _plain(value: object) -> Any:
    if isinstance(value, msgspec.Struct):
        return _wire(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID | Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def _wire(noun: msgspec.Struct) -> dict[str, Any]:
    """Return a noun as the API shows it: without passwords and embeddings."""
    if isinstance(noun, Asset):
        noun = AssetShown.of(noun)
    elif isinstance(noun, Run) and not isinstance(noun, RunShown):
        noun = RunShown.of(noun)
    elif isinstance(noun, Brand) and not isinstance(noun, BrandState):
        noun = BrandState.of(noun)
    # `--after` goes on behind a key.
    key = {"key": noun.key.hex()} if isinstance(noun, AssetShown) else {}
    return {**msgspec.to_builtins(noun), **key}


def print_brands(brands: Sequence[Brand]) -> None:
    """Print one row a brand, with its newest run."""
    if not brands:
        console.print(
            "No brands yet. Begin with: triptych run BRAND --source manifest:urls.csv", style="dim"
        )
        return
    table = Table(box=None, pad_edge=False)
    for name in ("brand", "assets", "newest run", "items", "failed", "AI"):
        table.add_column(name, justify="right" if name in {"assets", "items", "failed"} else "left")
    for brand in brands:
        run = brand.latest
        table.add_row(
            brand.name,
            f"{brand.assets:,}",
            state_text(run) if run else "–",
            f"{run.settled:,}/{run.expected:,}" if run else "–",
            f"{run.failed:,}" if run else "–",
            run.ai_state.value if run and run.ai_state is not AiState.NONE else "–",
        )
    console.print(table)


def state_text(run: Run) -> str:
    """Return a run's state as coloured text."""
    text = "paused" if run.paused else run.state.value
    return f"[{STATE_STYLE[run.state]}]{text}[/]"


def print_run(run: Run) -> None:
    """Print how one run stands, in a few lines."""
    console.print(f"[bold]{shown(run.brand)}[/]  {state_text(run)}  [dim]{run.id}[/]")
    console.print(
        f"  items   {run.expected:,} expected · {run.done:,} done · {run.failed:,} failed"
        + ("" if run.sealed else " · still gathering")
    )
    if run.state is RunState.COMMITTED:
        console.print(
            f"  commit  {run.added:,} added · {run.kept:,} kept · "
            f"{run.changed:,} changed · {run.removed:,} removed"
        )
    if run.reasons:
        reasons = " · ".join(f"{count:,} {reason}" for reason, count in run.reasons.items())
        console.print(f"  failed  {reasons}")
    if run.ai_state is not AiState.NONE:
        console.print(f"  AI      {run.ai_state.value}" + in_brackets(run.ai_reason))
    if run.reason:
        console.print(f"  reason  {shown(run.reason)}")


def explained(groups: Sequence[FailureGroup]) -> list[dict[str, object]]:
    """Return failures for programs: as they are, with what their reasons mean."""
    return [{**_plain(group), **_plain(EXPLAINED[Reason(group.reason)])} for group in groups]


def print_failures(groups: Sequence[FailureGroup]) -> None:
    """Print failed items by reason: what it means, whether a redrive may help, examples."""
    if not groups:
        console.print("Nothing failed.", style="green")
    for group in groups:
        told = EXPLAINED[Reason(group.reason)]
        console.print(f"[bold]{group.count:,} {group.reason}[/]  {told.meaning}", soft_wrap=True)
        console.print(f"    [dim]May a redrive help? {told.redrive}[/]", soft_wrap=True)
        for url, detail in group.examples:
            console.print(f"    {shown(url)}", soft_wrap=True)
            if detail:
                console.print(f"      [dim]{shown(detail)}[/]", soft_wrap=True)


def print_assets(assets: Sequence[Asset | AssetShown]) -> None:
    """Print one row an asset."""
    table = Table(box=None, pad_edge=False)
    for name in ("key", "type", "pixels", "bytes", "url"):
        table.add_column(name, justify="right" if name in {"pixels", "bytes"} else "left")
    for asset in assets:
        table.add_row(
            asset.key.hex()[:12],
            asset.media_type.removeprefix("image/"),
            f"{asset.width}×{asset.height}",
            f"{asset.size_bytes:,}",
            shown(asset.url),
        )
    console.print(table)


def plain_asset(asset: AssetShown) -> dict[str, Any]:
    """Return an asset for programs, without its embedding."""
    plain: dict[str, Any] = _plain(asset)
    return plain


def in_brackets(text: str | None) -> str:
    """Return text in brackets behind a blank; nothing for None."""
    return f" ({shown(text)})" if text else ""


def shown(text: str, *, lines: bool = False) -> str:
    """Return foreign text as it is: no markup, no control sequence of it reaches the terminal."""
    from rich.markup import escape

    kept = "\n" if lines else ""
    return escape("".join(c if c.isprintable() or c in kept else "\ufffd" for c in text))
