"""What stands before a database on RDS: TLS, and IAM tokens instead of passwords.

The Postgres of the tests speaks no TLS, so this door does, and hands on what it let in. It verifies
a token's signature by AWS' own description of Signature Version 4, not by the library that made it:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KEY, SECRET, REGION = "AKIATRIPTYCH", "a secret", "eu-central-1"
USER = "pipeline"
ROLE = "triptych"
CLEARTEXT = struct.pack("!cii", b"R", 8, 3)
REFUSED = b"SFATAL\x00C28P01\x00MPAM authentication failed\x00\x00"


def certificates(folder: Path, *names: str) -> tuple[Path, Path]:
    """Make an authority and a certificate of it for some names; return the files of both."""
    now = datetime.now(UTC)
    made = []
    issuer_key = issuer = None
    for name, authority in (("Test CA", True), (names[0], False)):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_name(each) for each in names]), critical=False
            )
        signed = builder.sign(issuer_key or key, hashes.SHA256())
        text = signed.public_bytes(serialization.Encoding.PEM)
        text += key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file = folder / f"{'ca' if authority else 'server'}-{names[0]}.pem"
        file.write_bytes(text)
        made.append(file)
        issuer, issuer_key = subject, key
    return made[0], made[1]


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def valid_token(token: str, host: str, secret: str = SECRET) -> bool:
    """Tell whether a token allows `USER` in at ``host:port`` now."""
    parts = urlsplit(f"https://{token}")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    signature = query.pop("X-Amz-Signature", "")
    day, region, service, end = query["X-Amz-Credential"].split("/")[1:]
    canonical = "&".join(
        f"{quote(name, safe='')}={quote(query[name], safe='')}" for name in sorted(query)
    )
    nothing = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/\n{canonical}\nhost:{host}\n\nhost\n{nothing}"
    scope = f"{day}/{region}/{service}/{end}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for step in (day, region, service, end):
        key = hmac.digest(key, step.encode(), "sha256")
    at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    age_s = (datetime.now(UTC) - at).total_seconds()
    return (
        hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signature)
        and parts.netloc == host
        and (region, service) == (REGION, "rds-db")
        and (query["Action"], query["DBUser"]) == ("connect", USER)
        and -60 < age_s < int(query["X-Amz-Expires"]) <= 900
    )


@dataclass
class AuthMiddleware:
    """A listening door: its port, and how often it let somebody in or did not."""

    backend: str
    context: ssl.SSLContext
    port: int = 0
    let_in: int = 0
    refused: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
            await self._meet(reader, writer)
        writer.close()
        self.tasks.discard(task)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"S")
        await writer.start_tls(self.context)
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        startup = await reader.readexactly(length - 4)
        writer.write(CLEARTEXT)
        kind, length = struct.unpack("!ci", await reader.readexactly(5))
        token = (await reader.readexactly(length - 4)).rstrip(b"\x00").decode()
        if kind != b"p" or not valid_token(token, f"localhost:{self.port}"):
            self.refused += 1
            writer.write(struct.pack("!ci", b"E", len(REFUSED) + 4) + REFUSED)
            await writer.drain()
            return
        self.let_in += 1
        inner_reader, inner = await asyncio.open_unix_connection(self.backend)
        startup = startup.replace(f"user\0{USER}\0".encode(), f"user\0{ROLE}\0".encode())
        inner.write(struct.pack("!i", len(startup) + 4) + startup)
        await asyncio.gather(_pipe(reader, inner), _pipe(inner_reader, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def open_door(socket: str, certificate: Path) -> AsyncIterator[AuthMiddleware]:
    """Listen on loopback before the Postgres behind a unix socket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    door = AuthMiddleware(socket, context)
    server = await asyncio.start_server(door.meet, "127.0.0.1", 0)
    door.port = server.sockets[0].getsockname()[1]
    try:
        yield door
    finally:
        server.close()
        for task in list(door.tasks):
            task.cancel()
        await asyncio.gather(*door.tasks, return_exceptions=True)
