"""Commands for API keys.

They use the database directly: keys can be created by anyone with access to it, before there is a
server that would require one.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.help_pages import HelpCommand, HelpGroup
from triptych.cli.invocation import Invocation, command

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.access.access_store import ApiKey, Scope
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
    from_env: Annotated[
        str | None,
        typer.Option(
            metavar="VARIABLE",
            help="Take the token from an environment variable, and print none. Doing it again with "
            "the same token changes nothing.",
        ),
    ] = None,
) -> None:
    """Create a key and print it once: only its hash is stored."""
    from triptych.access.access_store import Scope
    from triptych.access.expiry import read_expiry
    from triptych.access.identity import check_key_brands, check_key_name, new_token
    from triptych.cli.json_output import print_json
    from triptych.errors import BadInput

    try:
        right = Scope(scope)
    except ValueError as error:
        raise BadInput(
            f"There is no scope {scope!r}.", field="--scope", remedy="Use reader or operator."
        ) from error
    wanted = NewKey(
        check_key_name(name),
        right,
        new_token() if from_env is None else _token_in(from_env),
        read_expiry(expires, datetime.now(UTC)),
        check_key_brands(brand) if brand else None,
    )
    async with _open_stores(call) as stores:
        key = await _create(stores, wanted, repeatable=from_env is not None)
    if call.json:
        print_json({**_plain(key), **({} if from_env else {"token": wanted.token})})
    elif from_env:
        typer.echo(f"{key.name} has the token in {from_env}. {_sentence(key)}", err=True)
    else:
        typer.echo(wanted.token)
        typer.echo(f"Store it now: it is not shown again. {_sentence(key)}", err=True)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be made."""

    name: str
    scope: Scope
    token: str
    expires_at: datetime | None
    brands: frozenset[str] | None


def _token_in(variable: str) -> str:
    from triptych.access.identity import check_token
    from triptych.errors import BadInput

    token = os.environ.get(variable)
    if token is None:
        raise BadInput(f"{variable} is not set.", field="--from-env")
    return check_token(token)


async def _create(stores: Stores, wanted: NewKey, *, repeatable: bool) -> ApiKey:
    """Create a key; ``repeatable``: return the one of this name if it has this token."""
    from triptych.access.identity import digest
    from triptych.errors import KeyExists
    from triptych.tasks.task_store import Audit

    stored = digest(wanted.token)
    try:
        key = await stores.access.create_key(
            wanted.name,
            wanted.scope,
            stored,
            expires_at=wanted.expires_at,
            brands=wanted.brands,
        )
    except KeyExists:
        known = {key.name: key for key in await stores.access.keys()}.get(wanted.name)
        if not repeatable or known is None or known.digest != stored or known.revoked_at:
            raise
        return known
    limits = {name: value for name, value in _plain(key).items() if name in AUDITED}
    await stores.tasks.record_audit(
        Audit(BY_COMMAND_LINE, "create_key", f"key:{wanted.name}", limits)
    )
    return key


@keys.command("list", cls=HelpCommand)
@command()
async def list_keys(call: Invocation) -> None:
    """List the keys, including revoked ones."""
    from triptych.cli.json_output import print_json
    from triptych.cli.terminal_text import printable

    async with _open_stores(call) as stores:
        found = await stores.access.keys()
    if call.json:
        print_json([_plain(key) for key in found])
        return
    for key in found:
        typer.echo(printable(f"{key.name}  {key.scope.value}  {_state(key)}  {_brands(key)}"))


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
