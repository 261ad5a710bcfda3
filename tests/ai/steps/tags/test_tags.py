"""The step `tags`: what the vocabulary's vectors lie near, streamed, the same in any order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.snapshots import shuffled, snapshot_of, unit
from triptych.ai import vocabulary
from triptych.ai.context import Context
from triptych.ai.step import Snapshot
from triptych.ai.steps.tags import tags
from triptych.ai.steps.tags.tags import find_tags
from triptych.ai.vocabulary import (
    Tag,
    Vocabulary,
    default_vocabulary,
    parse_vocabulary,
    read_vocabulary,
)
from triptych.errors import SettingsError

WORDS = ["red", "green", "blue"]


class Encoder:
    """Each word is an axis; what has several is their mean. Calibrated: as it is, from 0."""

    model = "words"
    image_model = "m"
    dimension = 3

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        found = np.array([[word in text for word in WORDS] for text in texts], np.float32)
        lengths = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
        return np.asarray(found / lengths, np.float32)

    def calibrate(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(np.maximum(scores, 0), np.float32)


def context(text: str = "red\ngreen\nblue\nviolet: red; blue") -> Context:
    shares: list[float] = []
    known = parse_vocabulary(text)
    return Context(text=Encoder, vocabulary=lambda: known, progress=shares.append)


def colours(rows: list[list[float]], **given: object) -> Snapshot:
    return snapshot_of(
        unit(np.array(rows)),
        phash=[0] * len(rows),
        context=context(),
        **given,  # type: ignore[arg-type]
    )


def test_pictures_get_what_they_lie_near_the_likeliest_first() -> None:
    snapshot = colours([[1, 0, 0], [0, 1, 0], [1, 0, 1], [0.3, 0, 1]])
    found = find_tags(snapshot)
    assert found.marks["tags"] == [
        ["red", "violet"],
        ["green"],
        ["violet", "red", "blue"],
        ["blue", "violet"],
    ]
    result = found.result
    assert [(tag["tag"], tag["count"]) for tag in result["tags"]] == [
        ("violet", 3),
        ("red", 2),
        ("blue", 2),
        ("green", 1),
    ]
    violet = result["tags"][0]
    assert violet["examples"][0] == snapshot.key(2)
    assert 0.5 < violet["score"] < 1
    assert (result["tagged"], result["untagged"]) == (4, 0)
    assert result["text_model"] == "words"


def test_what_lies_near_nothing_gets_no_tag() -> None:
    found = find_tags(colours([[-1, -1, -1], [1, 0, 0]]))
    assert found.marks["tags"][0] is None
    assert (found.result["tagged"], found.result["untagged"]) == (1, 1)


def test_the_order_and_the_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(1).normal(size=(50, 3)).tolist()
    snapshot = colours(rows)
    whole = find_tags(snapshot)
    order = np.random.default_rng(2).permutation(50)
    monkeypatch.setattr(tags, "BLOCK_ROWS", 7)
    again = find_tags(shuffled(snapshot, order))
    assert again.result == whole.result
    assert again.marks["tags"] == [whole.marks["tags"][row] for row in order]


PARENTS = "colour: dye\n    red\n    green\nblue"


def with_kinds(rows: list[list[float]], encoder: type[Encoder] = Encoder) -> list[list[str] | None]:
    given = Context(text=encoder, vocabulary=lambda: parse_vocabulary(PARENTS))
    snapshot = snapshot_of(unit(np.array(rows)), phash=[0] * len(rows), context=given)
    marks: list[list[str] | None] = list(find_tags(snapshot).marks["tags"])
    return marks


def test_a_picture_gets_a_kind_if_it_is_clear_and_else_the_parent() -> None:
    clear, between, faint = [1.0, 0, 0], [1, 0.8, 0], [0.5, 0.45, 0.6]
    assert with_kinds([clear, between, faint]) == [["red"], ["colour"], ["colour"]]
    assert with_kinds([[0, 0, 1]]) == [["blue"]]


class Limited(Encoder):
    """It knows nothing green, and graphics look blue to it."""

    model = "limited"

    def known(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array([text not in ("green", "dye") for text in texts], np.float32)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return super().encode(["blue" if "puck" in text else text for text in texts])


def test_tags_that_the_encoder_does_not_know_are_never_given() -> None:
    assert with_kinds([[0, 1, 0]]) == [["green"]]
    assert with_kinds([[0, 1, 0]], Limited) == [None]
    # A parent is known by its kinds.
    assert with_kinds([[0.8, 0.6, 0]], Limited) == [["colour"]]
    given = Context(text=Limited, vocabulary=lambda: parse_vocabulary("green\nred"))
    found = find_tags(snapshot_of(unit(np.eye(3)), phash=[0] * 3, context=given))
    assert found.result["unknown_tags"] == 1


def test_graphics_need_a_much_higher_score() -> None:
    photograph, graphic, sure = [1.0, 0, -0.1], [0.95, 0, 0.3], [0.999, 0, 0.02]
    assert with_kinds([photograph, graphic, sure], Limited) == [["red"], None, ["red"]]
    assert with_kinds([graphic]) == [["red"]]


def test_of_tags_that_the_encoder_confuses_the_likelier_one_is_given() -> None:
    def tags_with(encoder: type[Encoder]) -> list[list[str] | None]:
        given = Context(text=encoder, vocabulary=lambda: parse_vocabulary("red\nwarm: red; green"))
        snapshot = snapshot_of(unit(np.array([[1, 0.2, 0]])), phash=[0], context=given)
        return list(find_tags(snapshot).marks["tags"])

    assert tags_with(Encoder) == [["red", "warm"]]
    assert tags_with(Limited) == [["red"]]


def test_progress_ends_at_one() -> None:
    shares: list[float] = []
    given = Context(
        text=Encoder, vocabulary=lambda: parse_vocabulary("red"), progress=shares.append
    )
    find_tags(snapshot_of(unit(np.eye(3)), phash=[0] * 3, context=given))
    assert shares[-1] == 1


def test_assets_without_an_embedding_are_passed_over() -> None:
    snapshot = snapshot_of(
        unit(np.array([[1.0, 0, 0]])), phash=[0, 0, 0], embedded=[1], context=context()
    )
    assert find_tags(snapshot).marks["tags"] == [None, ["red", "violet"], None]


def test_without_a_text_encoder_nothing_is_tagged() -> None:
    snapshot = snapshot_of(unit(np.eye(3)), phash=[0] * 3)
    found = find_tags(snapshot)
    assert not found.marks
    assert (found.result["text_model"], found.result["tags"]) == (None, [])


def test_texts_are_never_compared_with_another_models_embeddings() -> None:
    class Other(Encoder):
        image_model = "another"

    given = Context(text=Other, vocabulary=default_vocabulary)
    with pytest.raises(ValueError, match="embedded by m, and texts are encoded for another"):
        find_tags(snapshot_of(unit(np.eye(3)), phash=[0] * 3, context=given))


def test_an_empty_snapshot_has_no_tags() -> None:
    empty = snapshot_of(np.empty((0, 3), np.float16), phash=[], context=context())
    assert find_tags(empty).result["tagged"] == 0


def test_a_vocabulary_is_lines_of_tags_and_texts() -> None:
    text = "# what\nshoe: a shoe; footwear # the main thing\n\n beach \nhat:\n"
    assert parse_vocabulary(text) == Vocabulary(
        (Tag("shoe", ("a shoe", "footwear")), Tag("beach", ("beach",)), Tag("hat", ("hat",)))
    )


def test_indented_lines_are_kinds_of_the_tag_above() -> None:
    assert parse_vocabulary("fruit\n    apple\n\tpear: a pear\nhat") == Vocabulary(
        (
            Tag("fruit", ("fruit",)),
            Tag("apple", ("apple",), "fruit"),
            Tag("pear", ("a pear",), "fruit"),
            Tag("hat", ("hat",)),
        )
    )
    assert parse_vocabulary("a\n    b").digest != parse_vocabulary("a\nb").digest


def test_the_digest_is_of_what_matters() -> None:
    first, second = parse_vocabulary("a\nb: c"), parse_vocabulary("# x\na\n\nb:c")
    assert first.digest == second.digest
    assert first.digest != parse_vocabulary("a\nb: d").digest


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "It has 0 tags"),
        ("a\nb\na: c", "Line 3: the tag 'a' is there already"),
        ("\n: a text", "Line 2: a tag has 1 to"),
        ("x" * 101, "Line 1: a tag has 1 to"),
        ("a\x07", "printable"),
        ("# kinds\n    a", "Line 2: it is indented"),
        ("a: " + ";".join("bcdefghij"), "at most 8 texts"),
        ("\n".join(str(number) for number in range(2001)), "It has 2001 tags"),
    ],
)
def test_what_cannot_be_a_vocabulary_is_refused_by_its_line(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        parse_vocabulary(text)
    assert caught.value.field == "TRIPTYCH_TAGS"


def test_files_that_cannot_be_read_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_vocabulary(tmp_path / "none")
    file = tmp_path / "tags.txt"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="UTF-8"):
        read_vocabulary(file)
    file.write_text("\ufeffone\n")
    assert [tag.name for tag in read_vocabulary(file).tags] == ["one"]
    monkeypatch.setattr(vocabulary, "FILE_MAX_BYTES", 2)
    with pytest.raises(SettingsError, match="more than 2 bytes"):
        read_vocabulary(file)


def test_the_vocabulary_that_comes_along_is_large_enough_for_a_brand() -> None:
    known = default_vocabulary()
    assert len(known.tags) > 250
    assert {tag.parent for tag in known.tags} >= {"clothing", "footwear", "electronics", "fruit"}
    assert known is read_vocabulary(None)
