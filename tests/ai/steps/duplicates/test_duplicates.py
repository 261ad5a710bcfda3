"""The step `duplicates`: its promises on planted fingerprints, and on made pictures."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from tests.support.data_folder import provide_models
from tests.support.proof_size import at_full_size
from tests.support.snapshots import shuffled, snapshot_of, unit
from triptych.ai import nearest
from triptych.ai.context import Context
from triptych.ai.step import Snapshot
from triptych.ai.steps.duplicates import duplicates
from triptych.ai.steps.duplicates.duplicates import find_duplicates
from triptych.ai.steps.duplicates.pixel_judge import AGREE_COSINE_MIN, AGREE_MAX_BITS
from triptych.embedders.bundled import bundled_model
from triptych.embedders.onnx_embedder import OnnxEmbedder
from triptych.media.decode import decode
from triptych.media.fingerprint import hamming

HASH = 0x5A5A_5A5A_5A5A_5A5A
"""Half its bits are set, as a picture with structure has them."""
BLANK = -(2**63)
"""The hash of a picture that is all one colour."""
MB = 1_000_000


def at_angle(cosines: list[float]) -> npt.NDArray[np.float16]:
    """Vectors in a plane, each at that cosine from the first axis, all on one side of it."""
    return np.array([[c, (1 - c * c) ** 0.5] for c in cosines]).astype(np.float16)


def at_degrees(*degrees: float) -> npt.NDArray[np.float16]:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)


def members(result: Any) -> set[frozenset[str]]:
    return {frozenset(group["members"]) for group in result["groups"]}


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Few contents near each other, so that copies, near copies and chains are common."""
    count = draw(st.integers(1, 30))
    contents = draw(st.lists(st.integers(0, 11), min_size=count, max_size=count))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    # Angles on an even grid that misses the threshold by more than half precision's error.
    angles = random.integers(0, 7, 12) * 0.15
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    hashes = [HASH ^ ((1 << int(bits)) - 1) for bits in random.choice([0, 4, 8, 12, 30], 12)]
    hashes[0] = BLANK
    sides = random.integers(1, 4, 12)
    return snapshot_of(
        vectors[contents],
        phash=[hashes[content] for content in contents],
        contents=contents,
        sides=sides[contents],
        size_bytes=random.integers(1, 4, 12)[contents],
    )


any_order = given(snapshot=snapshots(), rows=st.sampled_from([1, 3, 1024]), data=st.data())
"""A snapshot, how many rows are compared at once, and what another order is drawn from."""


@settings(max_examples=30, deadline=None)
@any_order
def test_neither_the_order_nor_the_blocks_change_anything(
    snapshot: Snapshot, rows: int, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(snapshot))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "BLOCK_ROWS", rows)
        patch.setattr(nearest, "BLOCK_COLUMNS", 2 * rows)
        found = find_duplicates(shuffled(snapshot, order))
    whole = find_duplicates(snapshot)
    assert found.result == whole.result
    assert list(found.marks["duplicates"]) == [whole.marks["duplicates"][row] for row in order]


@at_full_size
@settings(max_examples=500, deadline=None)
@any_order
def test_neither_the_order_nor_the_blocks_change_anything_of_many(
    snapshot: Snapshot, rows: int, data: st.DataObject
) -> None:
    test_neither_the_order_nor_the_blocks_change_anything.hypothesis.inner_test(  # type: ignore[attr-defined]
        snapshot, rows, data
    )


@settings(max_examples=60, deadline=None)
@given(snapshot=snapshots())
def test_groups_are_disjoint_whole_and_held_together_by_their_largest(snapshot: Snapshot) -> None:
    found = find_duplicates(snapshot)
    result = found.result
    row_of = {snapshot.key(row): row for row in range(len(snapshot))}
    named = [key for group in result["groups"] for key in group["members"]]
    assert len(named) == len(set(named))
    assert result["redundant"] == len(named) - result["group_count"]
    assert result["exact_redundant"] == len(snapshot) - len(set(map(bytes, snapshot.sha256)))
    best_of = {key: group["best"] for group in result["groups"] for key in group["members"]}
    assert list(found.marks["duplicates"]) == [best_of.get(key) for key in row_of]
    for first, row in row_of.items():
        for second, other in row_of.items():
            if first != second and (snapshot.sha256[row] == snapshot.sha256[other]).all():
                assert best_of[first] == best_of[second]
    heads = []
    for group in result["groups"]:
        rows = [row_of[key] for key in group["members"]]
        assert group["best"] == group["members"][0]
        contents = {snapshot.sha256[row].tobytes() for row in rows}
        assert group["contents"] == len(contents)
        assert group["kind"] == ("near" if len(contents) > 1 else "exact")
        # The largest, and what agrees with it, is what holds all others.
        head = min(rows, key=lambda row: largest_first(snapshot, row))
        heads.append(head)
        near = [row for row in rows if agree(snapshot, head, row)]
        assert all(any(agree(snapshot, one, row) for one in near) for row in rows)
    for alone in (row for key, row in row_of.items() if key not in best_of):
        larger = [h for h in heads if largest_first(snapshot, h) < largest_first(snapshot, alone)]
        assert not any(agree(snapshot, head, alone) for head in larger)


@at_full_size
@settings(max_examples=1_000, deadline=None)
@given(snapshot=snapshots())
def test_groups_of_many_are_so(snapshot: Snapshot) -> None:
    test_groups_are_disjoint_whole_and_held_together_by_their_largest.hypothesis.inner_test(  # type: ignore[attr-defined]
        snapshot
    )


def largest_first(snapshot: Snapshot, row: int) -> tuple[int, int, str]:
    pixels = snapshot.widths[row] * snapshot.heights[row]
    return (-int(pixels), -int(snapshot.size_bytes[row]), snapshot.key(row))


def agree(snapshot: Snapshot, first: int, second: int) -> bool:
    if (snapshot.sha256[first] == snapshot.sha256[second]).all():
        return True
    hashes = [int(snapshot.phash[row]) for row in (first, second)]
    vectors = snapshot.embeddings[[first, second]].astype(np.float32)
    return (
        all(24 <= (one & (2**64 - 1)).bit_count() <= 40 for one in hashes)
        and hamming(*hashes) <= AGREE_MAX_BITS
        and bool(vectors[0] @ vectors[1] >= AGREE_COSINE_MIN)
    )


@pytest.mark.parametrize(
    ("cosine", "bits", "grouped"),
    [(0.90, 10, True), (0.90, 11, False), (0.86, 0, False), (1.0, 20, False)],
)
def test_without_pixels_both_fingerprints_must_agree(
    cosine: float, bits: int, grouped: bool
) -> None:
    result = find_duplicates(
        snapshot_of(at_angle([1.0, cosine]), phash=[HASH, HASH ^ ((1 << bits) - 1)])
    ).result
    assert [group["kind"] for group in result["groups"]] == (["near"] if grouped else [])
    assert (result["seen"], result["viewed"]) == (0, 2 if result["candidates"] else 0)


def test_groups_do_not_chain() -> None:
    # Each is one picture with the next; the fourth is too far from the first and what it leads.
    snapshot = snapshot_of(at_degrees(0, 25, 50, 75), phash=[HASH] * 4, sides=[40, 30, 20, 10])
    three = frozenset(snapshot.key(row) for row in (0, 1, 2))
    assert members(find_duplicates(snapshot).result) == {three}


def test_blank_pictures_are_duplicates_by_their_bytes_only() -> None:
    # White logos laid over white: all alike to both the hash and the embedding.
    vectors = at_angle([1.0] * 4)
    snapshot = snapshot_of(vectors, phash=[BLANK] * 4, contents=["a", "a", "b", "c"])
    result = find_duplicates(snapshot).result
    assert members(result) == {frozenset({snapshot.key(0), snapshot.key(1)})}


@pytest.mark.parametrize("embedded", [[0, 3], [0, 4], [2, 3], [2, 4]])
def test_without_embedding_or_pixels_only_bytes_are_compared(
    embedded: list[int],
) -> None:
    snapshot = snapshot_of(
        at_angle([1.0, 1.0]),
        phash=[HASH] * 5,
        contents=["a", "b", "a", "c", "c"],
        embedded=embedded,
    )
    result = find_duplicates(snapshot).result
    # "a" and "c" have one embedding each among their copies; "b" has none.
    assert members(result) == {frozenset(snapshot.key(row) for row in (0, 2, 3, 4))}


def test_no_assets_no_groups() -> None:
    result = find_duplicates(snapshot_of(np.empty((0, 0), np.float16), phash=[])).result
    assert (result["groups"], result["redundant"]) == ([], 0)


def test_long_results_are_cut_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "GROUPS_MAX", 1)
    monkeypatch.setattr(duplicates, "MEMBERS_MAX", 2)
    snapshot = snapshot_of(
        at_angle([1.0] * 5), phash=[BLANK] * 5, contents=["a", "a", "b", "b", "b"]
    )
    result = find_duplicates(snapshot).result
    assert (result["exact_groups"], result["redundant"]) == (2, 3)
    assert [(group["size"], len(group["members"])) for group in result["groups"]] == [(3, 2)]
    assert result["truncated"]


@pytest.mark.parametrize("alike", [False, True])
def test_g8_memory_does_not_grow_with_the_square(alike: bool) -> None:
    count = 5_000 if alike else 10_000
    random = np.random.default_rng(0)
    hashes = random.integers(-(2**63), 2**63 - 1, count)
    snapshot = snapshot_of(
        unit(random.normal(size=(count, 64))), phash=np.full(count, HASH) if alike else hashes
    )
    tracemalloc.start()
    try:
        result = find_duplicates(snapshot).result
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result["compared"] == count
    # One number for each pair would be 400 MB and 100 MB.
    assert peak < (150 * MB if not alike else 200 * MB)


def test_what_is_beyond_reach_is_decided_by_fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "VIEWED_MAX", 2)
    seen = []

    def look(row: int, side: int) -> npt.NDArray[np.uint8]:
        seen.append(row)
        return np.zeros((side, side, 3), np.uint8)

    snapshot = snapshot_of(
        at_degrees(0, 0, 60, 75),
        phash=[HASH, HASH, ~HASH, ~HASH ^ 0b1111],
        context=Context(pixels=look),
    )
    found = find_duplicates(snapshot)
    # The likeliest pair is looked at and shows nothing; the other is one by its fingerprints.
    assert sorted(seen) == [0, 1]
    assert members(found.result) == {frozenset({snapshot.key(2), snapshot.key(3)})}


# --- Pictures ---------------------------------------------------------------------------------

PICTURES = 3
EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "jpeg": lambda image: Image.open(io.BytesIO(encoded(image, "JPEG", quality=30))),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "cropped": lambda image: image.crop((90, 60, 90 + 480, 60 + 360)),
    "square": lambda image: ImageOps.fit(image, (480, 480)),
    "grey": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "framed": lambda image: ImageOps.expand(image, (80, 60), "white"),
    "badged": lambda image: badged(image),
}


def badged(image: Image.Image) -> Image.Image:
    copy = image.copy()
    ImageDraw.Draw(copy).rectangle((0, 400, 640, 480), fill="black")
    return copy


def encoded(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def picture(seed: int) -> Image.Image:
    """A ground that goes from one colour to another, with some texture, and shapes on it."""
    random = np.random.default_rng(seed)
    above, below = random.integers(40, 220, (2, 3))
    height = np.linspace(0, 1, 480)[:, None, None]
    ground = (above * (1 - height) + below * height) * np.ones((480, 640, 1))
    texture = Image.fromarray(random.integers(0, 256, (60, 80), dtype=np.uint8))
    soft = np.asarray(texture.resize((640, 480), Image.Resampling.BICUBIC), float)[..., None]
    image = Image.fromarray(np.clip(ground + (soft - 128) / 4, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(8):
        x, y, width, tall = (int(number) for number in random.integers(60, 300, 4))
        colour = tuple(int(part) for part in random.integers(0, 256, 3))
        box = (2 * x - 120, y - 60, 2 * x - 120 + width, y - 60 + tall)
        (draw.rectangle if random.random() < 0.5 else draw.ellipse)(box, fill=colour)
    return image


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> OnnxEmbedder:
    data = tmp_path_factory.mktemp("data")
    provide_models(data)
    return OnnxEmbedder(bundled_model(data / "models"), threads=1)


def acquired(bodies: dict[str, bytes], embedder: OnnxEmbedder) -> Snapshot:
    """A snapshot of real bytes, decoded and embedded as the acquire phase does it."""
    seen = [
        decode(body, size=embedder.input_size, max_pixels=10_000_000) for body in bodies.values()
    ]
    files = list(bodies.values())

    def look(row: int, side: int) -> npt.NDArray[np.uint8]:
        return decode(files[row], size=side, max_pixels=10_000_000).pixels

    snapshot = snapshot_of(
        embedder.embed(np.stack([one.pixels for one in seen])).astype(np.float16),
        phash=[one.phash for one in seen],
        contents=[body.hex() for body in files],
        sides=[one.width for one in seen],
        size_bytes=[len(body) for body in files],
        keys=list(bodies),
        context=Context(pixels=look),
    )
    return replace(snapshot, heights=np.array([one.height for one in seen]))


def test_edited_pictures_are_found_and_different_ones_are_not(embedder: OnnxEmbedder) -> None:
    bodies: dict[str, bytes] = {}
    for number in range(PICTURES):
        image = picture(number)
        bodies[f"{number} original"] = encoded(image)
        bodies[f"{number} copy"] = encoded(image)
        for name, edit in EDITS.items():
            bodies[f"{number} {name}"] = encoded(edit(image))
    snapshot = acquired(bodies, embedder)
    name_of = dict(zip(map(snapshot.key, range(len(snapshot))), bodies, strict=True))
    result = find_duplicates(snapshot).result
    found = {frozenset(name_of[key] for key in group) for group in members(result)}
    expected = {
        frozenset(name for name in bodies if name.startswith(f"{number} "))
        for number in range(PICTURES)
    }
    assert found == expected
    assert result["redundant"] == PICTURES * (1 + len(EDITS))
    for group in result["groups"]:
        # Framed ones have more pixels, of which no more show anything.
        smaller = {"half", "cropped", "square", "grey", "framed"}
        assert name_of[group["best"]].split()[1] not in smaller
        assert "in colour" in group["why"]


def test_one_product_in_many_colours_is_not_one_picture(embedder: OnnxEmbedder) -> None:
    image = picture(0).convert("HSV")
    hue, saturation, value = image.split()
    bodies = {}
    for turn in (0, 90, 180):
        turned = hue.point(lambda level, turn=turn: (level + turn) % 256)
        shown = Image.merge("HSV", (turned, saturation, value)).convert("RGB")
        bodies[f"{turn}"] = encoded(shown)
    assert find_duplicates(acquired(bodies, embedder)).result["groups"] == []


def test_light_logos_on_transparent_ground_are_not_one_picture(embedder: OnnxEmbedder) -> None:
    bodies = {}
    for name, box in {"disc": (40, 40, 160, 160), "bar": (20, 90, 180, 110)}.items():
        for tone, colour in {"light": (255, 255, 255, 255), "dark": (0, 0, 0, 255)}.items():
            image = Image.new("RGBA", (200, 200))
            ImageDraw.Draw(image).ellipse(box, fill=colour)
            bodies[f"{name} {tone}"] = encoded(image)
    assert find_duplicates(acquired(bodies, embedder)).result["groups"] == []


def test_similar_logos_are_told_apart_and_their_copies_found(
    embedder: OnnxEmbedder,
) -> None:
    bodies = {}
    for letter in "CGOQE":
        image = Image.new("RGB", (200, 200), "white")
        ImageDraw.Draw(image).text((50, 20), letter, "black", font_size=130)
        bodies[letter] = encoded(image)
        bodies[f"{letter} half"] = encoded(image.resize((100, 100)))
        bodies[f"{letter} padded"] = encoded(ImageOps.expand(image, 40, "white"))
    snapshot = acquired(bodies, embedder)
    name_of = dict(zip(map(snapshot.key, range(len(snapshot))), bodies, strict=True))
    found = {
        frozenset(name_of[key] for key in group)
        for group in members(find_duplicates(snapshot).result)
    }
    assert found == {frozenset({one, f"{one} half", f"{one} padded"}) for one in "CGOQE"}
