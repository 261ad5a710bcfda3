"""The pages that `--help` prints: commands and options under the headings of their groups.

The groups are Typer's help panels (``rich_help_panel``), which Typer itself prints only with Rich.
Here they are plain text: it can be piped and searched, its brackets are no markup, and Rich would
double the time that `--help` takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

Entry = tuple[str, str, str]
"""A heading, a name under it and what is said about the name."""


class HelpCommand(TyperCommand):
    """A command whose page has its options under the headings of their panels."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options."""
        _write(formatter, _parameters(self, ctx))


class HelpGroup(TyperGroup):
    """A group whose page has its commands under the headings of their panels.

    Of each command the first sentence is shown, whole.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the group's own options."""
        self.format_commands(ctx, formatter)
        _write(formatter, _parameters(self, ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands in the order in which they were added."""
        commands = [self.commands[name] for name in self.list_commands(ctx)]
        _write(
            formatter,
            [
                (panel_of(command) or "Commands", command.name or "", first_sentence(command))
                for command in commands
                if not command.hidden
            ],
        )


def first_sentence(command: Any) -> str:
    """Return the first sentence of a command's help."""
    text = str(command.help or "")
    return str(command.get_short_help_str(limit=len(text) + 1))


def panel_of(command_or_parameter: Any) -> str | None:
    """Return the heading of the panel that a command or a parameter was given."""
    panel: str | None = getattr(command_or_parameter, "rich_help_panel", None)
    return panel


def _parameters(command: Any, ctx: Any) -> Iterable[Entry]:
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
            yield panel_of(parameter) or kind, *record


def _write(formatter: Any, entries: Iterable[Entry]) -> None:
    """Write entries under their headings, in the order in which each appears first."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for heading, name, text in entries:
        panels.setdefault(heading, []).append((name, text))
    names = [len(name) for rows in panels.values() for name, _ in rows]
    for heading, rows in panels.items():
        with formatter.section(heading):
            formatter.write_dl([(name.ljust(max(names)), text) for name, text in rows])
