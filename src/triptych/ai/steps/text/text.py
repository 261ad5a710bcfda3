"""The words in a brand's pictures: how many have any, and which are the most frequent."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from triptych.ai.step import Snapshot, Step
from triptych.features.picture_text import TEXT, PictureText

VERSION = 1
WORDS_SHOWN = 50
WORD_MIN_CHARS = 3
WORD_MAX_CHARS = 60
"""Longer ones are no words: a line that was read without its spaces."""
DISTINCT_MAX = 100_000
"""Words that are counted; the rarer half is dropped, and counted, when there are more."""

_WORD = re.compile(r"[^\W\d_]+")
"""Letters only: a price or a date is no word."""


def run(snapshot: Snapshot) -> Mapping[str, Any]:
    """Return counts of pictures, and the words that are in the most pictures.

    ``on`` is false where this installation reads no text; then there is nothing else.
    ``rare_words_dropped`` is there if rare words were dropped from the counts on the way, for there
    were more than `DISTINCT_MAX`: one that is frequent only later may then be counted too low.
    """
    features = snapshot.context.features
    outcome = features.outcome(TEXT.name)
    if outcome is None:
        return {"on": False}
    read = with_text = unreadable = dropped = 0
    words: Counter[str] = Counter()
    for _, feature in features.read(TEXT.name):
        text = PictureText.of(feature)
        if text is None:
            unreadable += 1
            continue
        read += 1
        with_text += bool(text.lines)
        words.update(_words(text.text))
        if len(words) > DISTINCT_MAX:
            kept = Counter(dict(words.most_common(DISTINCT_MAX // 2)))
            dropped += len(words) - len(kept)
            words = kept
    ranked = sorted(words.items(), key=lambda item: (-item[1], item[0]))
    result: dict[str, Any] = {
        "on": True,
        "read": read,
        "with_text": with_text,
        "unreadable": unreadable,
        "not_read_yet": len(snapshot) - read - unreadable,
        "words": [{"word": word, "pictures": count} for word, count in ranked[:WORDS_SHOWN]],
    }
    if dropped:
        result["rare_words_dropped"] = dropped
    if outcome.error is not None:
        result["problem"] = outcome.error
    return result


def _words(text: str) -> set[str]:
    """Return the words of one picture, each once."""
    found = (word.lower() for word in _WORD.findall(text))
    return {word for word in found if WORD_MIN_CHARS <= len(word) <= WORD_MAX_CHARS}


TEXT_IN_PICTURES = Step(TEXT.name, VERSION, run)
