"""Amazon RDS: connecting by IAM token instead of a password.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from triptych.errors import DatabaseUnavailable, SettingsError

SCHEME = "postgresql+iam://"
PORT = 5432
TOKEN_S = 900
"""RDS's limit. It applies to connecting only; a connection outlives its token."""


def connection_arguments(address: str) -> dict[str, Any]:
    """Return what asyncpg connects with. ``postgresql+iam://USER@HOST/…`` makes a token each time.

    Raises:
        SettingsError: the address lacks what a token needs, or would send it to any server.
    """
    if not address.startswith(SCHEME):
        return {"dsn": address}
    dsn = f"postgresql://{address.removeprefix(SCHEME)}"
    parts = urlsplit(dsn)
    if not parts.hostname or not parts.username or parts.password:
        raise _wrong("names no user and host, or a password as well")
    if parse_qs(parts.query).get("sslmode") != ["verify-full"]:
        raise _wrong("has no sslmode=verify-full: a token could be sent to any server")
    token = _Token(parts.hostname, parts.port or PORT, unquote(parts.username))
    return {"dsn": dsn, "password": token}


def _wrong(problem: str) -> SettingsError:
    return SettingsError(
        f"The address {problem}.",
        field="TRIPTYCH_DATABASE_URL",
        remedy=f"Write {SCHEME}USER@HOST/DATABASE?sslmode=verify-full&sslrootcert=/path/to/ca.pem.",
    )


class _Token:
    """Creates a token whenever asyncpg opens a connection. Credentials renew automatically."""

    def __init__(self, host: str, port: int, user: str) -> None:
        self._url = f"https://{host}:{port}/?Action=connect&DBUser={quote(user, safe='')}"
        self._session: Any = None

    async def __call__(self) -> str:
        # Imported where it is used: botocore takes as long as all the rest of a command.
        from botocore.exceptions import BotoCoreError

        # In a thread: a role's credentials are fetched over the network when they expire.
        try:
            return await asyncio.to_thread(self._make)
        except BotoCoreError as error:
            raise _no_credentials(str(error)) from error

    def _make(self) -> str:
        import botocore.session
        from botocore.model import ServiceId
        from botocore.signers import RequestSigner

        if self._session is None:
            self._session = botocore.session.get_session()
        session = self._session
        credentials, region = session.get_credentials(), session.get_config_variable("region")
        if credentials is None or region is None:
            raise _no_credentials("no credentials" if region else "no region")
        signer = RequestSigner(
            ServiceId("rds-db"),
            region,
            "rds-db",
            "v4",
            credentials,
            session.get_component("event_emitter"),
        )
        request = {"method": "GET", "url": self._url, "body": {}, "headers": {}, "context": {}}
        signed: str = signer.generate_presigned_url(
            request, "connect", expires_in=TOKEN_S, region_name=region, signing_name="rds-db"
        )
        return signed.removeprefix("https://")


def _no_credentials(what: str) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"No token for the database can be created ({what}).",
        remedy="Give the process a role, and set AWS_REGION.",
    )
