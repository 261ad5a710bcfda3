"""Files of different brands have different names, on every file system.

Case: wormi4ok/evernote2md#66 (names collide, files are lost).
"""

from __future__ import annotations

import re
import unicodedata
from itertools import combinations

import pytest

from triptych.messages import BRAND_MAX_CHARS, check_brand
from triptych.snapshots.exports.export import file_name

BRANDS = [
    *("🙂", "🎉", "brand", "Brand", "BRAND", "a b", "a-b", "a_b", "a+b", "a  b", "a.b", "a.", ".a"),
    *("Löwe", "löwe", "LÖWE", "lowe", "straße", "strasse", "ﬁsh", "fish", "con", "CON", "con.x"),
    *(
        "aux",
        "nul",
        "com1",
        "lpt9",
        "-a",
        "a-",
        "a:b",
        "a*b",
        'a"b',
        "a?b",
        "a|b",
        "a<b",
        "$x",
        "~",
    ),
    *("x" * BRAND_MAX_CHARS, "x" * (BRAND_MAX_CHARS - 1), "🙂" * BRAND_MAX_CHARS, "日本", "日 本"),
]
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def folded(name: str) -> str:
    """Return a name as a file system without case, which also normalises, compares it."""
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())


def test_no_two_brands_share_a_name() -> None:
    names = {brand: file_name(brand) for brand in BRANDS}
    for one, other in combinations(BRANDS, 2):
        assert folded(names[one]) != folded(names[other]), (one, other)


@pytest.mark.parametrize("brand", ["🙂", "Löwe", "a b"])
def test_a_brand_cannot_be_named_as_the_files_of_another(brand: str) -> None:
    taken = check_brand(file_name(brand))
    assert folded(file_name(taken)) != folded(taken)


@pytest.mark.parametrize("brand", BRANDS)
def test_a_name_is_valid_everywhere_and_always_the_same(brand: str) -> None:
    name = file_name(brand)
    assert name == file_name(brand)
    assert re.fullmatch(r"[\w.-]+", name)
    assert not name.startswith((".", "-"))
    assert not name.endswith((".", "-"))
    assert RESERVED.match(name) is None
    assert len(f"{name}-000000.tar.part".encode()) <= 255


@pytest.mark.parametrize("brand", ["nike", "nike-air_2.0", "7up", "x"])
def test_a_plain_name_stays_as_it_is(brand: str) -> None:
    assert file_name(brand) == brand
