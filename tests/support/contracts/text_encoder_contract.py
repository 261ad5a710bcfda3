"""What every adapter of the port TextEncoder must do. A subclass gives the fixture ``pair``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

from triptych.embedders.embedder import Embedder
from triptych.embedders.text_encoder import TextEncoder

TEXTS = ["red", "a green thing", "flower", "blue"]
ODD = [
    "",
    " \n\t",
    "\x00",
    "\ud800 lone surrogate",
    "word " * 50_000,
    "🏛️ 寺 מקדש",
    "<script>{}%s[CLS][SEP]<|endoftext|>",
]


@dataclass(frozen=True)
class Pair:
    """A text encoder, its image encoder, and pictures that texts tell apart."""

    text: TextEncoder
    image: Embedder
    pictures: dict[str, np.ndarray]
    """By the text that says what is in it; of the image encoder's input size."""


class TextEncoderContract:
    """Texts become vectors of one image encoder's space, whatever they are."""

    def test_a_text_finds_its_picture_first(self, pair: Pair) -> None:
        embeddings = pair.image.embed(np.stack(list(pair.pictures.values())))
        scores = pair.text.encode(list(pair.pictures)) @ embeddings.T
        assert scores.argmax(axis=1).tolist() == list(range(len(pair.pictures)))

    def test_its_vectors_are_of_the_image_models_space(self, pair: Pair) -> None:
        assert pair.text.image_model == pair.image.model
        assert pair.text.model != pair.image.model
        assert pair.text.dimension == pair.image.dimension
        vectors = pair.text.encode(TEXTS)
        assert (vectors.shape, vectors.dtype) == ((4, pair.image.dimension), np.dtype(np.float32))
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_a_vector_does_not_depend_on_the_texts_beside_it(self, pair: Pair) -> None:
        together = pair.text.encode([*TEXTS, *TEXTS[::-1]])
        alone = np.concatenate([pair.text.encode([text]) for text in TEXTS])
        np.testing.assert_allclose(together[:4], alone, atol=1e-5)
        np.testing.assert_allclose(together[4:], alone[::-1], atol=1e-5)

    def test_no_texts_are_no_vectors(self, pair: Pair) -> None:
        assert pair.text.encode([]).shape == (0, pair.text.dimension)

    @pytest.mark.parametrize("odd", ODD, ids=lambda odd: ascii(odd)[:20])
    def test_g9_any_text_has_a_unit_vector(self, pair: Pair, odd: str) -> None:
        vectors = pair.text.encode([odd])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_several_threads_get_what_one_gets(self, pair: Pair) -> None:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda text: pair.text.encode([text])[0], TEXTS * 3))
        np.testing.assert_allclose(found, np.tile(pair.text.encode(TEXTS), (3, 1)), atol=1e-5)

    def test_calibrated_scores_keep_their_order_within_0_and_1(self, pair: Pair) -> None:
        scores = np.linspace(-1, 1, 41, dtype=np.float32).reshape(1, 41)
        found = pair.text.calibrate(scores)
        assert (found.shape, found.dtype) == ((1, 41), np.dtype(np.float32))
        assert (np.diff(found) >= 0).all()
        assert 0 <= found.min() < 0.1 < 0.9 < found.max() <= 1
