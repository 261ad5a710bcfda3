"""The installed source types, checked against the settings."""

from __future__ import annotations

from triptych.errors import BadInput, SettingsError
from triptych.gather.source_registry import SourceRegistry
from triptych.settings.settings import Settings


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
