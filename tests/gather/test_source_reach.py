"""Which sources others than the server's own user may name: API and worker decide alike."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.fetching import LOOPBACK
from triptych.errors import BadInput, SourceRefused
from triptych.fetch.guard import AddressGuard
from triptych.fetch.transport import TransportPool
from triptych.gather.source_reach import SourceBuckets, SourceReach, reach_of
from triptych.gather.source_registry import SourceRegistry
from triptych.settings.settings import Settings
from triptych.settings.source_text import PlaceKind, parse_place
from triptych.wiring.installed_sources import source_reach

REGISTRY = SourceRegistry.discover()
BUCKETS = ("s3://lists", "gs://shared/team/triptych/")


def reach(
    folders: tuple[Path, ...] = (), *, own: str | None = None, own_web: bool = False
) -> SourceReach:
    return reach_of(folders, BUCKETS, own=own, own_web=own_web)


def may_name(spec: str, within: SourceReach) -> bool:
    """What the API decides."""
    try:
        return REGISTRY.refusal(spec, within) is None
    except BadInput:
        return False


def may_open(spec: str, within: SourceReach) -> bool:
    """What a worker decides, when it has the source from wherever."""
    try:
        REGISTRY.open(spec, transports=None, token=None, page_rows=1, reach=within)  # type: ignore[arg-type]
    except SourceRefused:
        return False
    return True


@pytest.mark.parametrize(
    "place",
    [
        "/etc/passwd",
        "/srv/lists2/a.csv",
        "/srv/lists/../secret.csv",
        "../x",
        "~/x.csv",
        "httpsx",
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "file:///srv/lists/%2e%2e/secret.csv",
        "FILE:///etc/passwd",
        "/etc/passwd#key=/../../../srv/lists/x",
        "s3://payroll/x.csv",
        "S3://payroll/x.csv",
        "s3://lists2/x.csv",
        "gs://lists/x.csv",
        "az://lists/x.csv",
        "gs://shared/x.csv",
        "gs://shared/team/triptych2/x.csv",
        "gs://shared/team/triptych/../x.csv",
        "gs://shared/team/triptych/%2e%2e/x.csv",
        "gs://shared/team/triptych/.%2E/x.csv",
        "gs://shared/team%2ftriptych/x.csv",
        "gs://shared/team/triptych\\..\\x.csv",
        "s3://lists@payroll/x.csv",
        "s3://lists:9000/x.csv",
        "s3://lists%2f..%2fpayroll/x.csv",
        "s3:///x.csv",
        "s3://LISTS/x.csv",
        "ftp://lists/x.csv",
        "s3a://lists/x.csv",
        "file://host/srv/lists/x.csv",
        "http:/etc/passwd",
        "file:/etc/passwd",
        "s3:lists/x.csv",
        "HTTP:\\\\x",
        " https://a.example/x",
        "https://a.example/x ",
        "\thttps://a.example/x",
        "https://a.example/\x00",
        "/srv/lists/x\x00.csv",
        "file:///srv/lists/%00",
        "%68ttps://a.example/x",
    ],
)
def test_what_is_not_listed_may_be_neither_named_nor_opened(place: str) -> None:
    within = reach((Path("/srv/lists"),))
    assert not may_name(f"manifest:{place}", within)
    assert not may_open(f"manifest:{place}", within)


@pytest.mark.parametrize(
    "place",
    [
        "https://a.example/x",
        "HTTP://a.example/x",
        "https://{brand}.example/x",
        "/srv/lists/a.csv",
        "/srv/lists",
        "/srv/lists/{brand}/*.csv#key=sku",
        "file:///srv/lists/a%20b.csv",
        "s3://lists/x.csv",
        "S3://lists/a/b.csv#key=sku",
        "gs://shared/team/triptych/x.csv",
        "gs://shared/team/triptych/{brand}/x.csv",
        "gs://shared/team/%74riptych/x.csv",
    ],
)
def test_what_is_listed_or_on_the_web_may_be_both(place: str) -> None:
    within = reach((Path("/srv/lists"),))
    assert may_name(f"manifest:{place}", within)
    assert may_open(f"manifest:{place}", within)


PIECES = st.sampled_from(
    [
        *("http", "HTTPS", "s3", "S3", "gs", "file", "File", "ftp", "manifest", "Manifest"),
        *("catalog", "urls", ":", "://", "//", "/", "\\", "..", ".", "%2e%2e", "%2F", "%00"),
        *("\x00", "\n", " ", "\u00a0", "~", "#", "?", "@", "=", "key=", "{brand}", "*", "["),
        *("lists", "payroll", "shared", "team", "triptych", "srv", "etc", "passwd", "x.csv"),
        *("a.example", "127.0.0.1", "\udc80", "ſ3", "ﬁle"),
    ]
)


@given(
    st.lists(PIECES, max_size=12).map("".join),
    st.sampled_from(["", "manifest:", "catalog:", "manifest:s3://", "manifest:/srv/lists/"]),
)
@example("HTTP://../../etc/passwd", "manifest:")
@example("S3://payroll/x", "manifest:")
def test_g9_api_and_worker_agree_on_every_spelling(text: str, before: str) -> None:
    within = reach((Path("/srv/lists"),))
    spec = before + text
    assert may_name(spec, within) == may_open(spec, within)


@pytest.mark.integration
def test_what_a_worker_opens_is_decided_again_with_the_brands_name(tmp_path: Path) -> None:
    """A name can have no slash, but a place can begin with it."""
    (tmp_path / "listed").mkdir()
    (tmp_path / "secret.csv").write_text("url\nhttps://x/1\n")
    (tmp_path / "listed" / "nike").symlink_to(tmp_path / "secret.csv")

    async def read(place: str) -> None:
        transports = TransportPool(AddressGuard(LOOPBACK), limit=1, user_agent="test")
        try:
            within = reach((tmp_path / "listed",))
            source = REGISTRY.open(
                f"manifest:{place}", transports=transports, token=None, page_rows=1, reach=within
            )
            async for _ in source.pages("nike", None):
                pass
        finally:
            await transports.close()

    for place in (f"{tmp_path}/listed/{{brand}}", "s3://lists{brand}/x.csv", "s3://{brand}/x.csv"):
        with pytest.raises(SourceRefused, match="listed"):
            asyncio.run(read(place))


def test_the_source_of_the_settings_is_the_workers_own() -> None:
    own = "manifest:s3://payroll/x.csv"
    assert may_open(own, reach(own=own))
    assert not may_open("manifest:s3://payroll/y.csv", reach(own=own))
    settings = Settings.load(source=own, source_buckets="s3://a/b , gs://c", source_folders="/x,/y")
    assert settings.source_buckets == ("s3://a/b", "gs://c")
    assert settings.source_folders == (Path("/x"), Path("/y"))
    assert source_reach(settings).own == own


def test_a_refusal_names_the_setting_and_the_remedy() -> None:
    for place, setting in (
        ("/etc/passwd", "TRIPTYCH_SOURCE_FOLDERS"),
        ("s3://payroll/x", "TRIPTYCH_SOURCE_BUCKETS"),
    ):
        refusal = REGISTRY.refusal(f"manifest:{place}", reach())
        assert refusal is not None
        assert setting in refusal.remedy
        with pytest.raises(SourceRefused, match=setting):
            REGISTRY.open(
                f"manifest:{place}",
                transports=None,  # type: ignore[arg-type]
                token=None,
                page_rows=1,
                reach=reach(),
            )


def test_errors_quote_what_whoever_named_it_could_have_read() -> None:
    def quotes(place: str, within: SourceReach) -> bool:
        return REGISTRY.quotes(f"manifest:{place}", within)

    own = "manifest:/home/x.csv"
    within = reach((Path("/srv/lists"),), own=own)
    for place in ("https://a.example/x", "/srv/lists/x", "s3://lists/x"):
        assert quotes(place, within), place
    for place in ("/home/x.csv", "/etc/passwd", "s3://payroll/x"):
        assert not quotes(place, within), place
    assert not quotes("https://a.example/x", reach(own_web=True))
    for settings in ({"fetch_allow": "10.0.0.0/8"}, {"fetch_profiles": "[]"}):
        assert source_reach(Settings.load(**settings)).own_web


@pytest.mark.parametrize(
    "settings",
    [
        {"source_buckets": "lists"},
        {"source_buckets": "https://lists"},
        {"source_buckets": "s3://"},
        {"source_buckets": "s3://a/../b"},
        {"source_folders": "lists"},
        {"source_folders": "/srv/../etc"},
    ],
)
def test_settings_that_list_nothing_are_refused(settings: dict[str, str]) -> None:
    (name,) = settings
    with pytest.raises(BadInput, match=f"TRIPTYCH_{name.upper()}"):
        Settings.load(**settings)


def test_a_listed_prefix_is_whole_folders() -> None:
    buckets = SourceBuckets(["s3://a/b", "s3://c/"])
    for text, listed in (
        ("s3://a/b/x", True),
        ("s3://a/b", True),
        ("s3://a/bc/x", False),
        ("s3://a/x/b", False),
        ("s3://a//b/x", False),
        ("s3://c/x", True),
        ("s3://c", True),
    ):
        place = parse_place(text)
        assert place.kind is PlaceKind.OBJECT
        assert buckets.lists(place) is listed, text
