"""The step `tags`: tags from a vocabulary that users edit, for what pictures show.

The classification is zero-shot: nothing is trained. The texts of each tag become a vector in the
image encoder's space (`TextEncoder`; the mean of several texts, as Radford et al., "Learning
Transferable Visual Models From Natural Language Supervision", 2021, average prompts), and a picture
gets the tags whose calibrated score is at least `SCORE_MIN`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.ai.context import StepResult
from triptych.ai.step import Snapshot, Step
from triptych.ai.vocabulary import Vocabulary
from triptych.embedders.text_encoder import TextEncoder

SCORE_MIN = 0.5
"""Least calibrated score: about the share of pictures with that score that show the tag."""
TAGS_OF_ONE = 5
"""The most tags of one picture, likeliest first."""
EXAMPLES = 3
"""The most example assets of each tag, likeliest first."""
BLOCK_ROWS = 2_048
"""Pictures compared with the whole vocabulary at a time: 10 MB of 1280-d vectors in single
precision, and 16 MB of scores for 2,000 tags."""

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


def find_tags(snapshot: Snapshot) -> StepResult:
    """Mark the snapshot's pictures with tags.

    Pictures without an embedding get no tags. Without a text encoder nothing is tagged, and
    `text_model` in the result is null. The order of the assets does not matter.

    The result::

        tags          most frequent first: {tag, count, score, examples: [key, …]}; score: the mean
                      of those counted; only tags that occur
        tagged        pictures with at least one tag
        untagged      embedded pictures without a tag
        text_model    the model of the texts' vectors
        vocabulary    {tags: how many, digest: the SHA-256 that identifies it}
        threshold     the least score of a tag

    Marks: `tags`, the likeliest first.

    Raises:
        SettingsError: the vocabulary is invalid.
        ValueError: the text encoder does not belong to the model that embedded the snapshot.
    """
    vocabulary = snapshot.context.vocabulary()
    encoder = snapshot.context.text() if snapshot.model is not None else None
    if encoder is None:
        return StepResult(_result(snapshot, vocabulary, None, _Hits()))
    if encoder.image_model != snapshot.model:
        message = (
            f"the snapshot was embedded by {snapshot.model}, and texts are encoded for "
            f"{encoder.image_model}: embed the brand again"
        )
        raise ValueError(message)
    hits = _find(snapshot, encoder, directions(encoder, vocabulary))
    names = [tag.name for tag in vocabulary.tags]
    marks: list[list[str] | None] = [None] * len(snapshot)
    for row, tag in zip(hits.rows.tolist(), hits.tags.tolist(), strict=True):
        given = marks[row]
        if given is None:
            marks[row] = [names[tag]]
        else:
            given.append(names[tag])
    return StepResult(_result(snapshot, vocabulary, encoder.model, hits), {"tags": marks})


TAGS = Step("tags", 1, find_tags)


class _Hits:
    """Tags by picture, each picture's likeliest first."""

    def __init__(self) -> None:
        self.rows: Indices = np.empty(0, np.intp)
        self.tags: Indices = np.empty(0, np.intp)
        self.scores: Floats = np.empty(0, np.float32)


def directions(encoder: TextEncoder, vocabulary: Vocabulary) -> Floats:
    """Return a unit vector for each tag: the mean of its texts' vectors.

    The result is cached for the next brand: encoding takes longer than the step for most brands.
    """
    key = (encoder.model, encoder.image_model, vocabulary.digest)
    known = _directions.get(key)
    if known is None:
        known = _encoded(encoder, vocabulary)
        known.flags.writeable = False
        while len(_directions) >= DIRECTIONS_KEPT:
            _directions.pop(next(iter(_directions)), None)
        _directions[key] = known
    return known


DIRECTIONS_KEPT = 2
"""Cached vocabularies, each encoded by one text encoder."""
_directions: dict[tuple[str, str, str], Floats] = {}


def _encoded(encoder: TextEncoder, vocabulary: Vocabulary) -> Floats:
    texts = [text for tag in vocabulary.tags for text in tag.texts]
    starts = np.cumsum([0, *(len(tag.texts) for tag in vocabulary.tags[:-1])])
    sums = np.add.reduceat(encoder.encode(texts), starts, axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def _find(snapshot: Snapshot, encoder: TextEncoder, directions: Floats) -> _Hits:
    parts: list[tuple[Indices, Indices, Floats]] = []
    count = len(snapshot.embeddings)
    for start in range(0, count, BLOCK_ROWS):
        block = snapshot.embeddings[start : start + BLOCK_ROWS].astype(np.float32)
        scores = encoder.calibrate(block @ directions.T)
        # A stable sort: the vocabulary's order breaks ties.
        best = np.argsort(-scores, axis=1, kind="stable")[:, :TAGS_OF_ONE]
        values = np.take_along_axis(scores, best, axis=1)
        at, rank = np.nonzero(values >= SCORE_MIN)
        parts.append((snapshot.embedded[start + at], best[at, rank], values[at, rank]))
        snapshot.context.progress((start + len(block)) / count)
    hits = _Hits()
    if parts:
        hits.rows = np.concatenate([rows for rows, _, _ in parts])
        hits.tags = np.concatenate([tags for _, tags, _ in parts])
        hits.scores = np.concatenate([scores for _, _, scores in parts])
    return hits


def _result(
    snapshot: Snapshot, vocabulary: Vocabulary, model: str | None, hits: _Hits
) -> dict[str, Any]:
    counts = np.bincount(hits.tags, minlength=len(vocabulary.tags))
    sums = np.bincount(hits.tags, hits.scores, minlength=len(vocabulary.tags))
    keys = snapshot.keys[hits.rows].view(f"S{snapshot.keys.shape[1]}").ravel()
    # Grouped by tag, best score first; keys break ties whatever the order of the assets.
    order = np.lexsort((keys, -hits.scores, hits.tags))
    starts = np.searchsorted(hits.tags[order], np.arange(len(vocabulary.tags)))

    def described(tag: int) -> dict[str, Any]:
        shown = order[starts[tag] : starts[tag] + min(EXAMPLES, int(counts[tag]))]
        return {
            "tag": vocabulary.tags[tag].name,
            "count": int(counts[tag]),
            "score": round(float(sums[tag] / counts[tag]), 3),
            "examples": [snapshot.key(row) for row in hits.rows[shown]],
        }

    tagged = int(np.unique(hits.rows).size)
    frequent = sorted(np.flatnonzero(counts).tolist(), key=lambda tag: (-counts[tag], tag))
    return {
        "tags": [described(tag) for tag in frequent],
        "tagged": tagged,
        "untagged": len(snapshot.embedded) - tagged,
        "text_model": model,
        "vocabulary": {"tags": len(vocabulary.tags), "digest": vocabulary.digest},
        "threshold": SCORE_MIN,
    }
