"""Steps are found by entry point; a plug-in that is broken is seen and ends no other."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import UUID

import msgspec
import numpy as np
import pytest

from tests.support import plug_ins
from tests.support.snapshots import asset, committed_run, snapshot_of
from triptych.ai import step as step_module
from triptych.ai.step import Snapshot, Step, discover, load_snapshot
from triptych.ai.steps.clusters.clusters import CLUSTERS
from triptych.ai.steps.duplicates.duplicates import DUPLICATES
from triptych.model import Asset

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "ai-steps.md"
EMPTY = np.empty((0, 0), np.float16)


def install(folder: Path, name: str, entry_points: str, module: str = "") -> None:
    plug_ins.install(folder, "triptych.insights", name, entry_points, module)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def failure(step: Step) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its text is what is looked at
        step.run(snapshot_of(EMPTY, phash=[]))
    return f"{type(caught.value).__name__}: {caught.value}"


def test_our_own_steps_are_installed() -> None:
    assert [step for step in discover() if step in (CLUSTERS, DUPLICATES)] == [CLUSTERS, DUPLICATES]


def test_the_guides_example_is_found_and_works(site: Path) -> None:
    text = GUIDE.read_text()
    code, toml, published = (
        re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL)[1]  # type: ignore[index]
        for kind in ("python", "toml", "json")
    )
    entry = toml.splitlines()[1].replace('"', "")
    install(site, "brand_shapes", entry, code)
    (found,) = (step for step in discover() if step.name == "shapes")
    vectors = np.zeros((3, 2), np.float16)
    result = found.run(snapshot_of(vectors, phash=[0] * 3, sides=[1, 2, 3]))
    assert result == {"landscape": 0, "portrait": 0, "square": 3}
    assert all(f'"{name}"' in published for name in result)


def test_broken_plug_ins_fail_by_themselves(site: Path) -> None:
    install(site, "plug_gone", "gone = no_such_module:STEP")
    install(site, "plug_other", "other = plug_other:THING", "THING = 3")
    install(site, "plug_raise", "raises = plug_raise:STEP", "1 / 0")
    install(site, "plug_exit", "exits = plug_exit:STEP", "raise SystemExit(1)")
    steps = {step.name: step for step in discover()}
    assert {"clusters", "duplicates", "gone", "other", "raises", "exits"} <= steps.keys()
    assert "ModuleNotFoundError" in failure(steps["gone"])
    assert failure(steps["other"]) == "TypeError: plug_other:THING is of int, not a Step."
    assert "ZeroDivisionError" in failure(steps["raises"])
    assert "SystemExit" in failure(steps["exits"])


def test_a_taken_name_fails_the_later_plug_in_only(site: Path) -> None:
    install(
        site,
        "plug_thief",
        "thief = plug_thief:STEP",
        "from triptych.ai.step import Step\nSTEP = Step('clusters', 1, lambda _: {})",
    )
    steps = discover()
    names = [step.name for step in steps]
    assert len(names) == len(set(names))
    assert CLUSTERS in steps
    (thief,) = (step for step in steps if "plug_thief" in step.name)
    assert failure(thief) == "ValueError: There is another step of the name 'clusters'."


@pytest.mark.parametrize(("name", "version"), [("", 1), ("x" * 101, 1), ("a\nb", 1), ("a", 0)])
def test_a_step_has_a_usable_name_and_version(name: str, version: int) -> None:
    with pytest.raises(ValueError, match=r"[Ss]tep"):
        Step(name, version, lambda _: {})


class Assets:
    """The one method of the port Reading that a snapshot is loaded by."""

    def __init__(self, assets: Sequence[Asset]) -> None:
        self.assets = assets
        self.read = 0

    async def stream_assets(self, run_id: UUID, *, batch: int) -> AsyncIterator[Sequence[Asset]]:
        for start in range(0, len(self.assets), batch):
            page = self.assets[start : start + batch]
            self.read += len(page)
            yield page


async def load(assets: Sequence[Asset], *, added: int | None = None) -> Snapshot:
    return await load_snapshot(Assets(assets), committed_run(added=added))  # type: ignore[arg-type]


def vector(number: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.asarray(np.eye(4, dtype=np.float32)[number % 4])


async def test_a_snapshot_knows_what_its_assets_are_called() -> None:
    run = committed_run()
    named, plain = asset(run.id, 1), asset(run.id, 2)
    snapshot = await load([msgspec.structs.replace(named, metadata={"Title": "A kettle"}), plain])
    assert list(snapshot.titles) == [("A kettle",), ()]


@pytest.mark.parametrize("added", [None, 3, 10, 50])
async def test_a_snapshot_has_every_asset_whatever_count_was_expected(
    added: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_module, "READ_BATCH", 4)
    monkeypatch.setattr(step_module, "FIRST_CAPACITY", 2)
    run = committed_run(added=added)
    assets = [asset(run.id, n, embedding=vector(n), model="m") for n in range(10)]
    snapshot = await load_snapshot(Assets(assets), run)  # type: ignore[arg-type]
    assert (len(snapshot), snapshot.model, snapshot.sampled) == (10, "m", False)
    assert (snapshot.brand, snapshot.run_id) == (run.brand, run.id)
    for row, one in enumerate(assets):
        assert snapshot.key(row) == one.key.hex()
        assert snapshot.urls[row] == one.url
        assert snapshot.sha256[row].tobytes() == one.sha256
        numbers = (
            snapshot.phash[row],
            snapshot.widths[row],
            snapshot.heights[row],
            snapshot.size_bytes[row],
        )
        assert numbers == (one.phash, one.width, one.height, one.size_bytes)
    assert snapshot.embedded.tolist() == list(range(10))
    assert (snapshot.embeddings == np.stack([vector(n) for n in range(10)])).all()


@pytest.mark.parametrize(("few", "many"), [("a", "b"), ("b", "a")])
async def test_embeddings_are_of_the_model_of_most_assets_only(few: str, many: str) -> None:
    run_id = UUID(int=1)
    old = [asset(run_id, n, embedding=vector(n), model=few) for n in range(2)]
    new = [asset(run_id, n, embedding=vector(n)[:3], model=many) for n in range(2, 7)]
    bare = [asset(run_id, 7)]
    snapshot = await load([*old, *new, *bare])
    assert (len(snapshot), snapshot.model) == (8, many)
    assert snapshot.embedded.tolist() == [2, 3, 4, 5, 6]
    assert snapshot.embeddings.shape == (5, 3)


async def test_a_snapshot_may_be_empty_or_without_embeddings() -> None:
    nothing = await load([])
    assert (len(nothing), nothing.model, nothing.sampled) == (0, None, False)
    bare = await load([asset(UUID(int=1), 0)])
    assert (len(bare), bare.model, len(bare.embeddings)) == (1, None, 0)


@pytest.mark.parametrize(("count", "sampled"), [(6, False), (7, True), (20, True)])
async def test_g8_a_large_snapshot_is_sampled_and_says_so(
    count: int, sampled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_module, "SNAPSHOT_MAX_ASSETS_IN_MEMORY", 6)
    monkeypatch.setattr(step_module, "READ_BATCH", 3)
    run = committed_run(added=count)
    source = Assets([asset(run.id, n, embedding=vector(n), model="m") for n in range(count)])
    snapshot = await load_snapshot(source, run)  # type: ignore[arg-type]
    assert (len(snapshot), snapshot.sampled) == (6, sampled)
    assert source.read <= 9  # One page more tells that there is more; no further one is read.


async def test_no_step_can_spoil_another_ones_snapshot() -> None:
    snapshot = await load([asset(UUID(int=1), 0, embedding=vector(0), model="m")])
    for column in ("keys", "sha256", "phash", "widths", "heights", "size_bytes", "embeddings"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(snapshot, column)[0] = 1
