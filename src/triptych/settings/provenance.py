"""How settings are shown: where each came from, and its value with secrets hidden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
)
from typing_extensions import override

from triptych.shown_url import shown_url

ADDRESSES = ("database_url", "database_read_url", "reads_url")
"""Secret settings of which all but userinfo and query is shown."""


class ToldSettings(BaseSettings):
    """Settings that can be shown."""

    def origins(self, **overrides: Any) -> dict[str, str]:
        """Return for each setting where its value came from."""
        sources: list[tuple[str, PydanticBaseSettingsSource]] = [
            (".env", DotEnvSettingsSource(type(self))),
            ("environment", EnvSettingsSource(type(self))),
        ]
        # A value that is in neither came from the command line, or from Python.
        origins = dict.fromkeys(type(self).model_fields, "default")
        origins.update(dict.fromkeys(self.model_fields_set, "command line"))
        for origin, source in sources:
            origins.update(dict.fromkeys(source().keys() & origins.keys(), origin))
        origins.update(
            {name: "command line" for name, value in overrides.items() if value is not None}
        )
        return origins

    @override
    def __repr_args__(self) -> Iterator[tuple[str, str]]:
        """Yield what is shown, for `repr` too: it ends up in traces and in logs."""
        yield from self.shown().items()

    def shown(self) -> dict[str, str]:
        """Return every value as text: secrets are stars, addresses are shown by `shown_url`."""
        values: dict[str, str] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in ADDRESSES and value is not None:
                value = shown_url(value.get_secret_value())
            elif isinstance(value, tuple):
                value = ",".join(shown_url(str(entry)) for entry in value)
            elif isinstance(value, str):
                value = shown_url(value)
            values[name] = "" if value is None else str(value)
        return values
