"""The step `duplicates`: against a plain oracle, on planted cases, and on pictures."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance

from tests.unit.snapshots import shuffled, snapshot_of, unit
from triptych.adapters.embedders.bundled import bundled_model
from triptych.adapters.embedders.onnx import OnnxEmbedder
from triptych.insights import duplicates
from triptych.insights.duplicates import COSINE_MIN, HAMMING_MAX_BITS, find_duplicates
from triptych.insights.step import Snapshot
from triptych.media.decode import decode

HASH = 0x5A5A_5A5A_5A5A_5A5A
"""Half its bits are set, as a picture with structure has them."""
BLANK = -(2**63)
"""The hash of a picture that is all one colour."""
MB = 1_000_000


def at_angle(cosines: list[float]) -> npt.NDArray[np.float16]:
    """Vectors in a plane, each at that cosine from the first axis, all on one side of it."""
    return np.array([[c, (1 - c * c) ** 0.5] for c in cosines]).astype(np.float16)


def members(result: dict[str, Any]) -> set[frozenset[str]]:
    return {frozenset(group["members"]) for group in result["groups"]}


def hamming(first: int, second: int) -> int:
    return ((first ^ second) & (2**64 - 1)).bit_count()


def rank(snapshot: Snapshot, row: int) -> tuple[int, int, str]:
    pixels = snapshot.widths[row] * snapshot.heights[row]
    return (-int(pixels), -int(snapshot.size_bytes[row]), snapshot.key(row))


def oracle(snapshot: Snapshot) -> set[frozenset[str]]:
    """What `find_duplicates` promises, said one asset at a time."""
    order = sorted(range(len(snapshot)), key=lambda row: rank(snapshot, row))
    contents: dict[bytes, list[int]] = {}
    for row in order:
        contents.setdefault(snapshot.sha256[row].tobytes(), []).append(row)
    heads: list[int] = []
    groups: dict[int, list[int]] = {}
    vectors = snapshot.embeddings.astype(np.float32)
    for rows in contents.values():
        best = rows[0]
        similar = [
            (float(vectors[head] @ vectors[best]), -place, head)
            for place, head in enumerate(heads)
            if hamming(int(snapshot.phash[head]), int(snapshot.phash[best])) <= HAMMING_MAX_BITS
            and vectors[head] @ vectors[best] >= COSINE_MIN
            and 24 <= (int(snapshot.phash[best]) & (2**64 - 1)).bit_count() <= 40
        ]
        head = max(similar)[2] if similar else best
        if not similar:
            heads.append(best)
        groups.setdefault(head, []).extend(rows)
    return {frozenset(map(snapshot.key, rows)) for rows in groups.values() if len(rows) > 1}


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


@settings(max_examples=200, deadline=None)
@given(snapshot=snapshots(), block=st.sampled_from([1, 2, 3, 1024]), data=st.data())
def test_groups_are_the_oracles_in_any_order_and_any_block_size(
    snapshot: Snapshot, block: int, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(snapshot))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "BLOCK_ROWS", block)
        result = find_duplicates(shuffled(snapshot, order))
    assert members(result) == oracle(snapshot)
    assert result == find_duplicates(snapshot)


@settings(max_examples=100, deadline=None)
@given(snapshot=snapshots())
def test_groups_are_disjoint_whole_and_led_by_their_best_copy(snapshot: Snapshot) -> None:
    result = find_duplicates(snapshot)
    row_of = {snapshot.key(row): row for row in range(len(snapshot))}
    named = [key for group in result["groups"] for key in group["members"]]
    assert len(named) == len(set(named))
    assert result["redundant"] == len(named) - result["group_count"]
    assert result["exact_redundant"] == len(snapshot) - len(set(map(bytes, snapshot.sha256)))
    together = {key: number for number, g in enumerate(result["groups"]) for key in g["members"]}
    for first, row in row_of.items():
        for second, other in row_of.items():
            if first != second and (snapshot.sha256[row] == snapshot.sha256[other]).all():
                assert together[first] == together[second]
    for group in result["groups"]:
        rows = [row_of[key] for key in group["members"]]
        assert rows == sorted(rows, key=lambda row: rank(snapshot, row))
        assert group["best"] == group["members"][0]
        contents = {snapshot.sha256[row].tobytes() for row in rows}
        assert group["contents"] == len(contents)
        assert group["kind"] == ("near" if len(contents) > 1 else "exact")
        vectors = snapshot.embeddings[rows].astype(np.float32)
        if group["kind"] == "near":
            assert (vectors @ vectors[0] >= COSINE_MIN).all()


@pytest.mark.parametrize(
    ("cosine", "bits", "grouped"),
    [(0.90, 10, True), (0.90, 11, False), (0.86, 0, False), (1.0, 20, False)],
)
def test_near_duplicates_agree_in_embedding_and_hash(
    cosine: float, bits: int, grouped: bool
) -> None:
    result = find_duplicates(
        snapshot_of(at_angle([1.0, cosine]), phash=[HASH, HASH ^ ((1 << bits) - 1)])
    )
    assert [group["kind"] for group in result["groups"]] == (["near"] if grouped else [])


def test_groups_do_not_chain() -> None:
    # a ~ b and b ~ c, but not a ~ c. The largest picture, a, is the best copy.
    angles = np.arccos([1.0, 0.9, 0.7])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    snapshot = snapshot_of(vectors, phash=[HASH] * 3, sides=[30, 20, 10])
    assert members(find_duplicates(snapshot)) == {frozenset({snapshot.key(0), snapshot.key(1)})}


def test_a_picture_joins_the_best_copy_it_is_most_similar_to() -> None:
    angles = np.radians([0, 50, 30])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    # At 30°, it lies 30° (.87) from the best and 20° (.94) from the second best.
    snapshot = snapshot_of(vectors, phash=[HASH] * 3, sides=[30, 20, 10])
    assert members(find_duplicates(snapshot)) == {frozenset({snapshot.key(1), snapshot.key(2)})}


def test_blank_pictures_are_duplicates_by_their_bytes_only() -> None:
    # White logos laid over white: all alike to both the hash and the embedding.
    vectors = at_angle([1.0] * 4)
    snapshot = snapshot_of(vectors, phash=[BLANK] * 4, contents=["a", "a", "b", "c"])
    result = find_duplicates(snapshot)
    assert members(result) == {frozenset({snapshot.key(0), snapshot.key(1)})}
    assert result["compared"] == 0


@pytest.mark.parametrize("embedded", [[0, 3], [0, 4], [2, 3], [2, 4]])
def test_assets_without_an_embedding_of_the_model_are_compared_by_their_bytes_only(
    embedded: list[int],
) -> None:
    snapshot = snapshot_of(
        at_angle([1.0, 1.0]),
        phash=[HASH] * 5,
        contents=["a", "b", "a", "c", "c"],
        embedded=embedded,
    )
    result = find_duplicates(snapshot)
    # "a" and "c" have one embedding each among their copies; "b" has none.
    assert members(result) == {frozenset(snapshot.key(row) for row in (0, 2, 3, 4))}
    assert result["compared"] == 2


def test_no_assets_no_groups() -> None:
    result = find_duplicates(snapshot_of(np.empty((0, 0), np.float16), phash=[]))
    assert (result["groups"], result["redundant"]) == ([], 0)


def test_long_results_are_cut_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "GROUPS_MAX", 1)
    monkeypatch.setattr(duplicates, "MEMBERS_MAX", 2)
    snapshot = snapshot_of(
        at_angle([1.0] * 5), phash=[BLANK] * 5, contents=["a", "a", "b", "b", "b"]
    )
    result = find_duplicates(snapshot)
    assert (result["exact_groups"], result["redundant"]) == (2, 3)
    assert [(group["size"], len(group["members"])) for group in result["groups"]] == [(3, 2)]
    assert result["truncated"]


@pytest.mark.parametrize("alike", [False, True])
def test_g8_memory_does_not_grow_with_the_square(alike: bool) -> None:
    count = 5_000 if alike else 20_000
    random = np.random.default_rng(0)
    hashes = random.integers(-(2**63), 2**63 - 1, count)
    snapshot = snapshot_of(
        unit(random.normal(size=(count, 256))), phash=np.full(count, HASH) if alike else hashes
    )
    tracemalloc.start()
    try:
        result = find_duplicates(snapshot)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result["compared"] > 0.9 * count
    # One byte for each pair would be 400 MB and 25 MB.
    assert peak < (40 * MB if not alike else 24 * MB)


# --- Pictures ---------------------------------------------------------------------------------

PICTURES = 20
EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "jpeg": lambda image: Image.open(io.BytesIO(encoded(image, "JPEG", quality=30))),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
}


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
    return OnnxEmbedder(bundled_model(tmp_path_factory.mktemp("models")), threads=1)


def acquired(bodies: dict[str, bytes], embedder: OnnxEmbedder) -> Snapshot:
    """A snapshot of real bytes, decoded and embedded as the acquire phase does it."""
    seen = [
        decode(body, size=embedder.input_size, max_pixels=10_000_000) for body in bodies.values()
    ]
    return snapshot_of(
        embedder.embed(np.stack([one.pixels for one in seen])).astype(np.float16),
        phash=[one.phash for one in seen],
        contents=[body.hex() for body in bodies.values()],
        sides=[one.width for one in seen],
        size_bytes=[len(body) for body in bodies.values()],
        keys=list(bodies),
    )


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
    result = find_duplicates(snapshot)
    found = {frozenset(name_of[key] for key in group) for group in members(result)}
    expected = {
        frozenset(name for name in bodies if name.startswith(f"{number} "))
        for number in range(PICTURES)
    }
    assert found == expected
    assert result["redundant"] == PICTURES * (1 + len(EDITS))


def test_light_logos_on_transparent_ground_are_not_one_picture(embedder: OnnxEmbedder) -> None:
    bodies = {}
    for name, box in {"disc": (40, 40, 160, 160), "bar": (20, 90, 180, 110)}.items():
        for tone, colour in {"light": (255, 255, 255, 255), "dark": (0, 0, 0, 255)}.items():
            image = Image.new("RGBA", (200, 200))
            ImageDraw.Draw(image).ellipse(box, fill=colour)
            bodies[f"{name} {tone}"] = encoded(image)
    assert find_duplicates(acquired(bodies, embedder))["groups"] == []
