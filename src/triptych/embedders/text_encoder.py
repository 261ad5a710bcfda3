"""The port TextEncoder: texts to vectors that are compared with images' embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt


class TextEncoder(Protocol):
    """A text encoder whose vectors live in an image encoder's own space.

    What an asset keeps is therefore enough: a text is searched for as an image is, in the same
    column. Called from worker threads, any number of calls at a time.
    """

    @property
    def model(self) -> str:
        """Identity of the text side: of all that a text's vector depends on."""
        ...

    @property
    def image_model(self) -> str:
        """The `Embedder.model` whose embeddings, and no others', are compared with its vectors."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector: that of the image model's embeddings."""
        ...

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit vectors of shape (n, dimension).

        Any text has one, of whatever characters; what exceeds the model's context is cut off.
        A text's vector does not depend on the texts beside it.
        """
        ...

    def calibrate(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn inner products of texts and images into 0..1, in their order and shape.

        It reads as a probability that the image shows what the text says, and is comparable
        between texts of one encoder; how well depends on the encoder.
        """
        ...
