"""Commands for webhooks: addresses that are sent a message when a run or its AI phase ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from triptych.cli.help_pages import HelpCommand, HelpGroup
from triptych.cli.invocation import Invocation, command

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.webhooks.webhook_store import Event

WebhookId = Annotated[UUID, typer.Argument(metavar="WEBHOOK", help="Its id, as `list` shows it.")]

webhooks = typer.Typer(
    name="webhooks",
    cls=HelpGroup,
    help="List, create and delete webhooks.\n\nThey are sent a message when a run ends.",
    no_args_is_help=True,
)


@webhooks.command("list", cls=HelpCommand)
@command(server=True)
async def list_webhooks(call: Invocation) -> None:
    """List the webhooks, oldest first."""
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console, shown

    async with call.open_client() as client:
        found = await client.webhooks()
    if call.json:
        print_json({"items": found})
        return
    for each in found:
        events = ", ".join(event.value for event in each.events)
        console.print(f"{each.id}  {shown(each.url)}  {events}", soft_wrap=True)
        console.print(f"    of {shown(each.brand) if each.brand else 'all brands'}", soft_wrap=True)
        if each.reason:
            console.print(f"    [yellow]stopped: {shown(each.reason)}[/]", soft_wrap=True)
    if not found:
        console.print("No webhooks.", style="dim")


@webhooks.command(cls=HelpCommand)
@command(server=True)
async def create(
    call: Invocation,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where messages are sent.")],
    events: Annotated[
        list[str] | None,
        typer.Option(
            "--event",
            help="Such as run.committed, run.held or ai.done; repeatable [all events].",
        ),
    ] = None,
    brand: Annotated[
        str | None, typer.Option("--brand", help="Only of this brand [all brands].")
    ] = None,
) -> None:
    """Create a webhook and print its secret once."""
    from triptych.cli.json_output import print_json
    from triptych.cli.terminal_text import printable
    from triptych.webhooks.webhook_store import Event

    wanted = [_known_event(name) for name in events or ()] or list(Event)
    async with call.open_client() as client:
        made = await client.make_webhook(url, wanted, brand=brand)
    if call.json:
        print_json(made)
        return
    typer.echo(printable(made.secret))
    typer.echo(
        f"Store it now: it signs the messages and is not shown again. Webhook {made.id}.", err=True
    )


@webhooks.command(cls=HelpCommand)
@command(server=True)
async def delete(call: Invocation, webhook: WebhookId) -> None:
    """Delete a webhook; messages that wait for it are dropped."""
    from triptych.cli.json_output import print_json

    async with call.open_client() as client:
        await client.delete_webhook(webhook)
    if call.json:
        print_json({"deleted": webhook})
    else:
        typer.echo(f"Deleted {webhook}.")


@webhooks.command(cls=HelpCommand)
@command(server=True)
async def deliveries(call: Invocation, webhook: WebhookId) -> None:
    """List the newest 100 messages to a webhook, newest first."""
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console, local_time, shown

    async with call.open_client() as client:
        found = await client.deliveries(webhook)
    if call.json:
        print_json({"items": found})
        return
    for each in found:
        if each.delivered_at is not None:
            became = f"delivered {local_time(each.delivered_at)}"
        elif each.failed_at is not None:
            became = "given up"
        else:
            became = f"due {local_time(each.due_at)}"
        tries = "1 attempt" if each.attempts == 1 else f"{each.attempts} attempts"
        console.print(
            f"{local_time(each.created_at)}  {shown(each.event)}  {became}, {tries}", soft_wrap=True
        )
        if each.reason:
            console.print(f"    {shown(each.reason)}", soft_wrap=True)
    if not found:
        console.print("No messages yet.", style="dim")


def _known_event(name: str) -> Event:
    from triptych.errors import BadInput
    from triptych.webhooks.webhook_store import Event

    try:
        return Event(name)
    except ValueError:
        raise BadInput(
            f"There is no event {name!r}.",
            field="--event",
            remedy=f"Name one of {', '.join(event.value for event in Event)}.",
        ) from None
