"""The port TextEncoder: texts to vectors that are compared with images' embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt


class TextEncoder(Protocol):
    """A text encoder whose vectors are in an image encoder's own space.

    So the stored embeddings are enough: a text is searched for like an image, in the same column.
    Called from worker threads, any number of calls at a time.
    """

    @property
    def model(self) -> str:
        """Identity of the text encoder: of everything that a text's vector depends on."""
        ...

    @property
    def image_model(self) -> str:
        """The `Embedder.model` whose embeddings may be compared with its vectors."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector: that of the image model's embeddings."""
        ...

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit vectors of shape (n, dimension).

        Every text has a vector; texts longer than the model's context are truncated. A text's
        vector does not depend on the other texts.
        """
        ...

    def calibrate(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn inner products of texts and images into scores of 0..1, in the same shape.

        A score reads as a probability that the image shows what the text says, and is comparable
        between texts of one encoder; how well depends on the encoder.
        """
        ...
