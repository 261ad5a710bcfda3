"""Commands for API keys.

They use the database directly: keys can be created by anyone with access to it, before there is a
server that would require one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.help_pages import HelpCommand, HelpGroup
from triptych.cli.invocation import Invocation, command

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.access.access_store import ApiKey
    from triptych.wiring.stores import Stores

KeyName = Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")]
BY_COMMAND_LINE = "command line"
AUDITED = frozenset({"scope", "expires_at", "brands"})

keys = typer.Typer(
    name="keys", cls=HelpGroup, help="Create, list and revoke API keys.", no_args_is_help=True
)


@keys.command(cls=HelpCommand)
@command()
async def create(
    call: Invocation,
    name: KeyName,
    scope: Annotated[str, typer.Option(help="Its scope: reader or operator.")] = "reader",
    expires: Annotated[
        str, typer.Option(help="When it ends: days (90d), a date (2031-01-31), or never.")
    ] = "365d",
    brand: Annotated[
        list[str] | None, typer.Option(help="A brand to which it is limited; may be repeated.")
    ] = None,
) -> None:
    """Create a key and print it once: only its hash is stored."""
    from triptych.access.access_store import Scope
    from triptych.access.expiry import read_expiry
    from triptych.access.identity import check_key_brands, check_key_name, digest, new_token
    from triptych.cli.json_output import print_json
    from triptych.errors import BadInput
    from triptych.tasks.task_store import Audit

    try:
        right = Scope(scope)
    except ValueError as error:
        raise BadInput(
            f"There is no scope {scope!r}.", field="--scope", remedy="Use reader or operator."
        ) from error
    ends_at = read_expiry(expires, datetime.now(UTC))
    brands = check_key_brands(brand) if brand else None
    token = new_token()
    async with _open_stores(call) as stores:
        key = await stores.access.create_key(
            check_key_name(name), right, digest(token), expires_at=ends_at, brands=brands
        )
        limits = {name: value for name, value in _plain(key).items() if name in AUDITED}
        await stores.tasks.record_audit(Audit(BY_COMMAND_LINE, "create_key", f"key:{name}", limits))
    if call.json:
        print_json({**_plain(key), "token": token})
    else:
        typer.echo(token)
        typer.echo(f"Store it now: it is not shown again. {_sentence(key)}", err=True)


@keys.command("list", cls=HelpCommand)
@command()
async def list_keys(call: Invocation) -> None:
    """List the keys, including revoked ones."""
    from triptych.cli.json_output import print_json

    async with _open_stores(call) as stores:
        found = await stores.access.keys()
    if call.json:
        print_json([_plain(key) for key in found])
        return
    for key in found:
        typer.echo(f"{key.name}  {key.scope.value}  {_state(key)}  {_brands(key)}")


@keys.command(cls=HelpCommand)
@command()
async def revoke(call: Invocation, name: KeyName) -> None:
    """Revoke a key: servers refuse it within five seconds."""
    from triptych.cli.json_output import print_json
    from triptych.tasks.task_store import Audit

    async with _open_stores(call) as stores:
        key = await stores.access.revoke_key(name)
        await stores.tasks.record_audit(Audit(BY_COMMAND_LINE, "revoke_key", f"key:{name}"))
    if call.json:
        print_json(_plain(key))
    else:
        typer.echo(f"Revoked {key.name}.")


@asynccontextmanager
async def _open_stores(call: Invocation) -> AsyncIterator[Stores]:
    from triptych.cli.log_output import say
    from triptych.wiring.services import connect, reach_database

    settings = call.settings()
    async with reach_database(settings, say=say) as dsn, connect(settings, dsn) as services:
        yield services.stores


def _plain(key: ApiKey) -> dict[str, object]:
    return {
        "name": key.name,
        "scope": key.scope.value,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "brands": None if key.brands is None else sorted(key.brands),
        "revoked_at": key.revoked_at,
    }


def _state(key: ApiKey) -> str:
    if key.revoked_at:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "never expires"
    past = key.expires_at <= datetime.now(UTC)
    return f"{'expired' if past else 'expires'} {key.expires_at:%Y-%m-%d}"


def _brands(key: ApiKey) -> str:
    from triptych.cli.tables import shown

    return "all brands" if key.brands is None else ", ".join(map(shown, sorted(key.brands)))


def _sentence(key: ApiKey) -> str:
    return f"Scope: {key.scope.value}, {_brands(key)}; {_state(key)}."
