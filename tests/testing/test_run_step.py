"""`run_step` publishes what a step gives as the AI phase does; `export_pictures` writes files."""

from __future__ import annotations

from typing import Any

import pytest

from triptych.ai.context import StepResult
from triptych.ai.step import Snapshot, Step
from triptych.ai.steps.clusters.clusters import CLUSTERS
from triptych.model import Colour
from triptych.snapshots.exports.export_registry import ExportRegistry
from triptych.testing.export_pictures import export_pictures
from triptych.testing.memory_stores import memory_stores
from triptych.testing.pictures import MODEL, Picture
from triptych.testing.run_step import StepFailed, make_snapshot, run_step

PICTURES = [
    Picture("https://x.example/a", 200, 100, embedding=[3, 4], colours=(Colour(0xFF0000, 1.0),)),
    Picture("https://x.example/b", 100, 200, phash=-5, embedding=[0, 2], metadata={"n": 1}),
    Picture("https://x.example/c", body=b"same"),
]


async def test_a_snapshot_has_what_the_pictures_say() -> None:
    snapshot = await make_snapshot(PICTURES, brand="nike")
    rows = {url: row for row, url in enumerate(snapshot.urls)}
    assert (snapshot.brand, len(snapshot), snapshot.model) == ("nike", 3, MODEL)
    first, second = rows[PICTURES[0].url], rows[PICTURES[1].url]
    assert (snapshot.widths[first], snapshot.heights[first]) == (200, 100)
    assert snapshot.phash[second] == -5
    assert snapshot.colours[first] == PICTURES[0].colours
    vectors = {int(row): snapshot.embeddings[n].tolist() for n, row in enumerate(snapshot.embedded)}
    assert vectors.keys() == {first, second}
    assert vectors[first] == pytest.approx([0.6, 0.8], abs=1e-3)
    assert vectors[second] == [0, 1]


async def test_results_and_marks_are_those_that_are_published() -> None:
    def work(snapshot: Snapshot) -> StepResult:
        wide = snapshot.widths > snapshot.heights
        marks = {"shape": ["wide" if each else None for each in wide]}
        return StepResult({"wide": int(wide.sum())}, marks)

    found = await run_step(Step("shapes", 3, work), PICTURES)
    assert found.result == {"version": 3, "assets": 3, "sampled": False, "wide": 1}
    assert found.marked("shape") == {PICTURES[0].url: "wide"}


async def test_a_step_sees_what_it_published_before() -> None:
    def work(snapshot: Snapshot) -> dict[str, Any]:
        earlier = snapshot.context.earlier
        return {"number": 1 if earlier is None else earlier.results["count"]["number"] + 1}

    stores, step = memory_stores(), Step("count", 1, work)
    numbers = [(await run_step(step, PICTURES, stores=stores)).result["number"] for _ in range(3)]
    assert numbers == [1, 2, 3]


@pytest.mark.parametrize(("gives", "says"), [({"x": float("nan")}, "result.x is nan"), (3, "int")])
async def test_what_cannot_be_published_fails(gives: Any, says: str) -> None:
    with pytest.raises(StepFailed, match=says):
        await run_step(Step("broken", 1, lambda _: gives), PICTURES)


async def test_our_own_steps_run_on_made_pictures() -> None:
    assert (await run_step(CLUSTERS, PICTURES)).result["assets"] == 3


async def test_every_installed_format_is_written_twice_alike() -> None:
    for kind in ExportRegistry.discover().formats:
        files = await export_pictures(kind, PICTURES)
        assert files
        assert all(files.values())
