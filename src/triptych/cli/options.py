"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triptych.gather.source_registry import source_schemes

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder for embedded data [./.triptych].")
]
ServerOption = Annotated[
    str | None,
    typer.Option("--server", help="Use this server; its API key is in TRIPTYCH_SERVER_KEY [none]."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show traces and every log line.")]
SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        # Only the installed sources' names are read: importing them is too slow for `--help`.
        help="The source of the URLs: the path or URL of a list, or "
        f"{' or '.join(f'{s}:PLACE' for s in source_schemes())}.",
    ),
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Cancel an active run of another source first.")
]
WatchOption = Annotated[bool, typer.Option("--watch", help="Follow the run to its end.")]
WithParentOption = Annotated[
    bool, typer.Option("--with-parent", hidden=True, help="Stop when stdin ends.")
]
BrandArgument = Annotated[str, typer.Argument(metavar="BRAND", help="The brand's name.")]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, or a brand for its newest run.")
]


def given_source(source: str | None) -> str | None:
    """Return a source as it is sent to the server, and print what was assumed.

    Raises:
        SettingsError: it is neither a source nor the path or URL of a list.
    """
    from triptych.cli.log_output import say
    from triptych.errors import SettingsError
    from triptych.gather.source_registry import SourceRegistry
    from triptych.settings.addresses import read_source

    if source is None:
        return None
    try:
        read = read_source(source)
    except ValueError as error:
        raise SettingsError(
            f"{source!r} {error}.",
            field="--source",
            remedy=f"Write {SourceRegistry.discover().usage}.",
        ) from error
    if read.assumed is not None:
        say(read.assumed)
    return read.spec
