"""Candidates against all pairs; heads against families; the best of copies; overlap of pictures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.snapshots import snapshot_of, unit
from triptych.ai import nearest as nearest_of
from triptych.ai.context import Context
from triptych.ai.steps.duplicates import candidates
from triptych.ai.steps.duplicates import union_groups as election
from triptych.ai.steps.duplicates.candidates import find_candidates
from triptych.ai.steps.duplicates.exact_copies import ranked
from triptych.ai.steps.duplicates.registration import agreement
from triptych.ai.steps.duplicates.union_groups import Verdict, choose_heads
from triptych.ai.steps.duplicates.views import SIDE, Views, view

Pixels = npt.NDArray[np.uint8]


def silent(_: float) -> None:
    pass


class Planted:
    """A comparison with planted verdicts, that notes what was asked."""

    def __init__(
        self,
        like: Collection[tuple[int, int]],
        against: Collection[tuple[int, int]] = (),
        grey: Collection[int] = (),
        distances: Mapping[tuple[int, int], float] | None = None,
    ) -> None:
        self._like, self._against, self._grey = like, against, grey
        self._distances = distances or {}
        self.asked: list[tuple[int, int]] = []

    def compare(self, first: int, second: int) -> Verdict:
        pair = (min(first, second), max(first, second))
        self.asked.append(pair)
        return Verdict(pair in self._like, pair in self._against, self._distances.get(pair, 0.0))

    def grey(self, content: int) -> bool:
        return content in self._grey


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    nearest=st.integers(1, 4),
    rows=st.sampled_from([1, 3, 64]),
    columns=st.sampled_from([2, 5, 64]),
    reduced_from=st.sampled_from([0, 1000]),
)
def test_the_nearest_of_each_are_candidates_whatever_the_blocks(
    seed: int, nearest: int, rows: int, columns: int, reduced_from: int
) -> None:
    random = np.random.default_rng(seed)
    count = 24
    # Few directions and few hashes: many ties, which the first of them wins.
    vectors = unit(random.integers(-2, 3, (count, 5)) + 0.01)
    hashes = random.choice(np.array([0, 3, 0xFFF, 0xFFFFFF], np.uint64), count)
    vector_of = np.where(random.random(count) < 0.8, np.arange(count), -1)
    structured = random.random(count) < 0.8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "NEAREST", nearest)
        patch.setattr(nearest_of, "BLOCK_ROWS", rows)
        patch.setattr(nearest_of, "BLOCK_COLUMNS", columns)
        patch.setattr(candidates, "REDUCED_FROM", reduced_from)
        found = find_candidates(vectors, vector_of, hashes, structured, silent)
    bits = np.bitwise_count(hashes[:, None] ^ hashes[None, :]).astype(float)
    bits[~structured] = bits[:, ~structured] = 64
    wanted = set()
    for row in range(count):
        distances = bits[row].tolist()
        others = [o for o in range(count) if o != row and distances[o] <= 10]
        for _, other in sorted((distances[o], o) for o in others)[:nearest]:
            wanted.add((min(row, other), max(row, other)))
    pairs = [(int(first), int(second)) for first, second in found.pairs]
    assert wanted <= set(pairs)
    assert len(set(pairs)) == len(pairs)
    assert all(first < second for first, second in pairs)
    exact = vectors.astype(np.float32) @ vectors.astype(np.float32).T
    embedded = np.flatnonzero(vector_of >= 0).tolist()
    for row in embedded:
        others = [o for o in embedded if o != row and exact[row, o] > 0.51]
        others = [o for _, o in sorted((-exact[row, o], o) for o in others)]
        # Ties within rounding may fall either way; what is clearly among the nearest may not.
        bound = exact[row, others[nearest]] if len(others) > nearest else 0.51
        for other in others[:nearest]:
            if exact[row, other] > bound + 0.01:
                assert (min(row, other), max(row, other)) in set(pairs)
    likely = np.fmax(found.cosines, np.where(found.bits <= 10, 1 - found.bits / 40, -1))
    assert (np.diff(likely) <= 0).all()


def test_heads_lead_what_is_like_them_and_what_is_like_that() -> None:
    like = {(0, 1), (1, 2), (2, 3), (3, 4), (5, 6)}
    judge = Planted(like)
    heads = choose_heads(8, [*sorted(like), (0, 7)], judge, silent)
    # 3 is like 2, which is not like 0; so it leads a group of its own.
    assert heads.tolist() == [0, 0, 0, 3, 3, 5, 5, 7]
    assert (0, 7) in judge.asked


def test_with_no_more_questions_known_pairs_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(election, "ASKED_MAX", 0)
    chain = [(0, 1), (1, 2), (2, 3)]
    judge = Planted(chain)
    assert choose_heads(4, chain, judge, silent).tolist() == [0, 0, 0, 3]
    assert judge.asked == chain


def test_no_group_holds_two_that_contradict_each_other_whoever_fits_both() -> None:
    # 2 fits both 0 and 1, which are one product in two colours.
    judge = Planted({(0, 2), (1, 2)}, against={(0, 1)})
    assert choose_heads(3, [(0, 2), (1, 2)], judge, silent).tolist() == [0, 1, 0]
    # So do 1 and 2, of which only one can be with 0.
    judge = Planted({(0, 1), (0, 2)}, against={(1, 2)})
    assert choose_heads(3, [(0, 1), (0, 2)], judge, silent).tolist() == [0, 0, 2]


def test_a_grey_picture_goes_with_the_nearer_of_two_colours_and_never_leads_them() -> None:
    like = {(0, 1), (0, 2)}
    for distances, heads in (((1.0, 2.0), [1, 1, 2]), ((2.0, 1.0), [2, 1, 2])):
        judge = Planted(
            like, {(1, 2)}, grey={0}, distances=dict(zip(sorted(like), distances, strict=True))
        )
        assert choose_heads(3, sorted(like), judge, silent).tolist() == heads


def scene(seed: int = 0, side: int = 480) -> Pixels:
    """Structure at many scales, in colour."""
    random = np.random.default_rng(seed)
    at = np.linspace(0, 2 * np.pi, side)
    shown = np.zeros((side, side, 3))
    for _ in range(40):
        frequency = random.integers(1, 14, 2)
        wave = np.cos(frequency[0] * at[:, None] + frequency[1] * at[None, :] + random.random() * 7)
        shown += wave[..., None] * random.normal(0, 18, 3)
    return np.clip(shown + 128, 0, 255).astype(np.uint8)


def small(pixels: Pixels) -> Pixels:
    """Squash a picture into the square that views are made of."""
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX))


def test_a_part_is_found_in_its_whole_either_way_round() -> None:
    whole = scene()
    part = whole[100:388, 60:348]
    first, second = view(small(whole), 480, 480), view(small(part), 288, 288)
    found = agreement(first, second)
    assert found.detail > 0.7
    assert not found.colours.contradict
    assert agreement(second, first).detail == pytest.approx(found.detail, abs=0.05)
    assert agreement(first, second, parts=False).detail < 0.2
    assert agreement(first, view(small(scene(1)), 480, 480)).detail < 0.2


def test_an_overlay_lowers_the_agreement_by_its_area() -> None:
    whole = scene()
    covered = whole.copy()
    covered[180:300] = 0
    first = view(small(whole), 480, 480)
    found = agreement(first, view(small(covered), 480, 480))
    assert found.detail == pytest.approx(0.75, abs=0.12)
    assert found.worst < 0.1
    assert not found.colours.contradict
    turned = view(small(np.ascontiguousarray(whole[..., ::-1])), 480, 480)
    assert agreement(first, turned).colours.contradict


@pytest.mark.parametrize("level", [0, 128, 255])
def test_blank_pictures_show_nothing_that_could_agree(level: int) -> None:
    blank = view(np.full((SIDE, SIDE, 3), level, np.uint8), 100, 100)
    assert blank.plain
    assert agreement(blank, blank).detail == 0.0


def test_a_frame_is_cut_off() -> None:
    whole = scene(side=400)
    framed = np.full((500, 600, 3), 255, np.uint8)
    framed[50:450, 100:500] = whole
    seen = view(small(framed), 600, 500)
    assert seen.aspect == pytest.approx(1.0, abs=0.05)
    assert seen.content == pytest.approx(400 * 400 / (600 * 500), abs=0.03)
    assert agreement(seen, view(small(whole), 400, 400)).detail > 0.8


def test_the_best_copy_is_large_unframed_coloured_and_least_compressed() -> None:
    whole = scene(side=400)
    grey = np.repeat(whole.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    framed = np.full((500, 500, 3), 255, np.uint8)
    framed[50:450, 50:450] = whole
    pictures = [framed, grey, whole, whole, small(whole)]
    snapshot = snapshot_of(
        unit(np.ones((5, 2))),
        phash=[0] * 5,
        sides=[500, 400, 400, 400, 96],
        size_bytes=[9_000, 9_000, 2_000, 3_000, 9_000],
        context=Context(pixels=lambda row, side: small(pictures[row])),
    )
    views = Views(snapshot)
    views.look(range(5), silent)
    group = ranked(snapshot, views, np.arange(5))
    assert group.members.tolist()[:2] == [3, 2]
    assert group.members[-1] == 4
    assert group.why == (
        "as large as any, without a frame, in colour, the least compressed (3,000 bytes): "
        "400 × 400 pixels"
    )
    alone = ranked(replace(snapshot, widths=snapshot.widths * 3), Views(snapshot), np.arange(2))
    assert alone.why.startswith("the largest: 1500 × ")


def test_each_asset_is_read_once_and_a_missing_one_is_left_out() -> None:
    looked = []

    def look(row: int, side: int) -> Pixels | None:
        looked.append(row)
        return None if row == 1 else np.zeros((side, side, 3), np.uint8)

    snapshot = snapshot_of(unit(np.ones((3, 2))), phash=[0] * 3, context=Context(pixels=look))
    views = Views(snapshot)
    told: list[float] = []
    views.look([0, 1, 0], told.append)
    views.look([1, 0], told.append)
    assert sorted(looked) == [0, 1]
    assert told == [0.5, 1.0]
    assert views.of(0) is not None
    assert views.of(1) is None
    assert views.of(2) is None
