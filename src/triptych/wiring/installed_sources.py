"""The installed source types, checked against the settings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

from triptych.errors import BadInput, SettingsError
from triptych.gather.source import Source
from triptych.gather.source_registry import SourceRegistry
from triptych.settings.settings import Settings
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
            sources.check(settings.source, local=True)
        except BadInput as error:
            raise SettingsError(
                error.message, field="TRIPTYCH_SOURCE", remedy=error.remedy
            ) from error
    return sources


def source_opener(
    settings: Settings, sources: SourceRegistry, stack: AsyncExitStack
) -> Callable[[str], Source]:
    """Return what opens a source; ``stack`` closes the connections of all of them.

    Raises:
        SettingsError: the proxy or a request profile is not valid.
    """
    transports = open_transports(settings, SOURCE_CONNECTIONS)
    stack.push_async_callback(transports.close)
    token = settings.source_token.get_secret_value() if settings.source_token else None

    def open_one(spec: str) -> Source:
        return sources.open(spec, transports=transports, token=token, page_rows=settings.page_rows)

    return open_one
