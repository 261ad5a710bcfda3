"""Commands for API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.frame import Data, Debug, Json, execute

if TYPE_CHECKING:
    # What a command needs is imported when it runs: `--help` has to be quick.
    from triptych.access.access_store import ApiKey
    from triptych.settings.settings import Settings

KeyName = Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")]
BY_COMMAND_LINE = "command line"

keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


@keys.command()
def create(
    name: KeyName,
    scope: Annotated[str, typer.Option(help="reader or operator.")] = "reader",
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a key and print it, once: only its hash is kept."""

    async def work(settings: Settings) -> None:
        from triptych.access.access_store import Scope
        from triptych.access.identity import check_key_name, digest, new_token
        from triptych.cli.output import print_json
        from triptych.errors import BadInput
        from triptych.tasks.task_store import Audit
        from triptych.wiring.services import connect, reach_database

        try:
            right = Scope(scope)
        except ValueError as error:
            raise BadInput(
                f"There is no scope {scope!r}.", field="--scope", remedy="reader or operator."
            ) from error
        token = new_token()
        async with reach_database(settings) as dsn, connect(settings, dsn) as parts:
            key = await parts.stores.access.create_key(check_key_name(name), right, digest(token))
            await parts.stores.tasks.record_audit(
                Audit(BY_COMMAND_LINE, "create_key", f"key:{name}", {"scope": right.value})
            )
        if json:
            print_json({**_plain(key), "token": token})
        else:
            typer.echo(token)
            typer.echo(f"Keep it: it is not shown again. Scope {right.value}.", err=True)

    execute(work, debug=debug, data=data)


@keys.command("list")
def list_keys(data: Data = None, json: Json = False, debug: Debug = False) -> None:
    """List the keys, revoked ones too."""

    async def work(settings: Settings) -> None:
        from triptych.cli.output import print_json
        from triptych.wiring.services import connect, reach_database

        async with reach_database(settings) as dsn, connect(settings, dsn) as parts:
            found = await parts.stores.access.keys()
        if json:
            print_json([_plain(key) for key in found])
            return
        for key in found:
            state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "live"
            typer.echo(f"{key.name}  {key.scope.value}  {state}")

    execute(work, debug=debug, data=data)


@keys.command()
def revoke(name: KeyName, data: Data = None, json: Json = False, debug: Debug = False) -> None:
    """End a key: servers refuse it within five seconds."""

    async def work(settings: Settings) -> None:
        from triptych.cli.output import print_json
        from triptych.tasks.task_store import Audit
        from triptych.wiring.services import connect, reach_database

        async with reach_database(settings) as dsn, connect(settings, dsn) as parts:
            key = await parts.stores.access.revoke_key(name)
            await parts.stores.tasks.record_audit(
                Audit(BY_COMMAND_LINE, "revoke_key", f"key:{name}")
            )
        if json:
            print_json(_plain(key))
        else:
            typer.echo(f"Revoked {key.name}.")

    execute(work, debug=debug, data=data)


def _plain(key: ApiKey) -> dict[str, object]:
    return {
        "name": key.name,
        "scope": key.scope.value,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }
