"""Text encoders: a graph and a tokenizer; vectors in an image encoder's space."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from triptych.embedders.description import PLACE, TextDescription
from triptych.embedders.embedder import Embedder
from triptych.embedders.inference import first_line, load_graph, unit
from triptych.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEXT_NAMES = ("text_embeds", "text_embedding", "sentence_embedding", "embedding", "pooler_output")
SEGMENTS = "token_type_ids"
BATCH = 32
"""Texts in one call: only texts of equal length, which need no padding."""
TEXT_MAX_CHARS = 10_000
"""Longer than any context; more characters would only cost time."""
ID_CHARS = 12


class TextModel:
    """A graph and its tokenizer: texts to unit vectors.

    Args:
        folder: folder of the files that the description names.
        text: the description.
        threads: how many threads one call uses.
        tokenizer: where its file is, if not in ``folder``.

    Raises:
        ModelError: a file cannot be loaded, or the graph needs an unknown input.
    """

    def __init__(
        self, folder: Path, text: TextDescription, *, threads: int, tokenizer: Path | None = None
    ) -> None:
        path = folder / text.model
        self._text = text
        self._graph = load_graph(path, threads=threads, external_data=text.external_data)
        self._tokenizer, tokens = _tokenizer(tokenizer or folder / text.tokenizer, text.context)
        self._inputs = self._find_inputs()
        self._output = self._graph.output(text.output, TEXT_NAMES)
        digest = self._graph.digest.copy()
        digest.update(tokens)
        # Left out where it changes nothing: models without it keep their identity.
        plain = set() if text.lowercase else {"lowercase"}
        meaning = text.model_dump(mode="json", exclude={"model", "tokenizer", *plain})
        digest.update(json.dumps(meaning, sort_keys=True).encode())
        self.model = f"{path.stem}-{digest.hexdigest()[:ID_CHARS]}"
        self.dimension = int(self.encode([""]).shape[1])

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit vectors of shape (n, dimension); a text's does not depend on the others.

        Raises:
            ModelError: the graph fails, or its output is not a vector.
        """
        tokens = [self._tokens(text) for text in texts]
        by_length: dict[int, list[int]] = defaultdict(list)
        for row, ids in enumerate(tokens):
            by_length[self._length(ids)].append(row)
        vectors: dict[int, npt.NDArray[np.float32]] = {}
        for rows in by_length.values():
            for start in range(0, len(rows), BATCH):
                part = rows[start : start + BATCH]
                vectors.update(zip(part, self._run([tokens[row] for row in part]), strict=True))
        if not vectors:
            return np.empty((0, self.dimension), np.float32)
        return np.stack([vectors[row] for row in range(len(tokens))])

    def _length(self, ids: Sequence[int]) -> int:
        """Return how many tokens a text has for the graph."""
        return self._text.context if self._text.padding == "context" else len(ids)

    def _tokens(self, text: str) -> list[int]:
        filled = self._text.template.replace(PLACE, text[:TEXT_MAX_CHARS])
        # A tokenizer does not accept lone surrogates.
        clean = filled.encode("utf-8", "replace").decode("utf-8")
        if self._text.lowercase:
            clean = clean.lower()
        ids: list[int] = self._tokenizer.encode(clean).ids
        return ids or [self._text.pad_id]

    def _run(self, tokens: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        length = self._length(tokens[0])
        ids = np.full((len(tokens), length), self._text.pad_id, np.int64)
        mask = np.zeros((len(tokens), length), np.int64)
        for row, of_text in enumerate(tokens):
            ids[row, : len(of_text)] = of_text
            mask[row, : len(of_text)] = 1
        given = {self._text.input_ids: ids, self._text.attention_mask: mask}
        feeds: dict[str, npt.NDArray[Any]] = {
            name: given.get(name, np.zeros_like(ids)).astype(dtype)
            for name, dtype in self._inputs.items()
        }
        found = self._graph.run(self._output, feeds)
        vectors = self._pool(found, mask)
        if vectors.ndim != 2 or len(vectors) != len(tokens) or not np.isfinite(vectors).all():
            raise ModelError(
                f"The output {self._output!r} of {self._graph.name}, of shape {found.shape}, "
                "is not one vector per text.",
                remedy="Name another as text.output in the description, or text.pooling.",
            )
        return unit(vectors)

    def _pool(
        self, found: npt.NDArray[np.float32], mask: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        if found.ndim != 3 or self._text.pooling is None:
            return found
        if self._text.pooling == "cls":
            return np.asarray(found[:, 0])
        weights = mask[:, :, None].astype(np.float32)
        return np.asarray((found * weights).sum(axis=1) / weights.sum(axis=1))

    def _find_inputs(self) -> dict[str, type[np.generic]]:
        dtypes: dict[str, type[np.generic]] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
        known = (self._text.input_ids, self._text.attention_mask, SEGMENTS)
        found: dict[str, type[np.generic]] = {}
        for item in self._graph.session.get_inputs():
            if item.name not in known or item.type not in dtypes:
                raise ModelError(
                    f"{self._graph.name} is not a text encoder: it takes {item.name} {item.type}.",
                    remedy="Token ids and a mask are expected; give other names with "
                    "text.input_ids and text.attention_mask in the description.",
                )
            found[item.name] = dtypes[item.type]
        if self._text.input_ids not in found:
            raise ModelError(
                f"{self._graph.name} takes no {self._text.input_ids!r}.",
                remedy="Name its input of token ids as text.input_ids in the description.",
            )
        return found


class OnnxTextEncoder:
    """The text encoder of a CLIP, SigLIP or similar model, next to its image encoder.

    Raises:
        ModelError: it cannot be used, or its vectors do not have the image encoder's length.
    """

    def __init__(
        self, folder: Path, text: TextDescription, embedder: Embedder, *, threads: int
    ) -> None:
        self._tower = TextModel(folder, text, threads=threads)
        self._text = text
        self._image_model = embedder.model
        if self._tower.dimension != embedder.dimension:
            raise ModelError(
                f"{text.model} gives {self._tower.dimension} numbers, the image encoder "
                f"{embedder.dimension}: they are not of one model.",
                remedy="Name the encoders of one model, and their projected outputs.",
            )

    @property
    def model(self) -> str:
        """The text encoder's file and a hash of everything that a text's vector depends on."""
        return self._tower.model

    @property
    def image_model(self) -> str:
        """The image encoder's model."""
        return self._image_model

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._tower.dimension

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit vectors of shape (n, dimension)."""
        return self._tower.encode(texts)

    def calibrate(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the sigmoid of the scores under the model's own scale and bias."""
        return sigmoid(scores, self._text.logit_scale, self._text.logit_bias)


def sigmoid(scores: npt.NDArray[np.float32], scale: float, bias: float) -> npt.NDArray[np.float32]:
    """Return 1 / (1 + exp(-(scores × scale + bias))), without overflow."""
    logits = np.asarray(scores, np.float64) * scale + bias
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), dtype=np.float32)


def _tokenizer(path: Path, context: int) -> tuple[Tokenizer, bytes]:
    """Load a tokenizer; return it and the hash of its file."""
    # Imported only where texts are encoded.
    from tokenizers import Tokenizer

    try:
        content = path.read_bytes()
        tokenizer = Tokenizer.from_buffer(content)
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length=context)
    except Exception as error:
        # The library raises bare Exception.
        raise ModelError(
            f"{path.name} cannot be loaded as a tokenizer ({first_line(error)}).",
            remedy="Use the tokenizer.json of Hugging Face's tokenizers.",
        ) from error
    return tokenizer, hashlib.sha256(content).digest()
