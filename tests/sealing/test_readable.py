"""What of a source may stand in the database in plain text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.sealing.readable import SEALED, readable, scrubbed, sealed_ref

SECRET = "Zq9-secret"


@pytest.mark.parametrize(
    ("source", "part"),
    [
        (f"catalog:https://h.example/list?api_key={SECRET}", "catalog:https://h.example/list"),
        (f"catalog:https://me:{SECRET}@h.example:8443/list", "catalog:https://h.example:8443/list"),
        (f"catalog:https://{SECRET}@h.example", "catalog:https://h.example"),
        (f"catalog:HTTPS://{SECRET}@h.example/a", "catalog:HTTPS://h.example/a"),
        (f"manifest:s3://bucket/k.csv?X-Amz-Signature={SECRET}", "manifest:s3://bucket/k.csv"),
        (f"manifest:https://h.example/a.csv#token={SECRET}", "manifest:https://h.example/a.csv"),
        (f"catalog:https://h.example?{SECRET}", "catalog:https://h.example"),
        (f"catalog:https://me:a/{SECRET}@h.example/", "catalog:https://"),
        (f"catalog:https://me:a@{SECRET}@h.example/", "catalog:https://h.example/"),
        (f"shop:mysql://me:{SECRET}@h.example/d", "shop:mysql://h.example/d"),
        (f"shop:via:https://{SECRET}@h.example/d", "shop:via:https://h.example/d"),
        (f"shop:host=h;password={SECRET}", "shop:"),
        (f"shop:me:{SECRET}@h.example/d", "shop:"),
        (f"shop:h.example/d?token={SECRET}", "shop:"),
        (f"shop:h.example password {SECRET}", "shop:"),
        (f"catalog:h.example?{SECRET}", "catalog:"),
        (f"https://hooks.example/x?sig={SECRET}", "https://hooks.example/x"),
        (f"https://h.example/a\n?{SECRET}", "https://h.example/a\n"),
    ],
)
def test_what_is_secret_is_left_out(source: str, part: str) -> None:
    assert readable(source) == part
    assert SECRET not in part


@pytest.mark.parametrize(
    "source",
    [
        "manifest:/lists/nike.csv",
        "manifest:/lists/day=1/n?ke@{brand}.csv#key=sku",
        "manifest:https://h.example/lists/day=1/nike.csv",
        "catalog:https://h.example:8443/v1;x/list",
        "manifest:s3://bucket/day=1/nike.parquet",
        "urls:0123abcd",
        "shop:main",
        "shop:eu/main",
    ],
)
def test_what_names_a_place_stays_readable(source: str) -> None:
    assert readable(source) is None


@given(st.text(min_size=1).map(lambda text: f"{text}{SECRET}"), st.sampled_from("?@=;&"))
def test_nothing_behind_what_separates_a_secret_is_readable(place: str, mark: str) -> None:
    for scheme in ("catalog", "shop"):
        part = readable(f"{scheme}:{place}{mark}{SECRET}")
        if "://" not in place:
            assert part is not None
            assert SECRET not in part


def test_what_is_sealed_is_told_from_a_query() -> None:
    assert sealed_ref(f"catalog:https://h{SEALED}{'0a' * 16}") == "0a" * 16
    for source in (f"catalog:https://h{SEALED}x", f"a:{SEALED}{'0a' * 17}", "urls:1", "sealed="):
        assert sealed_ref(source) is None


@pytest.mark.parametrize(
    "source",
    [
        f"catalog:https://me:{SECRET}@h.example:99999/list",
        f"catalog:https://{SECRET}@h.example/list",
        f"catalog:https://h.example/list?b=a%20{SECRET}&key={SECRET}#x",
        f"catalog:https://me:a/{SECRET}@h.example/",
        f"manifest:s3://bucket/k.csv?X-Amz-Signature={SECRET}&X-Amz-Date=1",
        f"shop:host=h;password={SECRET}",
        f"shop:me:{SECRET}@h.example/d",
    ],
)
def test_an_error_that_quotes_a_source_loses_what_is_secret(source: str) -> None:
    place = source.partition(":")[2]
    for text in (
        f"{place!r} is not a URL (Port out of range).",
        f"There is no object {place}.",
        f"Access denied for {SECRET}: a {SECRET}.",
        f"No source {source}",
    ):
        said = scrubbed(text, source)
        assert SECRET not in said
        assert "****" in said
    assert scrubbed("There is no object k.csv.", source) == "There is no object k.csv."
    assert scrubbed(f"{SECRET} is quoted", "manifest:/lists/a.csv") == f"{SECRET} is quoted"
