"""The installed source types, checked against the settings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

from triptych.errors import BadInput, SettingsError
from triptych.gather.source import Source
from triptych.gather.source_reach import SourceReach, reach_of
from triptych.gather.source_registry import SourceRegistry
from triptych.gather.source_token import SourceToken
from triptych.settings.settings import Settings
from triptych.uploads.upload_files import UploadFiles
from triptych.wiring.outbound import open_transports

SOURCE_CONNECTIONS = 20


def installed_sources(settings: Settings) -> SourceRegistry:
    """Return the installed source types.

    Raises:
        SettingsError: none of them can open the source that the settings name.
    """
    sources = SourceRegistry.discover()
    if settings.source is not None:
        try:
            sources.check(settings.source)
        except BadInput as error:
            raise SettingsError(
                error.message, field="TRIPTYCH_SOURCE", remedy=error.remedy
            ) from error
    return sources


def source_reach(settings: Settings) -> SourceReach:
    """Return which sources may be read for others than this machine's own user."""
    return reach_of(
        settings.source_folders,
        settings.source_buckets,
        own=settings.source,
        own_web=bool(settings.fetch_allow) or settings.fetch_profiles is not None,
    )


def source_opener(
    settings: Settings,
    sources: SourceRegistry,
    stack: AsyncExitStack,
    uploads: UploadFiles | None = None,
) -> Callable[[str, bool], Source]:
    """Return what opens a source; ``stack`` closes the connections of all of them.

    ``uploads`` has what was uploaded; None in a process without a database.

    It is called with the source, and whether this machine's own user named it (`SourceReach`).

    Raises:
        SettingsError: the proxy or a request profile is not valid, or the source's token is bound
            to nothing.
    """
    transports = open_transports(settings, SOURCE_CONNECTIONS)
    stack.push_async_callback(transports.close)
    token, reach = _token(settings), source_reach(settings)

    def open_one(spec: str, trusted: bool) -> Source:
        return sources.open(
            spec,
            transports=transports,
            token=token,
            page_rows=settings.page_rows,
            reach=reach,
            trusted=trusted,
            robots=settings.robots,
            opt_outs=settings.opt_outs,
            uploads=uploads,
        )

    return open_one


def _token(settings: Settings) -> SourceToken | None:
    if settings.source_token is None:
        return None
    field = "TRIPTYCH_SOURCE_TOKEN_FOR"
    own = () if settings.source is None else (settings.source,)
    places = settings.source_token_for or own
    if not places:
        raise SettingsError(
            "TRIPTYCH_SOURCE_TOKEN is for no source.",
            field=field,
            remedy="Name the origins it may be sent to: https://catalogue.example.com.",
        )
    try:
        return SourceToken.bound(settings.source_token.get_secret_value(), places)
    except ValueError as error:
        raise SettingsError(
            f"{error}.",
            field=field,
            remedy="Name origins with https, or the address of a private network.",
        ) from error
