"""The demo: the same world every time, real faults, and every count checked."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import aiohttp
import msgspec
import pytest
from demo.report import Outcome
from demo.service import serve
from demo.world import (
    BAZAAR,
    BRANDS_MIN,
    IMAGES_MIN,
    PACKAGE,
    PANTRY,
    PHOTOS,
    Expectation,
    Fault,
    World,
    load,
)

from tests.support.picture_server import picture
from triptych.model import Reason, RunState
from triptych.settings.settings import Settings
from triptych.wiring.local import open_local

pytestmark = pytest.mark.integration

PATIENCE_S = 120.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A small world of the same make: eight brands of three images in two themes."""
    for number in range(48):
        folder = tmp_path / ("dark", "light")[number % 2]
        folder.mkdir(exist_ok=True)
        brand, variant = f"brand{number % 8}", ("", "-text", "-color")[number // 16]
        (folder / f"{brand}{variant}.png").write_bytes(picture(number))
    return load(tmp_path)


def test_the_world_is_the_same_every_time(world: World, tmp_path: Path) -> None:
    assert load(tmp_path) == world
    faults = Counter(entry.fault for entries in world.brands.values() for entry in entries)
    assert faults.keys() == set(Fault), "every fault is there"


def test_the_real_world_is_large_enough() -> None:
    world = load(PACKAGE)
    done = sum(world.expectation(brand).done for brand in world.brands)
    assert len(world.brands) >= BRANDS_MIN
    assert done >= IMAGES_MIN


def test_the_photographs_are_two_brands_that_share_some() -> None:
    world = load(PACKAGE, PHOTOS)
    bazaar, pantry = ({entry.file for entry in world.brands[name]} for name in (BAZAAR, PANTRY))
    assert len(bazaar) > 200
    assert 10 < len(bazaar & pantry) < len(pantry) - 10


async def test_the_catalogue_pages_and_fails_once(world: World) -> None:
    brand, listings = max(world.brands.items(), key=lambda pair: len(pair[1]))
    async with serve(world) as service, aiohttp.ClientSession() as session:
        seen, cursor, codes = 0, None, []
        while cursor is not None or not seen:
            query = {"brand": brand} | ({"cursor": cursor} if cursor else {})
            async with session.get(service.url, params=query) as response:
                codes.append(response.status)
                if response.status == 200:
                    page = await response.json()
                    seen, cursor = seen + len(page["items"]), page["next"]
        assert seen == len(listings)
        assert codes.count(500) == (1 if len(listings) > 10 else 0)


async def test_every_count_is_met_and_a_wrong_one_is_noticed(world: World, tmp_path: Path) -> None:
    async with serve(world) as service:
        settings = Settings.load(
            data=tmp_path / "data",
            embedder="none",
            fetch_allow="127.0.0.0/8",
            source=f"catalog:{service.url}",
        )
        async with open_local(settings) as local, asyncio.timeout(PATIENCE_S):
            runs = [await local.submit(brand) for brand in world.brands]
            ended = [await local.wait(run.id) for run in runs]
            outcomes = [
                Outcome(
                    run,
                    await local.stores.snapshots.insights(run.id),
                    len(
                        {
                            asset.sha256
                            for asset in await local.stores.snapshots.assets(
                                run.id, after=None, limit=1000
                            )
                        }
                    ),
                    world.expectation(run.brand),
                )
                for run in ended
            ]
    assert [line for outcome in outcomes for line in outcome.mismatches()] == []
    assert sum((Counter(run.reasons) for run in ended), Counter())["undecodable"] > 0

    good = outcomes[0]
    wrong: Expectation = replace(good.expectation, failed={Reason.TIMEOUT: 1})
    (line,) = replace(good, expectation=wrong).mismatches()
    assert line.startswith(f"{good.run.brand}: failed is ")
    failed = msgspec.structs.replace(good.run, state=RunState.FAILED)
    assert len(replace(good, run=failed).mismatches()) == 1
