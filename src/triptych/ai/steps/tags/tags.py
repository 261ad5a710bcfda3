"""The step `tags`: tags from a vocabulary that users edit, for what pictures show.

The classification is zero-shot: nothing is trained. The texts of each tag become a vector in the
image encoder's space (`tag_directions`; the mean of several texts, as Radford et al., "Learning
Transferable Visual Models From Natural Language Supervision", 2021, average prompts), and a picture
gets the tags whose calibrated score is high enough that at least three of four are right.

Where it is not clear which kind of a tag a picture shows, it gets the tag itself: "clothing"
instead of a guess between shirt and sweater (Deng et al., "Hedging Your Bets", 2012).

The least scores were chosen on half of 1,961 labelled pictures (clothes worn and lying, groceries,
rooms, electronics, cut-outs, icons and logos). See ADR 49 for what they give on the other half.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.ai.context import StepResult
from triptych.ai.step import Snapshot, Step
from triptych.ai.steps.tags.face_tags import FaceTags, face_tags
from triptych.ai.steps.tags.tag_directions import TagDirections, directions
from triptych.ai.vocabulary import Vocabulary
from triptych.embedders.text_encoder import TextEncoder

SCORE_MIN = 0.7
"""Least calibrated score of a tag that is no kind and has none. At 0.5, 81 % of all tags of the
half for choosing are right; at 0.7, 89 %."""
PARENT_MIN = 0.39
"""Least calibrated score of a tag with kinds, whose vector is the mean of many and scores lower:
98 % of "clothing" is right at it, and 95 % of "fruit"."""
KIND_MIN = 0.84
"""Least calibrated score of a kind; below it, its parent is given."""
RIVAL = 0.3
"""Largest score of another kind of the same parent, as a share of the likeliest one's. Between
kinds that are nearer to each other, half of the choices are wrong, so the parent is given."""
GRAPHIC = 0.012
"""Least inner product with the direction of graphics (`TagDirections.graphic`) to be a logo, an
icon or a screenshot: of the half for tests 86 % of those, and 5 % of photographs."""
GRAPHIC_MIN = 0.97
"""Least calibrated score of any tag of a graphic. At 0.5, 13 % of the tags of icons and logos are
right, and no threshold makes many of them right: most get none."""
TAGS_OF_ONE = 5
"""The most tags of one picture, likeliest first."""
EXAMINED = 4 * TAGS_OF_ONE
"""Tags of one picture that are examined, likeliest first."""
EXAMPLES = 3
"""The most example assets of each tag, likeliest first."""
BLOCK_ROWS = 2_048
"""Pictures compared with the whole vocabulary at a time: 10 MB of 1280-d vectors in single
precision, and 16 MB of scores for 2,000 tags."""

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


def find_tags(snapshot: Snapshot) -> StepResult:
    """Mark the snapshot's pictures with tags.

    Where people are looked for, pictures with a face get "person", and close-ups "face", if the
    vocabulary has these tags. Pictures without an embedding get no tags. Without a text encoder
    nothing is tagged, and `text_model` in the result is null. The order of the assets does not
    matter.

    The result::

        tags          most frequent first: {tag, count, score, examples: [key, …]}; score: the mean
                      of those counted; only tags that occur
        tagged        pictures with at least one tag
        untagged      embedded pictures without a tag
        text_model    the model of the texts' vectors
        vocabulary    {tags: how many, digest: the SHA-256 that identifies it}
        unknown_tags  tags that are never given because the text encoder does not know them
        threshold     the least score of a tag that is no kind and has none

    Marks: `tags`, the likeliest first.

    Raises:
        SettingsError: the vocabulary is invalid.
        ValueError: the text encoder does not belong to the model that embedded the snapshot.
    """
    vocabulary = snapshot.context.vocabulary()
    encoder = snapshot.context.text() if snapshot.model is not None else None
    if encoder is None:
        return StepResult(_result(snapshot, vocabulary, None, _Hits(), 0))
    if encoder.image_model != snapshot.model:
        message = (
            f"the snapshot was embedded by {snapshot.model}, and texts are encoded for "
            f"{encoder.image_model}: embed the brand again"
        )
        raise ValueError(message)
    known = directions(encoder, vocabulary)
    names = [tag.name for tag in vocabulary.tags]
    faces = face_tags(snapshot, names)
    hits = _find(snapshot, encoder, known, faces)
    marks: list[list[str] | None] = [None] * len(snapshot)
    for row, tag in zip(hits.rows.tolist(), hits.tags.tolist(), strict=True):
        given = marks[row]
        if given is None:
            marks[row] = [names[tag]]
        else:
            given.append(names[tag])
    never = ~known.known
    never[faces.given] = False
    unknown = int(never.sum())
    return StepResult(_result(snapshot, vocabulary, encoder.model, hits, unknown), {"tags": marks})


TAGS = Step("tags", 3, find_tags)


class _Hits:
    """Tags by picture, each picture's likeliest first."""

    def __init__(self) -> None:
        self.rows: Indices = np.empty(0, np.intp)
        self.tags: Indices = np.empty(0, np.intp)
        self.scores: Floats = np.empty(0, np.float32)


def _find(
    snapshot: Snapshot, encoder: TextEncoder, directions: TagDirections, faces: FaceTags
) -> _Hits:
    alike = directions.alike.copy()
    alike[faces.given] = alike[:, faces.given] = False
    parts: list[tuple[Indices, Indices, Floats]] = []
    count = len(snapshot.embeddings)
    for start in range(0, count, BLOCK_ROWS):
        block = snapshot.embeddings[start : start + BLOCK_ROWS].astype(np.float32)
        scores = np.asarray(encoder.calibrate(block @ directions.vectors.T), np.float32)
        graphic = np.zeros(len(block), np.bool_)
        if directions.graphic is not None:
            graphic = block @ directions.graphic >= GRAPHIC
        _leave_out_doubtful(scores, directions, graphic)
        faces.put_into(scores, start)
        # A stable sort: the vocabulary's order breaks ties.
        best = np.argsort(-scores, axis=1, kind="stable")[:, :EXAMINED]
        values = np.take_along_axis(scores, best, axis=1)
        given = values > 0
        for rank in range(1, best.shape[1]):
            before = best[:, :rank]
            given[:, rank] &= ~(alike[best[:, rank], before.T].T & given[:, :rank]).any(axis=1)
        given &= given.cumsum(axis=1) <= TAGS_OF_ONE
        at, rank_of = np.nonzero(given)
        parts.append((snapshot.embedded[start + at], best[at, rank_of], values[at, rank_of]))
        snapshot.context.progress((start + len(block)) / count)
    hits = _Hits()
    if parts:
        hits.rows = np.concatenate([rows for rows, _, _ in parts])
        hits.tags = np.concatenate([tags for _, tags, _ in parts])
        hits.scores = np.concatenate([scores for _, _, scores in parts])
    return hits


def _leave_out_doubtful(
    scores: Floats, directions: TagDirections, graphic: npt.NDArray[np.bool_]
) -> None:
    """Set the scores of the tags that a picture does not get to 0."""
    parents = directions.parents
    least = np.full(parents.size, SCORE_MIN, np.float32)
    least[parents >= 0] = KIND_MIN
    for parent in np.unique(parents[parents >= 0]):
        least[parent] = PARENT_MIN
        kinds = np.flatnonzero((parents == parent) & directions.known)
        if not kinds.size:
            continue
        of_kinds = scores[:, kinds]
        # Only the likeliest kind may be given, and only if no other is nearly as likely.
        order = np.argsort(-of_kinds, axis=1, kind="stable")
        first = kinds[order[:, 0]]
        rows = np.arange(len(scores))
        top = scores[rows, first]
        clear = top >= np.where(graphic, GRAPHIC_MIN, KIND_MIN)
        if kinds.size > 1:
            clear &= of_kinds[rows, order[:, 1]] <= RIVAL * top
        scores[:, kinds] = 0
        scores[rows[clear], first[clear]] = top[clear]
        scores[clear, parent] = 0
    scores[scores < np.where(graphic[:, None], np.maximum(least, GRAPHIC_MIN), least)] = 0
    scores[:, ~directions.known] = 0


def _result(
    snapshot: Snapshot, vocabulary: Vocabulary, model: str | None, hits: _Hits, unknown: int
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
        "unknown_tags": unknown,
        "threshold": SCORE_MIN,
    }
