"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triptych.gather.source_registry import source_schemes

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of everything embedded [./.triptych].")
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server", help="Ask this server instead, its API key in TRIPTYCH_SERVER_KEY [none]."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show traces and every log line.")]
SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        # Of the installed sources by their names alone: importing them takes long for a `--help`.
        help=f"Where URLs come from: {' or '.join(f'{s}:PLACE' for s in source_schemes())}.",
    ),
]
WatchOption = Annotated[bool, typer.Option("--watch", help="Follow it to its end.")]
WithParentOption = Annotated[
    bool, typer.Option("--with-parent", hidden=True, help="Stop when stdin ends.")
]
BrandArgument = Annotated[str, typer.Argument(metavar="BRAND", help="The brand's name.")]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, or a brand for its newest run.")
]
