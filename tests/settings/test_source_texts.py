"""A source as people write it: with a scheme as it stands, else the path or URL of a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.errors import SettingsError
from triptych.gather.sources.manifest import MANIFEST
from triptych.settings.settings import Settings
from triptych.settings.source_text import LIST_SCHEME, LIST_SCHEMES, read_source


@pytest.mark.parametrize(
    "text",
    [
        "manifest:urls.csv",
        "manifest:https://a.example/x.csv",
        "catalog:https://a.example/",
        "own:x",
    ],
)
def test_a_source_with_a_scheme_stays_as_it_is_and_nothing_is_assumed(text: str) -> None:
    read = read_source(text)
    assert (read.spec, read.assumed) == (text, None)


def test_a_path_that_exists_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "urls").write_text("url\n")
    (tmp_path / "2026: shoes.csv").write_text("url\n")
    (tmp_path / "parts").mkdir()
    for text, place in (
        ("urls", "urls"),
        ("./urls", "urls"),
        ("parts", "parts"),
        ("2026: shoes.csv", "2026: shoes.csv"),
        ("urls#url-column=Photo", "urls#url-column=Photo"),
    ):
        read = read_source(text)
        assert read.spec == f"manifest:{tmp_path}/{place}"
        assert read.spec in (read.assumed or "")


@pytest.mark.parametrize(
    "text", ["nowhere.csv", "/nowhere/urls", "~/urls", "*.csv", "{brand}.csv", "x.csv#url-column=a"]
)
def test_what_looks_like_a_path_is_one(text: str) -> None:
    assert read_source(text).spec == f"manifest:{text}"


@pytest.mark.parametrize("text", ["https://a.example/list?x=1", "HTTP://a.example/list"])
def test_a_url_is_taken_for_a_list_and_the_other_reading_is_named(text: str) -> None:
    scheme, _, rest = text.partition(":")
    read = read_source(text)
    assert read.spec == f"manifest:{scheme.lower()}:{rest}"
    assert f"catalog:{text}" in (read.assumed or "")


@pytest.mark.parametrize("text", ["s3://bucket/urls.parquet", "gs://b/x", "az://b/x", "file:///x"])
def test_the_url_of_an_object_can_only_be_a_list(text: str) -> None:
    read = read_source(text)
    assert read.spec == f"manifest:{text}"
    assert "catalog" not in (read.assumed or "")


@pytest.mark.parametrize(
    "text", ["", "urls", "nike shoes", "manifest:", "catalog:", "x" * 5000, "a\0"]
)
def test_what_is_none_of_these_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be written|nothing after"):
        read_source(text)


def test_the_setting_takes_what_the_option_takes() -> None:
    assert Settings.load(source="urls.csv").source == "manifest:urls.csv"
    with pytest.raises(SettingsError, match="TRIPTYCH_SOURCE"):
        Settings.load(source="urls")


def test_the_schemes_are_those_of_the_source_of_lists() -> None:
    for scheme in LIST_SCHEMES:
        MANIFEST.check(f"{scheme}:///x.csv" if scheme == "file" else f"{scheme}://x/x.csv")
    assert MANIFEST.scheme == LIST_SCHEME
