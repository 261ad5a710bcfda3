"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from triptych.gather.source_registry import source_schemes

COMMON = "Common options"
"""The heading of the options that all commands have, or all that use a server."""

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder for embedded data [./.triptych].", rich_help_panel=COMMON),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Use this server; its API key is in TRIPTYCH_SERVER_KEY [none].",
        rich_help_panel=COMMON,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print JSON instead of text.", rich_help_panel=COMMON),
]
DebugOption = Annotated[
    bool,
    typer.Option("--debug", help="Show traces and every log line.", rich_help_panel=COMMON),
]
SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="SOURCE",
        # Only the installed sources' names are read: importing them is too slow for `--help`.
        help="The source of the URLs: the path or URL of a list, or "
        f"{' or '.join(f'{s}:PLACE' for s in source_schemes())}.",
    ),
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Cancel an active run of another source first.")
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="COLUMN",
        help="Column of the list by which a row is the same asset in each run [its URL].",
    ),
]
IgnoreQueryOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore-query",
        metavar="NAME",
        help="Query parameter that is no part of a URL's identity; repeatable.",
    ),
]
WatchOption = Annotated[bool, typer.Option("--watch", help="Follow the run to its end.")]
WithParentOption = Annotated[
    bool, typer.Option("--with-parent", hidden=True, help="Stop when stdin ends.")
]
AfterOption = Annotated[str | None, typer.Option("--after", help="`next` of the previous page.")]
BrandArgument = Annotated[str, typer.Argument(metavar="BRAND", help="The brand's name.")]
UrlsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[URL]...", help="The brand's URLs, instead of a list: up to 1,000."),
]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, or a brand for its newest run.")
]


UPLOADED = "upload:"
"""What sources of uploads start with; they are lists, too."""
LIST_ENDINGS = (".csv", ".tsv", ".xlsx", ".json", ".jsonl", ".parquet", ".xml", ".txt", ".zip")
"""Of URLs that nobody means as those of pictures."""


def check_urls(urls: Sequence[str] | None, source: str | None) -> None:
    """Check that URLs are given instead of a source.

    Raises:
        BadInput: they are given, and a source too; or one is no URL, or plainly that of a list.
    """
    from urllib.parse import urlsplit

    from triptych.errors import BadInput
    from triptych.fetch.web_url import parse_web_url

    if not urls:
        return
    if source is not None:
        raise BadInput(
            "There is a source, too, and a run has one.", field="URL", remedy="Leave one out."
        )
    for number, url in enumerate(urls):
        try:
            parse_web_url(url)
        except ValueError as error:
            raise BadInput(
                f"{url!r} is no URL ({error}).",
                field=f"URL {number + 1}",
                remedy="Write https://…; a list of URLs is named with --source.",
            ) from error
        if urlsplit(url).path.lower().endswith(LIST_ENDINGS):
            raise BadInput(
                f"{url} is a list, not a picture.",
                field=f"URL {number + 1}",
                remedy="Name it with --source.",
            )


@contextmanager
def copied_cursor() -> Iterator[None]:
    """Report a cursor that the server refuses as an error of the option ``--after``."""
    from triptych.errors import InvalidCursor

    try:
        yield
    except InvalidCursor as error:
        raise InvalidCursor(
            error.message, field="--after", remedy="Copy it from the previous page."
        ) from error


def given_source(
    source: str | None, key: str | None = None, ignored: Sequence[str] | None = None
) -> str | None:
    """Return a source as it is sent to the server, and print what was assumed.

    Args:
        source: as it was written.
        key: the column by which rows of a list are known.
        ignored: parameters of URLs' queries by which they are not.

    Raises:
        SettingsError: it is neither a source nor the path or URL of a list.
        BadInput: there is a key, or something ignored, and no list.
    """
    from triptych.cli.log_output import say
    from triptych.errors import BadInput, SettingsError
    from triptych.gather.source_registry import SourceRegistry
    from triptych.settings.source_text import read_source

    if source is None:
        if key is not None or ignored:
            raise BadInput(
                "It is written into the source, and none is given.",
                field="--key" if key is not None else "--ignore-query",
                remedy="Give --source, too; the brand keeps both.",
            )
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
    return _with_identity(read.spec, key, ignored or ())


def _with_identity(spec: str, key: str | None, ignored: Sequence[str]) -> str:
    """Write into a list's place by what its rows are known."""
    from urllib.parse import urlencode

    from triptych.errors import BadInput
    from triptych.settings.source_text import LIST_SCHEME

    options = [*([("key", key)] if key is not None else [])]
    options += [("ignore-query", name) for name in ignored]
    if not options:
        return spec
    if not spec.startswith((f"{LIST_SCHEME}:", UPLOADED)):
        raise BadInput(
            "Only rows of a list are known by other things than their URL.",
            field="--key" if key is not None else "--ignore-query",
            remedy="Leave it out for this source.",
        )
    separator = "&" if "=" in spec.partition("#")[2] else "#"
    return f"{spec}{separator}{urlencode(options)}"
