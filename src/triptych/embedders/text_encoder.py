"""The port TextEncoder: texts to vectors comparable with images' embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt


class TextEncoder(Protocol):
    """A text encoder whose vectors live in an image encoder's own space.

    So the stored embedding of an asset is enough: text and image queries use the same column.
    Called from worker threads, any number of calls at a time.
    """

    @property
    def model(self) -> str:
        """Identity of the text encoder: of everything that a text's vector depends on."""
        ...

    @property
    def image_model(self) -> str:
        """The only `Embedder.model` whose embeddings are comparable with its vectors."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector: that of the image model's embeddings."""
        ...

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit vectors of shape (n, dimension).

        Every text has a vector, whatever its characters; text beyond the model's context is cut
        off. A text's vector does not depend on the other texts of the call.
        """
        ...

    def calibrate(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map inner products of texts and images to 0..1, keeping their order and shape.

        The result reads as a probability that the image shows what the text says, and is comparable
        between texts of one encoder; how well depends on the encoder.
        """
        ...
