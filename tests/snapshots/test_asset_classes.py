"""The classes of assets: Postgres and the stores in memory have the same."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from triptych.database.session import Database
from triptych.model import Colour
from triptych.snapshots.asset_classes import (
    COLOUR_NAMES,
    SHAPES,
    SIZES,
    colour_name,
    colour_names,
    day_in,
    metadata_values,
    number_in,
    shape_of,
    size_of,
)
from triptych.snapshots.postgres.asset_classes import with_classes

SIDES = (1, 2, 9, 10, 11, 255, 256, 400, 440, 639, 640, 1279, 1280, 2559, 2560, 100_000)
TEXTS = (
    *("", " ", "1", "-1.5", "+.5", "5.", ".", "1e5", "1E-10", "1e999", "1e", "0x1", "１", "1 "),
    *("2026-01-31", "2026-01-31T10:00", "2026-01-31 x\ny", "2026-1-31", "2026-13-01", "2026-01-32"),
    *("2026-01-3１", "12026-01-01", "x2026-01-01", "9" * 31, "9" * 30, "1_000", "NaN", "Infinity"),
)
ENTRIES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 10**15, 2**62, 0.1, 1.0, -0.0, 1e16, 1e-7, 1e22, 123456.789),
    *("a", "", "  ", "x" * 200, "x" * 201, "é" * 200, "\t"),
    *([], ["b", "a", "a"], [1, "1", True], [["a"]], [{"a": 1}, "x"], {"a": 1}),
)


@pytest.fixture
async def database(migrated_dsn: str) -> AsyncIterator[Database]:
    opened = Database(migrated_dsn)
    yield opened
    await opened.close()


async def test_shapes_and_sizes(database: Database) -> None:
    rows = await database.fetch(
        "select w, h, asset_shape(w, h) as shape, asset_size(w, h) as size"
        " from unnest($1::integer[]) w, unnest($1::integer[]) h",
        list(SIDES),
    )
    for row in rows:
        mine = shape_of(row["w"], row["h"]), size_of(row["w"], row["h"])
        assert mine == (row["shape"], row["size"]), row
    assert {row["shape"] for row in rows} == set(SHAPES)
    assert {row["size"] for row in rows} == set(SIZES)
    assert (shape_of(None, None), size_of(None, None)) == (None, None)


async def test_names_of_colours(database: Database) -> None:
    drawn = random.Random(5)
    colours = [drawn.randrange(2**24) for _ in range(20_000)]
    colours += [r << 16 | g << 8 | b for r in LEVELS for g in LEVELS for b in LEVELS]
    rows = await database.fetch(
        with_classes(
            "select a.rgb, (:colour_names)[1] as name from (select rgb, jsonb_build_array("
            "jsonb_build_array('#' || lpad(to_hex(rgb), 6, '0'), 1)) as colours"
            " from unnest($1::integer[]) rgb) a"
        ),
        colours,
    )
    assert [colour_name(row["rgb"]) for row in rows] == [row["name"] for row in rows]
    assert {row["name"] for row in rows} == set(COLOUR_NAMES)


VALUES = with_classes(
    "select :metadata_values as found from (select $1::jsonb as metadata) a"
).replace(":1", "$2")
LEVELS = (0, 20, 40, 41, 64, 128, 139, 140, 165, 166, 200, 232, 255)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        (0xFFFFFF, "white"),
        (0xF5F5DC, "white"),
        (0x000000, "black"),
        (0x808080, "grey"),
        (0xC0392B, "red"),
        (0xFF7F00, "orange"),
        (0x7B4A1E, "brown"),
        (0xFFE600, "yellow"),
        (0x2E8B57, "green"),
        (0x008080, "teal"),
        (0x1E3A8A, "blue"),
        (0x6A0DAD, "purple"),
        (0xFFC0CB, "pink"),
        (0xFF69B4, "pink"),
    ],
)
def test_colours_have_the_names_that_people_give_them(rgb: int, name: str) -> None:
    assert colour_name(rgb) == name


async def test_only_colours_that_cover_a_tenth_count(database: Database) -> None:
    colours = (Colour(0xFF0000, 0.5), Colour(0xFE0000, 0.3), Colour(0x0000FF, 0.1), Colour(0, 0.09))
    assert colour_names(colours) == ["blue", "red"]
    stored = [[f"#{each.rgb:06x}", each.share] for each in colours]
    (row,) = await database.fetch(
        with_classes("select :colour_names as names from (select $1::jsonb as colours) a"), stored
    )
    assert sorted(row["names"]) == ["blue", "red"]


async def test_values_of_metadata(database: Database) -> None:
    for entry in ENTRIES:
        (row,) = await database.fetch(VALUES, {"of": entry}, "of")
        assert metadata_values(entry) == sorted(row["found"]), json.dumps(entry)
    (row,) = await database.fetch(VALUES, {}, "of")
    assert (row["found"], metadata_values(None)) == ([], [])


async def test_numbers_and_days_in_texts(database: Database) -> None:
    for text in TEXTS:
        (row,) = await database.fetch("select number_in($1) as number, day_in($1) as day", text)
        assert (number_in(text), day_in(text)) == (row["number"], row["day"]), text
