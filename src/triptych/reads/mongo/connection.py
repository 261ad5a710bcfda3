"""A connection to MongoDB, or to what speaks its protocol; its failures as Triptych's errors."""

from __future__ import annotations

import asyncio
import re
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pymongo.errors
from bson.codec_options import TypeDecoder, TypeRegistry
from bson.int64 import Int64
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from typing_extensions import override

from triptych.errors import ReadsUnavailable, SettingsError
from triptych.reads.mongo.documents import Document
from triptych.shown_url import HIDDEN

SELECT_S = 2.0
"""Seconds until no server answering is an outage: readers wait for it before they ask Postgres."""
CONNECT_S = 2.0
SOCKET_S = 15.0
"""Seconds that one answer may take. Longer than `QUERY_S`: the server's own end of a query is
clearer than a lost connection."""
QUERY_S = 10.0
"""Seconds after which the server ends a query."""
READ_S = 30.0
"""Seconds that a whole read may take, with all its queries. Less than an edition stays after it is
no longer shown, so that a reader never loses what it reads."""
WRITE_S = 45.0
"""Seconds that a whole write may take. Less than the lease under which it is done."""
POOL_MAX = 20
"""Connections of one process to each server."""
DEFAULT_DATABASE = "triptych"
ERROR_MAX_CHARS = 300

_URL = "TRIPTYCH_READS_URL"
_SCHEMES = ("mongodb://", "mongodb+srv://")
_CA = "TRIPTYCH_READS_CA"
_CERTIFICATE = "TRIPTYCH_READS_CERTIFICATE"
_REFUSED = frozenset({11, 13, 18, 8000})
"""Codes of the server: the user is unknown, or may not do this."""
_PASSING = frozenset(
    {
        *(6, 7, 43, 64, 79, 89, 91, 112, 175, 189, 202, 262, 290, 365),
        *(9001, 10058, 10107, 11600, 11602, 13388, 13435, 13436, 14031, 16500),
    }
)
"""Codes of the server: it, or its primary, is away, stops, or is too busy; or its disk is full."""
_ANSWERS_LATE = frozenset({50})


class _WholeNumbers(TypeDecoder):
    """Reads 64-bit numbers as what they are in Python, so that they are encoded like others."""

    bson_type = Int64

    @override
    def transform_bson(self, value: Any) -> int:
        return int(value)


class MongoConnection:
    """A database of MongoDB. The client is made at the first use, one for each event loop."""

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        ca: Path | None = None,
        certificate: Path | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: ``mongodb://…`` or ``mongodb+srv://…``; its path names the database, else it is
                `DEFAULT_DATABASE`.
            user: for a URL without one.
            password: of ``user``.
            ca: PEM of the authorities whose servers are trusted; this turns TLS on.
            certificate: PEM of a client certificate with its key; this turns TLS on. Without a user
                it is also what the server knows the client by (X.509).

        Raises:
            SettingsError: the URL or a file cannot be used. The error never has the password.
        """
        self._url = url
        self._secrets = _secrets(url, password)
        self._options = _options(user, password, ca, certificate, named=_userinfo(url) is not None)
        self._client: AsyncMongoClient[Document] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._name = self._check()

    def _check(self) -> str:
        """Return the database's name if the URL can be used; no name is looked up yet."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            try:
                if not self._url.startswith(_SCHEMES):
                    raise ValueError(f"it begins with none of {', '.join(_SCHEMES)}")
                return self._new_client().get_default_database(DEFAULT_DATABASE).name
            except (
                pymongo.errors.PyMongoError,
                UserWarning,
                ValueError,
                TypeError,
                OSError,
            ) as error:
                # Not chained: the driver's own text may quote the URL.
                raise SettingsError(
                    f"It cannot be used: {self._shown(str(error))}",
                    field=_URL,
                    remedy="Write it as mongodb://host:27017/triptych, and a user's name and "
                    "password percent-encoded.",
                ) from None

    def _new_client(self) -> AsyncMongoClient[Document]:
        return AsyncMongoClient(
            self._url,
            type_registry=TypeRegistry([_WholeNumbers()]),
            **self._options,
        )

    @property
    def database(self) -> AsyncDatabase[Document]:
        """Return the database, by the client of the running event loop."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = self._new_client(), loop
        return self._client[self._name]

    def collection(self, name: str) -> AsyncCollection[Document]:
        """Return a collection of the database."""
        return self.database[name]

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Turn what goes wrong in a read, or takes longer than `READ_S`, into an error of ours.

        Raises:
            ReadsUnavailable: the server is away, refuses the user, or is too slow.
        """
        async with self._answering(READ_S):
            yield

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Do for a write, and `WRITE_S`, what `reading` does for a read."""
        async with self._answering(WRITE_S):
            yield

    @asynccontextmanager
    async def _answering(self, deadline_s: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(deadline_s):
                yield
        except TimeoutError as error:
            raise self._away(f"no answer within {deadline_s:g} s") from error
        except pymongo.errors.PyMongoError as error:
            translated = self._translated(error)
            if translated is None:
                raise
            raise translated from None

    def _translated(self, error: pymongo.errors.PyMongoError) -> ReadsUnavailable | None:
        """Return an outage as our error; None for a defect of ours."""
        if isinstance(error, pymongo.errors.BulkWriteError):
            return self._of_bulk(error)
        if isinstance(error, pymongo.errors.OperationFailure):
            return self._of_code(error.code, _text_of(error))
        if isinstance(
            error, pymongo.errors.ConnectionFailure | pymongo.errors.WaitQueueTimeoutError
        ):
            return self._away(self._shown(str(error).split(" (configured timeouts")[0]))
        if isinstance(error, pymongo.errors.ConfigurationError):
            # Names that cannot be looked up, for mongodb+srv.
            return self._away(self._shown(str(error)))
        return None

    def _of_bulk(self, error: pymongo.errors.BulkWriteError) -> ReadsUnavailable | None:
        details = error.details or {}
        for each in (*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())):
            found = self._of_code(each.get("code"), str(each.get("errmsg", "")))
            if found is not None:
                return found
        return None

    def _of_code(self, code: int | None, text: str) -> ReadsUnavailable | None:
        if code in _REFUSED:
            return ReadsUnavailable(
                f"MongoDB refuses the user ({self._shown(text)}).",
                remedy="Check TRIPTYCH_READS_USER and TRIPTYCH_READS_PASSWORD, or the certificate, "
                "and that the user may read and write the database.",
            )
        if code in _PASSING or code in _ANSWERS_LATE:
            return self._away(self._shown(text))
        return None

    def _away(self, why: str) -> ReadsUnavailable:
        return ReadsUnavailable(
            f"MongoDB does not answer ({why}).",
            remedy=f"Check {_URL} and that the server runs; until then Postgres is asked, and the "
            "rest is written later.",
        )

    def _shown(self, text: str) -> str:
        """Return a text of the driver's, cut, and without what is secret."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return " ".join(text.split())[:ERROR_MAX_CHARS].rstrip(".")

    async def check(self) -> None:
        """Check that the server answers and knows the user.

        Raises:
            ReadsUnavailable: it does not.
        """
        async with self.reading():
            await self.database.command("ping")
            # A ping needs no user.
            await self.collection("meta").find_one({}, max_time_ms=query_ms())

    async def close(self) -> None:
        """Close the connections. May be called repeatedly; the next use opens new ones."""
        client, loop = self._client, self._loop
        self._client = self._loop = None
        if client is not None and loop is asyncio.get_running_loop():
            await client.close()


def query_ms() -> int:
    """Return `QUERY_S` as the driver wants it."""
    return int(QUERY_S * 1000)


def _text_of(error: pymongo.errors.OperationFailure) -> str:
    details = error.details or {}
    return str(details.get("errmsg") or error)


def _userinfo(url: str) -> str | None:
    """Return what a URL has before its hosts: user and password."""
    authority = re.sub(r"^[^:]*://", "", url)
    before, at, _ = authority.rpartition("@")
    return before if at else None


def _secrets(url: str, password: str | None) -> list[str]:
    """Return the texts that no error may have, the longest first."""
    found = {password} if password else set()
    if info := _userinfo(url):
        secret = info.partition(":")[2]
        found |= {info, secret, unquote(secret)}
        # A password with a reserved character that was not encoded is read as part of a host.
        found |= set(re.split(r"[@/:?]", secret))
    return sorted((text for text in found if text), key=len, reverse=True)


def _options(
    user: str | None,
    password: str | None,
    ca: Path | None,
    certificate: Path | None,
    *,
    named: bool,
) -> dict[str, Any]:
    """Return the driver's options; they prevail over those of the URL."""
    options: dict[str, Any] = {
        "appname": "triptych",
        "serverSelectionTimeoutMS": int(SELECT_S * 1000),
        "connectTimeoutMS": int(CONNECT_S * 1000),
        "socketTimeoutMS": int(SOCKET_S * 1000),
        "waitQueueTimeoutMS": int(SELECT_S * 1000),
        "maxPoolSize": POOL_MAX,
        "uuidRepresentation": "standard",
        "tz_aware": True,
        # An answer takes several queries, and secondaries may be of different moments.
        "readPreference": "primary",
        # What is recorded as written survives the loss of a server.
        "w": "majority",
        "journal": True,
        # DocumentDB does not have it, and every write of ours is safe to repeat.
        "retryWrites": False,
    }
    if ca is not None:
        _check_file(ca, _CA, lambda context, path: context.load_verify_locations(path))
        options |= {"tls": True, "tlsCAFile": str(ca)}
    if certificate is not None:
        _check_file(
            certificate,
            _CERTIFICATE,
            # Without this, an encrypted key would ask for its password at the terminal.
            lambda context, path: context.load_cert_chain(path, password=lambda: ""),
        )
        options |= {"tls": True, "tlsCertificateKeyFile": str(certificate)}
    if user and not named:
        options["username"] = user
        if password:
            options["password"] = password
    elif certificate is not None and not named:
        options["authMechanism"] = "MONGODB-X509"
    return options


def _check_file(path: Path, field: str, load: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        load(context, str(path))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SettingsError(
            f"{path} cannot be used: {reason}.",
            field=field,
            remedy="It must be a readable PEM file; a client's has a certificate and its "
            "unencrypted key.",
        ) from error
