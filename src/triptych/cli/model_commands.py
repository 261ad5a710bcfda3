"""Commands for models that are known by name. They work on this machine's data folder."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triptych.cli.help_pages import HelpCommand, HelpGroup
from triptych.cli.invocation import Invocation, command, execute
from triptych.cli.options import DataOption, DebugOption, JsonOption

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.wiring.models import ListedModel

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A name of the list.")]
MEGABYTE = 1_000_000

models = typer.Typer(
    name="models",
    cls=HelpGroup,
    help="List the models that are known by name, and fetch them.\n\n"
    "Without a command it lists them. TRIPTYCH_EMBEDDER=NAME uses one.",
    invoke_without_command=True,
)


@models.callback()
def listing(
    context: typer.Context,
    data: DataOption = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the models, unless a command follows."""
    if context.invoked_subcommand is None:
        call = Invocation(data=data, json=json, debug=debug)
        execute(lambda: _list(call), debug)


@models.command("list", cls=HelpCommand)
@command()
async def list_models(call: Invocation) -> None:
    """List the models that are known by name, and which are on this machine."""
    await _list(call)


@models.command(cls=HelpCommand)
@command()
async def fetch(call: Invocation, name: NameArgument) -> None:
    """Fetch a model into the data folder, and check every file's SHA-256.

    One that is there already is read and checked again. Workers fetch what TRIPTYCH_EMBEDDER names
    by themselves.
    """
    from triptych.cli.json_output import print_json
    from triptych.cli.log_output import say
    from triptych.wiring.models import fetch_model

    path = await asyncio.to_thread(fetch_model, call.settings(), name, say=say)
    if call.json:
        print_json({"name": name, "path": str(path)})


async def _list(call: Invocation) -> None:
    from triptych.cli.json_output import print_json
    from triptych.wiring.models import list_models as listed

    found = listed(call.settings())
    if call.json:
        print_json({"items": [_shown(each) for each in found]})
    else:
        _print(found)


def _shown(listed: ListedModel) -> dict[str, Any]:
    model = listed.model
    return {
        "name": model.name,
        "what": model.what,
        "text": model.texts,
        "dimension": model.dimension,
        "size_bytes": model.size_bytes,
        "licence": model.licence,
        "note": model.note or None,
        "repository": model.repository,
        "revision": model.revision,
        "proven": model.pair_cosine is not None,
        "local": listed.local,
        "in_use": listed.in_use,
    }


def _print(found: Sequence[ListedModel]) -> None:
    from rich.table import Table

    from triptych.cli.tables import console, shown
    from triptych.embedders.known_models import UNPROVEN

    table = Table(box=None, pad_edge=False)
    for name in ("name", "text search", "numbers", "size", "licence", "here", "what for"):
        right = name in {"numbers", "size"}
        table.add_column(name, justify="right" if right else "left", no_wrap=name == "name")
    for each in found:
        model = each.model
        size = model.size_bytes
        table.add_row(
            shown(f"{model.name} (in use)" if each.in_use else model.name),
            "yes" if model.texts else "no",
            str(model.dimension),
            "?" if size is None else f"{size / MEGABYTE:,.0f} MB",
            shown(model.licence),
            "yes" if each.local else "no",
            shown(model.what),
        )
    console.print(table)
    for each in found:
        if each.model.note:
            console.print(shown(f"{each.model.name}: {each.model.note}."), soft_wrap=True)
    unproven = [each.model.name for each in found if each.model.pair_cosine is None]
    if unproven:
        console.print(
            shown(f"Unproven in this release ({UNPROVEN}): {', '.join(unproven)}."),
            soft_wrap=True,
            style="dim",
        )
