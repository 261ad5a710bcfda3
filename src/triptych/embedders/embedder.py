"""The port Embedder: images to vectors."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


class Embedder(Protocol):
    """An image encoder. Called from worker threads, one call at a time."""

    @property
    def model(self) -> str:
        """Identity of the model; embeddings of two models are never compared."""
        ...

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        ...

    @property
    def input_size(self) -> int:
        """Side of the square RGB input image, in pixels."""
        ...

    def embed(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return unit vectors of shape (n, dimension) for images of shape (n, size, size, 3)."""
        ...
