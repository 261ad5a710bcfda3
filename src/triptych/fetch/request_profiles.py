"""Request profiles from the settings: User-Agent, extra headers and a proxy for some sources.

They are kept out of the database, where keys would appear in dumps and responses. A profile applies
to the sources and the origins that it names. Headers that may carry a secret are sent to named
origins only, and never after a redirect that has led elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from yarl import URL

from triptych.errors import SettingsError
from triptych.fetch.web_url import parse_web_url

FIELD = "TRIPTYCH_FETCH_PROFILES"
PROXY_FIELD = "TRIPTYCH_FETCH_PROXY"
PROFILES_MAX = 1000
FILE_MAX_BYTES = 4 * 1024 * 1024
HEADERS_MAX = 50
VALUE_MAX_CHARS = 8000
ANY_SUBDOMAIN = "*."
ORIGIN = re.compile(r"https?://[^\s/\\?#@]+/?", re.IGNORECASE)
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
"""RFC 9110 §5.1: a field name."""
VALUE = re.compile(r"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?")
"""RFC 9110 §5.5: a field value, without CR, LF and NUL."""
OURS = frozenset(
    {
        # Hop-by-hop (RFC 9110 §7.6.1), or message framing.
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"),
        *("upgrade", "proxy-authenticate", "proxy-authorization", "content-length", "expect"),
        # The target, and headers that the rest of Triptych relies on.
        *("host", "accept-encoding", "range", "if-none-match", "if-modified-since", "if-match"),
        *("if-range", "if-unmodified-since", "user-agent"),
    }
)
"""Headers that a profile must not set."""
HARMLESS = frozenset(
    {
        *("accept", "accept-language", "cache-control", "dnt", "from", "pragma", "referer"),
        *("sec-gpc", "x-requested-with"),
    }
)
"""Headers that may be sent to any origin. Any other may be a key, whatever its name."""


def parse_proxy(text: str) -> URL:
    """Parse a proxy's URL, which may contain credentials.

    Raises:
        ValueError: it is not a proxy's URL.
    """
    # What is wrong is not said: it may be a part of the password.
    wrong = ValueError("a proxy is named as http://host:port, or https://user:password@host:port")
    try:
        url = parse_web_url(text)
    except ValueError:
        raise wrong from None
    if url.raw_path != "/" or url.raw_query_string:
        raise wrong
    return url


class _Written(BaseModel):
    """A profile as written in the settings."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    source: str | None = None
    to: Annotated[tuple[str, ...], Field(max_length=1000)] = ()
    user_agent: Annotated[str | None, Field(max_length=VALUE_MAX_CHARS)] = None
    headers: Annotated[dict[str, SecretStr], Field(max_length=HEADERS_MAX)] = Field(
        default_factory=dict
    )
    proxy: SecretStr | None = None

    @field_validator("user_agent")
    @classmethod
    def _agent(cls, value: str | None) -> str | None:
        if value is not None and VALUE.fullmatch(value) is None:
            raise ValueError("is no header's value")
        return value

    @field_validator("to")
    @classmethod
    def _origins(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            _Origin.parse(value)
        return values

    @field_validator("proxy")
    @classmethod
    def _proxy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_proxy(value.get_secret_value())
        return value

    @field_validator("headers")
    @classmethod
    def _headers(cls, values: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in values.items():
            if TOKEN.fullmatch(name) is None:
                raise ValueError("a header's name has letters, digits and -_ only")
            if name.lower() in OURS:
                raise ValueError(f"{name} is not for a profile to set")
            text = value.get_secret_value()
            if len(text) > VALUE_MAX_CHARS or VALUE.fullmatch(text) is None:
                raise ValueError(f"the value of {name} is no header's value")
        if len({name.lower() for name in values}) < len(values):
            raise ValueError("a header is named twice")
        return values

    @model_validator(mode="after")
    def _secrets_have_a_place(self) -> _Written:
        secret = sorted(name for name in self.headers if name.lower() not in HARMLESS)
        if secret and not self.to:
            raise ValueError(f"name with `to` the origins that {', '.join(secret)} may go to")
        return self


@dataclass(frozen=True, slots=True)
class _Origin:
    scheme: str
    host: str
    port: int
    below: bool
    """Whether it stands for every name below ``host``, and not for ``host`` itself."""

    @classmethod
    def parse(cls, text: str) -> _Origin:
        scheme, _, rest = text.partition("://")
        below = rest.startswith(ANY_SUBDOMAIN)
        wrong = "an origin is https://host, https://host:port or https://*.host"
        try:
            # As URLs are parsed, so that both have the same host.
            url = parse_web_url(f"{scheme}://{rest.removeprefix(ANY_SUBDOMAIN)}")
        except ValueError as error:
            raise ValueError(wrong) from error
        if url.raw_path_qs != "/" or url.user is not None or not ORIGIN.fullmatch(text):
            raise ValueError(wrong)
        return cls(url.scheme, _host(url), url.port or 0, below)

    def covers(self, url: URL) -> bool:
        if (url.scheme, url.port) != (self.scheme, self.port):
            return False
        host = _host(url)
        return host.endswith("." + self.host) if self.below else host == self.host


@dataclass(frozen=True, slots=True)
class Profile:
    """The request settings of some sources."""

    source: str | None
    """The source's name in a run; a trailing star matches anything. None for every source."""
    to: tuple[_Origin, ...]
    """Origins that it applies to; empty for all."""
    user_agent: str | None
    headers: Mapping[str, str] = field(repr=False)
    proxy: URL | None = field(repr=False)

    @property
    def secret(self) -> bool:
        """True if one of its headers may be a key."""
        return any(name.lower() not in HARMLESS for name in self.headers)

    def covers(self, url: URL) -> bool:
        """Return whether it applies to requests to ``url``."""
        return not self.to or any(origin.covers(url) for origin in self.to)

    def serves(self, source: str | None) -> bool:
        """Return whether it applies to requests on behalf of a source."""
        if self.source is None:
            return True
        if self.source.endswith("*"):
            return source is not None and source.startswith(self.source[:-1])
        return source == self.source


class Profiles:
    """All profiles in their written order: the first match is used."""

    def __init__(self, profiles: Sequence[Profile] = ()) -> None:
        self._profiles = tuple(profiles)

    def choose(self, source: str | None, url: URL, *, led_away: bool = False) -> Profile | None:
        """Return the profile for a request, if there is one.

        ``led_away``: a redirect has left the origins of a profile; profiles with keys are skipped.
        """
        for profile in self._profiles:
            if profile.serves(source) and profile.covers(url) and not (led_away and profile.secret):
                return profile
        return None

    @classmethod
    def parse(cls, text: str | None) -> Profiles:
        """Parse the setting: a JSON list, or the path of a file that contains one.

        Raises:
            SettingsError: names the invalid profile and field, never a value.
        """
        if not text or not text.strip():
            return cls()
        content = text if text.lstrip().startswith("[") else _content(Path(text).expanduser())
        try:
            written = _LIST.validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            raise SettingsError(
                f"Profile {where}: {message}." if where else f"{message}.", field=FIELD
            ) from None
        return cls([_profile(one) for one in written])


_LIST: TypeAdapter[list[_Written]] = TypeAdapter(
    Annotated[list[_Written], Field(max_length=PROFILES_MAX)]
)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror}).",
            field=FIELD,
            remedy="Write a JSON list, or the path of a file that holds one.",
        ) from error
    if len(content) > FILE_MAX_BYTES:
        raise SettingsError(f"{path} has more than {FILE_MAX_BYTES} bytes.", field=FIELD)
    return content


def _profile(written: _Written) -> Profile:
    return Profile(
        source=written.source,
        to=tuple(_Origin.parse(origin) for origin in written.to),
        user_agent=written.user_agent,
        headers={name: value.get_secret_value() for name, value in written.headers.items()},
        proxy=parse_proxy(written.proxy.get_secret_value()) if written.proxy else None,
    )


def _host(url: URL) -> str:
    return (url.raw_host or "").lower().rstrip(".")
