"""The words of a brand: each once a picture, and what was not read is counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.support.snapshots import snapshot_of, unit
from triptych.ai.context import AssetStepOutcome, Context
from triptych.ai.steps.text import text as step
from triptych.ai.steps.text.text import TEXT_IN_PICTURES
from triptych.features.feature_store import Feature
from triptych.features.picture_text import PictureText, TextLine


@dataclass
class Read:
    """Texts by row; None cannot be read."""

    texts: dict[int, list[str] | None]
    problem: str | None = None

    def outcome(self, step: str) -> AssetStepOutcome | None:
        return AssetStepOutcome(error=self.problem) if step == "text" else None

    def read(self, step: str) -> Iterable[tuple[int, Feature]]:
        assert step == "text"
        for row, lines in self.texts.items():
            if lines is None:
                yield row, Feature(bytes(32), None, "broken")
            else:
                text = PictureText([TextLine(line, 1, 0, 0, 1, 1) for line in lines], 0)
                yield row, Feature(bytes(32), text.as_result())


def test_pictures_and_words_are_counted() -> None:
    snapshot = snapshot_of(unit(np.ones((6, 4))), phash=[0] * 6)
    texts = {
        0: ["SALE sale Sale", "-50 % on 31.12."],
        1: ["Sale", "Größe M"],
        2: [],
        4: None,
    }
    context = Context(features=Read(texts, "no model"))
    found = TEXT_IN_PICTURES.run(replace(snapshot, context=context))
    assert found == {
        "on": True,
        "read": 3,
        "with_text": 2,
        "unreadable": 1,
        "not_read_yet": 2,
        "words": [{"word": "sale", "pictures": 2}, {"word": "größe", "pictures": 1}],
        "problem": "no model",
    }
    assert TEXT_IN_PICTURES.run(snapshot) == {"on": False}


def test_rare_words_that_are_dropped_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "DISTINCT_MAX", 4)
    snapshot = snapshot_of(unit(np.ones((3, 4))), phash=[0] * 3)
    texts = {0: ["sale neu"], 1: ["sale neu"], 2: ["eins zwei drei"]}
    found = TEXT_IN_PICTURES.run(replace(snapshot, context=Context(features=Read(dict(texts)))))
    assert isinstance(found, dict)
    assert found["rare_words_dropped"] == 3
    words = [{"word": "neu", "pictures": 2}, {"word": "sale", "pictures": 2}]
    assert found["words"] == words
