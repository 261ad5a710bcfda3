"""What is read of an asset's document is what was written, whatever its metadata are."""

from __future__ import annotations

import os
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.projecting import edition, edition_asset
from triptych.model import ALSO_MAX
from triptych.reads.edition import EditionAsset
from triptych.reads.mongo.documents import (
    DOCUMENT_MAX_BYTES,
    FIELD_MAX_BYTES,
    INT64,
    NESTED_MAX,
    PART_BYTES,
    AssetDocuments,
    Document,
    asset_documents,
    asset_parts,
    part_count,
    read_asset,
    read_exact,
    read_marks,
)

EDITION = edition(5, 7)

NAMES = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["", ".", "$", "$where", "a.b", "a．b", "_", "__", "＄where", "\x00"]),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([*(2**n for n in (53, 63, 64)), -(2**63) - 1, 10**400]),
    st.floats(allow_nan=False),
    st.text(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=20,
)
METADATA = st.dictionaries(NAMES, VALUES, max_size=6)


def written(given: EditionAsset) -> tuple[Document, AssetDocuments]:
    made = asset_documents("nike", EDITION, given)
    return bson.decode(made.document.raw), made


def exact(document: Document, made: AssetDocuments) -> Document:
    parts = {part["_id"]: part["data"] for part in made.parts}
    ids = asset_parts(document)
    return read_exact(b"".join(parts[each] for each in ids) if ids else document.get("exact"))


def assert_same(given: EditionAsset) -> Document:
    document, made = written(given)
    kept = exact(document, made)
    # As text, which tells 1 from 1.0 and from True.
    assert repr(read_asset(document, kept)) == repr(given.asset)
    assert read_marks(document, kept) == given.marks
    return document


@given(metadata=METADATA, also=st.lists(METADATA, max_size=3), more=METADATA)
def test_whatever_json_there_is_comes_back(
    metadata: Any, also: list[Any], more: dict[str, Any]
) -> None:
    marks = {f"own {name}": value for name, value in more.items()} | {"tags": ["b", "a"], "x": 0.5}
    assert_same(edition_asset(EDITION, 1, metadata=metadata, also=also or (), marks=marks))


def test_what_bson_has_is_in_the_document_as_it_is() -> None:
    metadata = {"price": 2**62, "name": "Ünï", "of": {"list": [1, 2.5, None, True, {"a": ""}]}}
    marks = {"cluster": "c", "duplicates": "d", "tags": ["x"], "outlier": 0.25, "own": [1]}
    given = edition_asset(EDITION, 1, metadata=metadata, also=[{"price": 1}], marks=marks)
    document = assert_same(given)
    assert (document["metadata"], document["also"]) == (metadata, [{"price": 1}])
    assert (document["cluster"], document["duplicated"], document["more"]) == (
        "c",
        True,
        {"own": [1]},
    )
    assert {"changed", "exact", "exact_parts"}.isdisjoint(document)
    assert document["colours"][0] == {"hex": "#ff0000", "r": 255, "g": 0, "b": 0, "share": 0.75}
    assert (document["shape"], document["size"]) == ("landscape", "small")
    assert document["colour_names"] == ["red", "white"]


def test_what_bson_does_not_have_is_changed_in_the_document_only() -> None:
    metadata = {"a.b": 1, "a．b": 2, "$c": {"": 3}, "big": 2**64, "s": "\ud800"}
    document = assert_same(edition_asset(EDITION, 1, metadata=metadata))
    assert document["metadata"] == {
        "a．b": 1,
        "a．b_": 2,
        "＄c": {"_": 3},
        "big": float(2**64),
        "s": "?",
    }
    assert document["changed"] == ["metadata"]
    assert [each["c"] for each in document["columns"]] == list(metadata)


@pytest.mark.parametrize("levels", [NESTED_MAX - 1, NESTED_MAX, NESTED_MAX + 38])
def test_deep_nesting_becomes_text_where_it_is_too_deep(levels: int) -> None:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    document = assert_same(edition_asset(EDITION, 1, metadata={"deep": value}))
    assert ("changed" in document) is (levels >= NESTED_MAX)


def test_large_fields_are_kept_beside_the_document() -> None:
    row = {"text": "x" * (FIELD_MAX_BYTES // ALSO_MAX)}
    document = assert_same(edition_asset(EDITION, 1, also=[row] * ALSO_MAX))
    assert (document["also"], document["changed"]) == ([], ["also"])


def test_what_cannot_be_compressed_is_in_parts() -> None:
    row = {"text": os.urandom(128 * 1024).hex()}
    also = [{"text": row["text"], "n": n} for n in range(ALSO_MAX - 1)]
    also += [{"text": os.urandom(5_000_000).hex()}]
    given = edition_asset(EDITION, 1, also=also)
    document, made = written(given)
    assert "exact" not in document
    assert document["exact_parts"] == len(made.parts) > 1
    assert all(len(part["data"]) <= PART_BYTES for part in made.parts)
    assert_same(given)


def test_many_values_of_a_column_with_a_long_name_fit() -> None:
    # 256 KB of JSON are allowed: were the name with each value, these would be gigabytes.
    metadata = {"n" * 100_000: list(range(20_000))}
    document = assert_same(edition_asset(EDITION, 1, metadata=metadata))
    assert len(document["columns"][0]["values"]) == 20_000


def test_a_document_that_is_too_large_is_refused_by_name() -> None:
    given = edition_asset(EDITION, 1)
    huge = EditionAsset(given.asset, {}, None, ["x" * DOCUMENT_MAX_BYTES])
    with pytest.raises(ValueError, match=given.asset.key.hex()):
        asset_documents("nike", EDITION, huge)


def test_constants_fit_together() -> None:
    # Beside the exact text, the three fields may be in the document as well, and texts for filters.
    assert PART_BYTES + 3 * 2 * FIELD_MAX_BYTES < DOCUMENT_MAX_BYTES
    assert 2**63 - 1 in INT64
    assert 2**63 not in INT64
    assert [part_count(b"x" * n) for n in (0, 1, PART_BYTES, PART_BYTES + 1)] == [0, 1, 1, 2]
