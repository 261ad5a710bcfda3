"""Commands for immediate reads: how far MongoDB is behind, and having it written again.

They use the database directly, as those for keys do: they must work while no server does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.help_pages import HelpCommand, HelpGroup
from triptych.cli.invocation import Invocation, command

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from uuid import UUID

    from triptych.reads.projection_store import ProjectionState, ProjectionStore

STATES_AT_ONCE = 1_000
BrandArgument = Annotated[
    str | None, typer.Argument(metavar="[BRAND]", help="Only this brand [all].")
]
AllOption = Annotated[bool, typer.Option("--all", help="All brands, instead of one.")]

reads = typer.Typer(
    name="reads",
    cls=HelpGroup,
    help="Show how far MongoDB is behind, and have it written again.\n\n"
    "It answers immediate reads if TRIPTYCH_READS_URL is set.",
    no_args_is_help=True,
)


@dataclass(frozen=True, slots=True)
class OpenedReads:
    """A projection: its database's address and id, and what is recorded of it."""

    address: str
    target: UUID
    store: ProjectionStore


@reads.command(cls=HelpCommand)
@command()
async def status(call: Invocation, brand: BrandArgument = None) -> None:
    """Show which database answers, and how far brands are.

    Without TRIPTYCH_READS_URL it is Postgres, which is never behind.
    """
    from triptych.cli.json_output import print_json
    from triptych.messages import check_brand

    name = None if brand is None else check_brand(brand)
    async with _open(call) as opened:
        if opened is None:
            if call.json:
                print_json({"database": None, "items": []})
            else:
                typer.echo("Postgres answers immediate reads: TRIPTYCH_READS_URL is not set.")
            return
        states = await _states(opened, name)
    if call.json:
        print_json(
            {
                "database": {"id": opened.target, "address": opened.address},
                **_totals(states),
                "items": states,
            }
        )
    else:
        _print_states(opened, states)


@reads.command(cls=HelpCommand)
@command()
async def rebuild(call: Invocation, brand: BrandArgument = None, every: AllOption = False) -> None:
    """Have brands written to MongoDB again.

    Workers do it, from the beginning. What is read stays until it is replaced.
    """
    from triptych.cli.json_output import print_json
    from triptych.errors import BadInput, SettingsError
    from triptych.messages import check_brand

    if (brand is not None) is every:
        raise BadInput("Name a brand, or all.", field="BRAND", remedy="Or --all.")
    name = None if brand is None else check_brand(brand)
    async with _open(call) as opened:
        if opened is None:
            raise SettingsError(
                "It is not set: Postgres answers immediate reads, so there is nothing to rebuild.",
                field="TRIPTYCH_READS_URL",
            )
        count = await opened.store.rebuild(opened.target, name)
    if call.json:
        print_json({"rebuilt": count})
    else:
        typer.echo(f"{count:,} to be written again. `triptych reads status` shows how far it is.")


@asynccontextmanager
async def _open(call: Invocation) -> AsyncIterator[OpenedReads | None]:
    """Yield the projection that the settings name, if any.

    Raises:
        ReadsUnavailable: it does not answer.
    """
    from triptych.cli.log_output import say
    from triptych.wiring.immediate_reads import (
        is_projected,
        open_projection,
        shown_reads_url,
    )
    from triptych.wiring.services import connect, reach_database

    settings = call.settings()
    if not is_projected(settings):
        yield None
        return
    async with (
        reach_database(settings, say=say) as dsn,
        connect(settings, dsn) as services,
        open_projection(settings) as opened,
    ):
        assert opened is not None
        store = services.stores.projections
        target = await opened.projection.open(await store.lowers())
        yield OpenedReads(shown_reads_url(settings), target, store)


async def _states(opened: OpenedReads, brand: str | None) -> Sequence[ProjectionState]:
    """Return the states of all brands, or of one.

    Raises:
        BrandNotFound: there is none of that name.
    """
    from triptych.errors import BrandNotFound

    found: list[ProjectionState] = []
    after = ""
    while some := await opened.store.states(opened.target, after=after, limit=STATES_AT_ONCE):
        found += [state for state in some if brand is None or state.brand == brand]
        after = some[-1].brand
    if brand is not None and not found:
        raise BrandNotFound(f"There is no brand {brand!r}.")
    return found


def _totals(states: Sequence[ProjectionState]) -> dict[str, float]:
    return {
        "brands": len(states),
        "shown": sum(state.shown_run is not None for state in states),
        "behind": sum(_is_behind(state) for state in states),
        "lag_s": max((state.behind_s for state in states), default=0.0),
    }


def _is_behind(state: ProjectionState) -> bool:
    return state.behind_s > 0 or state.shown_run != state.wanted_run


def _print_states(opened: OpenedReads, states: Sequence[ProjectionState]) -> None:
    from rich.table import Table

    from triptych.cli.tables import console, shown

    totals = _totals(states)
    console.print(f"{shown(opened.address)}  {opened.target}", soft_wrap=True)
    console.print(
        f"{totals['brands']:,} brands, {totals['shown']:,} shown, {totals['behind']:,} behind, "
        f"the furthest by {totals['lag_s']:,.0f} s"
    )
    table = Table(box=None, pad_edge=False)
    for name in ("brand", "behind", "written", "assets", "shown"):
        table.add_column(name, justify="left" if name in {"brand", "shown"} else "right")
    for state in states:
        table.add_row(
            shown(state.brand),
            f"{state.behind_s:,.0f} s" if _is_behind(state) else "–",
            f"{state.written:,}" if _is_behind(state) else "–",
            f"{state.assets:,}",
            f"{state.shown_at:%Y-%m-%d %H:%M}" if state.shown_at else "–",
        )
    if states:
        console.print(table)
