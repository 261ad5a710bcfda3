"""The directions of tags in the space of pictures, and which tags the encoder knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from triptych.ai.vocabulary import Vocabulary
from triptych.embedders.text_encoder import TextEncoder

KNOWN_MIN = 0.55
"""Least likeness of one of a tag's texts to what the encoder knows. The bundled encoder mixes the
classes nearest a text, and a text that is near none becomes a detector of everything: "shorts"
(0.48) was given to 114 of 324 pictures of sportswear that show none. People ("person" 0.44, "face"
0.45, "crowd" 0.26, "hand" 0.46) are none of its classes either. Of the tags of 987
labelled pictures 44 % were right, and 52 % without the tags below this value."""
GRAPHIC_TEXTS = (
    "puck, hockey puck",
    "nematode, nematode worm, roundworm",
    "hourglass",
    "panpipe, pandean pipe, syrinx",
    "maze, labyrinth",
    "bolo tie, bolo, bola tie, bola",
)
"""Classes of the bundled encoder that logos, icons and page screenshots resemble, and photographs
do not: simple shapes on a plain ground. Chosen one by one on half of 471 graphics and 1,203
photographs; on the other half the area under the curve is 0.97."""
ALIKE = 0.5
"""Least cosine of two tags' directions to the bundled encoder for the likelier one to stand for
both: what looks like a microwave looks like a dishwasher, too."""
KEPT = 2
"""Cached vocabularies, each encoded by one text encoder."""

Floats = npt.NDArray[np.float32]


@runtime_checkable
class LimitedEncoder(Protocol):
    """A text encoder that knows only some things: the bundled one, by the names of its classes."""

    def known(self, texts: Sequence[str]) -> Floats:
        """Return how near each text is to what the encoder knows, at most 1."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class TagDirections:
    """What a vocabulary looks like to one encoder. Row ``i`` of each array is tag ``i``."""

    vectors: Floats
    """(n, d) unit vectors: the mean of each tag's texts; for a tag with kinds, of theirs as
    well."""
    known: npt.NDArray[np.bool_]
    """(n,): whether the encoder knows the tag. Others are never given."""
    parents: npt.NDArray[np.intp]
    """(n,): the tag that each is a kind of, or -1."""
    alike: npt.NDArray[np.bool_]
    """(n, n): which tags are too alike for a picture to get both. None are for encoders that know
    anything, whose directions all have small angles."""
    graphic: Floats | None
    """(d,): what graphics resemble; None where the encoder knows anything, and its scores of
    graphics are like those of photographs."""


def directions(encoder: TextEncoder, vocabulary: Vocabulary) -> TagDirections:
    """Return the tags' directions.

    They are cached for the next brand: encoding takes longer than the step for most brands.
    """
    key = (encoder.model, encoder.image_model, vocabulary.digest)
    found = _directions.get(key)
    if found is None:
        found = _encoded(encoder, vocabulary)
        while len(_directions) >= KEPT:
            _directions.pop(next(iter(_directions)), None)
        _directions[key] = found
    return found


_directions: dict[tuple[str, str, str], TagDirections] = {}


def _encoded(encoder: TextEncoder, vocabulary: Vocabulary) -> TagDirections:
    texts = [text for tag in vocabulary.tags for text in tag.texts]
    starts = np.cumsum([0, *(len(tag.texts) for tag in vocabulary.tags[:-1])])
    vectors = _unit(np.add.reduceat(encoder.encode(texts), starts, axis=0))
    known = np.ones(len(vectors), np.bool_)
    limited = isinstance(encoder, LimitedEncoder)
    graphic: Floats | None = None
    if isinstance(encoder, LimitedEncoder):
        known = np.maximum.reduceat(encoder.known(texts), starts) >= KNOWN_MIN
        graphic = encoder.encode(GRAPHIC_TEXTS).mean(axis=0)
    row_of = {tag.name: row for row, tag in enumerate(vocabulary.tags)}
    above = [-1 if tag.parent is None else row_of[tag.parent] for tag in vocabulary.tags]
    parents = np.array(above, np.intp)
    sums = vectors * known[:, None]
    for kind in np.flatnonzero((parents >= 0) & known):
        sums[parents[kind]] += vectors[kind]
        known[parents[kind]] = True
    vectors = _unit(np.where(known[:, None], sums, vectors))
    alike = (vectors @ vectors.T >= ALIKE) & limited
    for array in (vectors, known, parents, alike):
        array.flags.writeable = False
    return TagDirections(vectors, known, parents, alike, graphic)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
