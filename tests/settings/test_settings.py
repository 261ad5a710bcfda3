"""Settings: where each comes from, and one clear line for one that is wrong."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from triptych.errors import SettingsError
from triptych.settings.settings import Settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TRIPTYCH_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_precedence_and_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("TRIPTYCH_FLUSH_ITEMS=7\nTRIPTYCH_EMBED_BATCH=8\nOTHER=1\n")
    monkeypatch.setenv("TRIPTYCH_EMBED_BATCH", "9")
    settings = Settings.load(data=Path("here"), source=None)
    assert (settings.flush_items, settings.embed_batch, settings.data) == (7, 9, Path("here"))
    origins = settings.origins(data=Path("here"), source=None)
    assert origins["flush_items"] == ".env"
    assert origins["embed_batch"] == "environment"
    assert origins["data"] == "command line"
    assert origins["source"] == "default"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DATABASE_URL", "mysql://x", "must begin with one of embedded:, postgresql://"),
        ("QUEUE_URL", "kafka:", "must begin with one of pgmq:"),
        ("STORE_URL", "ftp://x", "must begin with one of file:"),
        ("SOURCE", "urls", "must be written SCHEME:PLACE"),
        ("SOURCE", "manifest:", "has nothing after the colon"),
        ("READS_URL", "postgresql://x", "must begin with one of mongodb://, mongodb+srv://"),
        ("READS_PASSWORD", "s3cret", "needs TRIPTYCH_READS_USER"),
        ("FLUSH_ITEMS", "0", "greater than 0"),
        ("FLUSH_ITEMS", "many", "valid integer"),
        ("TOLERATED_FAILURES", "1.5", "less than or equal to 1"),
        ("FETCH_ALLOW", "10.0.0.0/99", "FETCH_ALLOW"),
        ("FETCH_PORTS", "8080,http", "http is neither a port nor a range of ports"),
        ("FETCH_PORTS", "0", "neither a port"),
        ("FETCH_PORTS", "65536", "neither a port"),
        ("FETCH_PORTS", "9-8", "neither a port"),
        ("FETCH_PORTS", "-1", "neither a port"),
        ("FETCH_MEMORY_BYTES", "0", "greater than 0"),
        ("OIDC_OPERATORS", "boss@example.org", "must be email:ADDRESS or sub:SUBJECT"),
        ("OIDC_OPERATORS", "sub:1,email:", "must be email:ADDRESS or sub:SUBJECT"),
    ],
)
def test_a_wrong_value_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(f"TRIPTYCH_{name}", value)
    with pytest.raises(SettingsError) as error:
        Settings.load()
    assert error.value.field == f"TRIPTYCH_{name}"
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_networks_are_read_from_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_FETCH_ALLOW", "127.0.0.0/8, ::1/128,")
    assert Settings.load().fetch_allow == (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_SOURCE_TOKEN", "s3cret")
    monkeypatch.setenv("TRIPTYCH_DATABASE_URL", "postgresql://me:s3cret@db:5432/triptych")
    settings = Settings.load()
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings.shown())
    assert settings.shown()["database_url"] == "postgresql://…@db:5432/triptych"


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


@pytest.mark.parametrize("name", ["READS_CA", "READS_CERTIFICATE"])
def test_a_file_for_mongodb_has_to_be_there_if_it_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv(f"TRIPTYCH_{name}", str(tmp_path / "nowhere.pem"))
    Settings.load()
    monkeypatch.setenv("TRIPTYCH_READS_URL", "mongodb://db.example/triptych")
    with pytest.raises(SettingsError, match=r"there is no file .*nowhere\.pem") as error:
        Settings.load()
    assert error.value.field == f"TRIPTYCH_{name}"
    assert "PEM file" in str(error.value.remedy)
    monkeypatch.setenv(f"TRIPTYCH_{name}", "")
    assert Settings.load().reads_ca is None


def test_the_address_of_mongodb_is_shown_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRIPTYCH_READS_URL", "mongodb://me:s3cret@a.example:1,b.example/x?k=s3cret")
    monkeypatch.setenv("TRIPTYCH_READS_USER", "me")
    monkeypatch.setenv("TRIPTYCH_READS_PASSWORD", "s3cret")
    settings = Settings.load()
    assert settings.shown()["reads_url"] == "mongodb://…@a.example:1,b.example/x?…"
    assert "s3cret" not in repr(settings)
