"""What a connection to MongoDB refuses, how it fails, and that its password is in no error."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aws_local.child_server import HOST, free_port
from aws_local.guard import Guard
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pymongo import MongoClient
from pymongo.errors import BulkWriteError, OperationFailure

from tests.support.mongodb import MongoServer, server_goes_away
from triptych.errors import ReadsUnavailable, SettingsError
from triptych.reads.mongo.connection import (
    CONNECT_S,
    QUERY_S,
    READ_S,
    SELECT_S,
    SOCKET_S,
    WRITE_S,
    MongoConnection,
)

PASSWORD = "geheim/=@"
ENCODED = "geheim%2F%3D%40"


@pytest.mark.parametrize(
    "url",
    [
        "http://u:geheim@h/x",
        "mongodb://",
        "mongodb://u:geheim@h:99999/x",
        "mongodb://u:geh:eim@h/x",
        "mongodb://u:geheim/@h/x",
        "mongodb://u:geheim@h/a b",
        "mongodb://u:geheim@h/x?nonsense=1",
        "mongodb://u:geheim@h/x?authMechanism=geheim",
        "mongodb+srv://u:geheim@localhost:27017/x",
        "mongodb+srv://u:geheim@a,b/x",
        "geheim",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        MongoConnection(url, user="u", password="geheim")
    assert caught.value.field == "TRIPTYCH_READS_URL"
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("mongodb://h", "triptych"),
        ("mongodb://h/", "triptych"),
        ("mongodb://h/?tls=true", "triptych"),
        ("mongodb://h/pictures?readPreference=secondaryPreferred", "pictures"),
        ("mongodb+srv://cluster.example.com/pictures", "pictures"),
    ],
)
async def test_the_path_names_the_database(url: str, name: str) -> None:
    assert MongoConnection(url).database.name == name


async def test_the_options_of_the_url_count_but_for_those_that_reads_rely_on() -> None:
    connection = MongoConnection(
        "mongodb://h/x?readPreference=secondaryPreferred&w=1&retryWrites=true&socketTimeoutMS=1"
    )
    client = connection.database.client
    assert client.read_preference.mongos_mode == "primary"
    assert client.write_concern.document == {"w": "majority", "j": True}
    assert client.options.retry_writes is False
    assert client.options.pool_options.socket_timeout == SOCKET_S


async def test_a_user_of_the_url_prevails_over_the_setting() -> None:
    named = MongoConnection("mongodb://a:b@h", user="u", password="p")
    assert credentials_of(named)[:2] == ("a", "b")
    given = MongoConnection("mongodb://h", user="u", password=PASSWORD)
    assert credentials_of(given)[:2] == ("u", PASSWORD)


def credentials_of(connection: MongoConnection) -> tuple[str, str | None, str]:
    """User, password and mechanism, as the driver has them."""
    found = connection.database.client.options.pool_options._credentials
    assert found is not None
    return found.username, found.password, found.mechanism


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    for field in ("ca", "certificate"):
        for path in (text, tmp_path / "none.pem", tmp_path):
            files: dict[str, Any] = {field: path}
            with pytest.raises(SettingsError, match=path.name) as caught:
                MongoConnection("mongodb://h", **files)
            assert caught.value.field == f"TRIPTYCH_READS_{field.upper()}"


def test_an_encrypted_key_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    authority = Authority.new()
    pem = tmp_path / "client.pem"
    authority.issue("client", pem, password=b"x")
    with pytest.raises(SettingsError, match=r"client\.pem"):
        MongoConnection("mongodb://h", certificate=pem)


def test_deadlines_fit_together() -> None:
    assert CONNECT_S <= SELECT_S < QUERY_S < SOCKET_S < READ_S < WRITE_S


@pytest.mark.parametrize("code", [50, 91, 189, 262, 11600, 14031])
async def test_what_passes_is_an_outage(code: int) -> None:
    connection = MongoConnection("mongodb://u:geheim@h")
    with pytest.raises(ReadsUnavailable, match="does not answer") as caught:
        async with connection.reading():
            raise OperationFailure("no geheim", code, {"errmsg": "no geheim"})
    assert "geheim" not in str(caught.value)
    with pytest.raises(ReadsUnavailable):
        async with connection.writing():
            raise BulkWriteError({"writeErrors": [{"code": code, "errmsg": "", "index": 0}]})


async def test_defects_of_ours_are_raised_as_they_are() -> None:
    connection = MongoConnection("mongodb://h")
    with pytest.raises(OperationFailure, match="nonsense"):
        async with connection.reading():
            raise OperationFailure("nonsense", 40324)
    with pytest.raises(BulkWriteError):
        async with connection.writing():
            raise BulkWriteError({"writeErrors": [{"code": 2, "errmsg": "", "index": 0}]})


@server_goes_away
@pytest.mark.integration
async def test_a_bad_pipeline_is_no_outage(mongodb: MongoConnection) -> None:
    with pytest.raises(OperationFailure, match="nonsense"):
        async with mongodb.reading():
            await mongodb.collection("assets").aggregate([{"$nonsense": 1}])


@server_goes_away
@pytest.mark.integration
async def test_a_server_that_is_away_is_an_outage_within_seconds() -> None:
    connection = MongoConnection(f"mongodb://u:{ENCODED}@{HOST}:{free_port()}")
    begun = time.monotonic()
    with pytest.raises(ReadsUnavailable, match="does not answer") as caught:
        await connection.check()
    assert time.monotonic() - begun < SELECT_S + 3
    assert "TRIPTYCH_READS_URL" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in (PASSWORD, ENCODED))
    await connection.close()
    await connection.close()


@server_goes_away
@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_server_that_accepts_and_is_silent_is_an_outage() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):  # Until the other end closes it.
            pass
        writer.close()
        await writer.wait_closed()
        closed.set()

    closed = asyncio.Event()
    server = await asyncio.start_server(silent, HOST, 0)
    async with server:
        connection = MongoConnection(f"mongodb://{HOST}:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(ReadsUnavailable, match="does not answer"):
            await connection.check()
        await connection.close()
        await asyncio.wait_for(closed.wait(), READ_S)
    # The driver leaves a socket that was not answered to this.
    gc.collect()


@server_goes_away
@pytest.mark.integration
def test_each_event_loop_has_a_client_of_its_own(mongodb_url: str) -> None:
    connection = MongoConnection(mongodb_url)

    async def use() -> None:
        await connection.check()
        await connection.close()

    for _ in range(2):
        asyncio.run(use())


@dataclass(frozen=True, slots=True)
class Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        built = (
            _certificate(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(key, built)

    def write(self, path: Path) -> Path:
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def issue(self, name: str, path: Path, *, password: bytes | None = None) -> Path:
        """Write a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))])
        issued = (
            _certificate(subject, self.certificate.subject, key.public_key())
            .add_extension(names, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        sealed: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password is not None:
            sealed = serialization.BestAvailableEncryption(password)
        pem = serialization.Encoding.PEM
        path.write_bytes(
            issued.public_bytes(pem)
            + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, sealed)
        )
        return path


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server with TLS that knows one user."""

    url: str
    ca: Path
    other_ca: Path
    client: Path


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority.new()
    ca, other = authority.write(folder / "ca.pem"), Authority.new().write(folder / "other.pem")
    served = authority.issue("server", folder / "server.pem")
    client = authority.issue("client", folder / "client.pem")
    tls = ["--tls-cert-file", str(served), "--tls-key-file", str(served)]
    tls += ["--tls-ca-file", str(ca), "--tls-require-client-cert"]
    options = {"tls": True, "tlsCAFile": str(ca), "tlsCertificateKeyFile": str(client)}
    with Guard() as guard:
        server = MongoServer(folder / "mongodb", options=tls, client=options, guard=guard)
        with server:
            with MongoClient[dict[str, Any]](server.url, **options) as admin:  # type: ignore[arg-type]
                roles = [{"role": "readWrite", "db": "triptych"}]
                admin["admin"].command("createUser", "triptych", pwd=PASSWORD, roles=roles)
            server.stop()
            server.options = [*tls, "--auth"]
            server.start()
            yield Guarded(server.url, ca, other, client)


@server_goes_away
@pytest.mark.integration
async def test_tls_with_a_client_certificate_and_a_password(guarded: Guarded) -> None:
    plain = MongoConnection(
        guarded.url, user="triptych", password=PASSWORD, ca=guarded.ca, certificate=guarded.client
    )
    in_url = guarded.url.replace("//", f"//triptych:{ENCODED}@") + "/?authSource=admin"
    named = MongoConnection(in_url, ca=guarded.ca, certificate=guarded.client)
    for connection in (plain, named):
        await connection.check()
        async with connection.writing():
            await connection.collection("assets").insert_one({"a": 1})
        await connection.close()


@server_goes_away
@pytest.mark.integration
@pytest.mark.parametrize(
    ("user", "password"), [("triptych", "falsch-geheim"), ("other", "falsch-geheim")]
)
async def test_a_wrong_password_is_refused_and_not_shown(
    guarded: Guarded, user: str, password: str
) -> None:
    connection = MongoConnection(
        guarded.url, user=user, password=password, ca=guarded.ca, certificate=guarded.client
    )
    with pytest.raises(ReadsUnavailable, match="refuses the user") as caught:
        await connection.check()
    assert "falsch" not in str(caught.value)
    assert "TRIPTYCH_READS_PASSWORD" in str(caught.value)
    await connection.close()


@server_goes_away
@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_unknown_authority_or_no_certificate_is_an_outage(guarded: Guarded) -> None:
    for files in (
        {"ca": guarded.other_ca, "certificate": guarded.client},
        {"ca": guarded.ca},
        {},
    ):
        connection = MongoConnection(guarded.url, user="triptych", password=PASSWORD, **files)
        with pytest.raises(ReadsUnavailable, match="does not answer") as caught:
            await connection.check()
        assert PASSWORD not in str(caught.value)
        await connection.close()
    # The driver leaves the socket of a failed handshake to this.
    gc.collect()


@server_goes_away
@pytest.mark.integration
async def test_a_certificate_without_a_user_is_the_user(guarded: Guarded) -> None:
    """The server of the tests has no X.509 users: that it is asked for one is what is shown."""
    connection = MongoConnection(guarded.url, ca=guarded.ca, certificate=guarded.client)
    assert credentials_of(connection)[2] == "MONGODB-X509"
    with pytest.raises((ReadsUnavailable, OperationFailure)):
        await connection.check()
    await connection.close()
