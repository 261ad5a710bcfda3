"""Sources are found by entry point; a plug-in that is broken is seen and breaks no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import plug_ins
from triptych.errors import BadInput, SettingsError, SourceRefused
from triptych.gather.source import Source
from triptych.gather.source_registry import ENTRY_POINT_GROUP, SourceRegistry, source_schemes
from triptych.gather.source_type import SourceContext, SourceType
from triptych.gather.sources.bucket import BUCKET
from triptych.gather.sources.catalog import CATALOG
from triptych.gather.sources.feed import FEED
from triptych.gather.sources.folder import FOLDER
from triptych.gather.sources.manifest import MANIFEST
from triptych.gather.sources.page import PAGE
from triptych.gather.sources.shopify import SHOPIFY
from triptych.gather.sources.sitemap import SITEMAP
from triptych.gather.sources.upload import UPLOAD
from triptych.settings.settings import Settings
from triptych.wiring.installed_sources import installed_sources

OURS = (BUCKET, CATALOG, FEED, FOLDER, MANIFEST, PAGE, SHOPIFY, SITEMAP, UPLOAD)
SCHEMES = ", ".join(one.scheme for one in OURS)


def install(folder: Path, name: str, entry_points: str, module: str = "") -> None:
    plug_ins.install(folder, ENTRY_POINT_GROUP, name, entry_points, module)


THING = """
from triptych.gather.source_type import SourceType

class Thing:
    def __init__(self, place):
        self.place = place

THING = SourceType("{scheme}", "Things", "A thing.", "NAME", "one", lambda place, _: Thing(place))
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def opened(sources: SourceRegistry, spec: str) -> Source:
    return sources.open(spec, transports=None, token=None, page_rows=1)  # type: ignore[arg-type]


def test_our_own_sources_are_installed() -> None:
    sources = SourceRegistry.discover()
    assert tuple(sources.types) == OURS
    assert sources.broken == {}
    assert sources.usage == (
        "bucket:s3://BUCKET/FOLDER, catalog:https://…, feed:URL, folder:PATH, "
        "manifest:PATH_OR_URL, page:URL, shopify:SHOP, sitemap:URL or upload:ID"
    )
    assert list(source_schemes()) == [one.scheme for one in sources.types]


def test_a_plug_in_is_a_source_as_ours_are(site: Path) -> None:
    install(site, "plug_thing", "thing = plug_thing:THING", THING.format(scheme="thing"))
    sources = SourceRegistry.discover()
    assert "thing:NAME" in sources.usage
    sources.check("thing:x")
    assert opened(sources, "thing:x:y").place == "x:y"  # type: ignore[attr-defined]
    assert installed_sources(Settings(source="thing:x")).broken == {}


def test_broken_plug_ins_are_refused_with_their_reason(site: Path) -> None:
    install(site, "plug_gone", "gone = no_such_module:THING")
    install(site, "plug_other", "other = plug_other:THING", "THING = 3")
    install(site, "plug_raise", "raises = plug_raise:THING", "1 / 0")
    install(site, "plug_exit", "exits = plug_exit:THING", "raise SystemExit(1)")
    install(site, "plug_named", "named = plug_named:THING", THING.format(scheme="x"))
    install(site, "plug_bad", "bad = plug_bad:THING", THING.format(scheme="B a"))
    install(site, "plug_zthief", "catalog = plug_zthief:THING", THING.format(scheme="catalog"))
    sources = SourceRegistry.discover()
    assert [one.scheme for one in sources.types] == [one.scheme for one in OURS]
    reasons = {
        "gone": "ModuleNotFoundError",
        "other": "plug_other:THING is of int, not a SourceType.",
        "raises": "ZeroDivisionError",
        "exits": "SystemExit",
        "named": "plug_named:THING is called 'x', not 'named'.",
        "bad": "ValueError: 'B a' is not a valid scheme",
    }
    for name, reason in reasons.items():
        assert reason in sources.broken[name]
        with pytest.raises(BadInput, match="cannot be used") as refused:
            sources.check(f"{name}:x")
        assert reason in refused.value.message
        with pytest.raises(SourceRefused, match="cannot be used"):
            opened(sources, f"{name}:x")
    (theft,) = (why for name, why in sources.broken.items() if name not in reasons)
    assert theft.startswith("There is another 'catalog'")
    sources.check("catalog:https://a.example/list")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (
            "urls.csv",
            f"It names no source: the schemes are {SCHEMES}.",
        ),
        (
            "ftp:x",
            f"It names no source: the schemes are {SCHEMES}.",
        ),
        (
            "MANIFEST:x",
            f"It names no source: the schemes are {SCHEMES}.",
        ),
        (
            "",
            f"It names no source: the schemes are {SCHEMES}.",
        ),
        ("manifest:", "Nothing follows the colon of manifest."),
        ("catalog:ftp://x", "The address of a catalogue service is not a URL: "),
        ("catalog:https://", "The address of a catalogue service is not a URL: "),
        (
            "catalog:http://[::1",
            "The address of a catalogue service is not a URL: its host [::1 is not",
        ),
    ],
)
def test_an_unknown_source_is_refused_with_field_schemes_and_remedy(spec: str, says: str) -> None:
    sources = SourceRegistry.discover()
    with pytest.raises(BadInput) as refused:
        sources.check(spec)
    assert refused.value.field == "source"
    assert refused.value.message.startswith(says)
    assert (refused.value.remedy or "").startswith("Write ")
    with pytest.raises(SourceRefused):
        opened(sources, spec)


def test_the_settings_source_must_be_installed() -> None:
    with pytest.raises(SettingsError) as refused:
        installed_sources(Settings(source="ftp:x"))
    assert refused.value.field == "TRIPTYCH_SOURCE"
    assert SCHEMES in str(refused.value)
    assert "catalog:https://" in (refused.value.remedy or "")


def test_an_example_must_be_a_place() -> None:
    def refuse(_: str) -> None:
        raise ValueError("Never.")

    def never(_: str, _context: SourceContext) -> Source:
        raise AssertionError

    with pytest.raises(ValueError, match="Never"):
        SourceType("x", "X", "X.", "X", "x", never, check=refuse)
