"""Any ONNX image encoder as an embedder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from triptych.errors import ModelError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
DEFAULT_SIDE = 224
RGB = 3
RANK = 4
ID_CHARS = 12
SMALLEST_NORM = 1e-12
EMBEDDING_NAMES = ("embedding", "image_embeds", "image_embedding", "pooler_output")


@dataclass(frozen=True, slots=True)
class _Input:
    """How a graph wants its images."""

    name: str
    channels_first: bool
    side: int
    dtype: type[np.generic]


class OnnxEmbedder:
    """An image encoder run by ONNX Runtime on the CPU.

    Layout, size and type of the input are read from the graph. A uint8 input gets the pixels as
    they are: such a graph normalises by itself. A float input gets (pixels / 255 - mean) / std,
    with ImageNet's figures unless a file ``<model>.json`` beside the model says otherwise:
    ``{"mean": [r, g, b], "std": [r, g, b], "output": "name"}``.

    Args:
        path: the ONNX file.
        threads: how many threads one call uses.

    Raises:
        ModelError: the file cannot be loaded, or is no image encoder.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        self._description = _describe(path)
        self._session = _load(path, threads)
        self._input = _find_input(self._session, path)
        self._output = self._find_output(path)
        # The description is part of what the embeddings mean.
        content = path.read_bytes() + json.dumps(self._description, sort_keys=True).encode()
        self._model = f"{path.stem}-{hashlib.sha256(content).hexdigest()[:ID_CHARS]}"
        self._mean = _triple(self._description, "mean", IMAGENET_MEAN, path)
        self._std = _triple(self._description, "std", IMAGENET_STD, path)
        side = self._input.side
        self._dimension = int(self.embed(np.zeros((1, side, side, RGB), np.uint8)).shape[1])

    @property
    def model(self) -> str:
        """The file's name and the head of its content's SHA-256."""
        return self._model

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        return self._dimension

    @property
    def input_size(self) -> int:
        """Side of the square RGB image it takes, in pixels."""
        return self._input.side

    def embed(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return unit vectors of shape (n, dimension); images have shape (n, size, size, 3).

        Raises:
            ModelError: the graph fails, or gives what is no embedding.
        """
        try:
            (found,) = self._session.run([self._output], {self._input.name: self._prepare(images)})
        except Exception as error:
            # ONNX Runtime's exceptions have no common base of their own.
            raise ModelError(f"The embedding model failed ({_first_line(error)}).") from error
        vectors = np.asarray(found, dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(images) or not np.isfinite(vectors).all():
            raise ModelError(
                f"The model's output {self._output!r} of shape {vectors.shape} is no embedding.",
                remedy='Name another with {"output": "…"} in the JSON file beside the model.',
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(norms, SMALLEST_NORM), dtype=np.float32)

    def _prepare(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        batch: npt.NDArray[Any] = images
        if self._input.dtype is not np.uint8:
            scaled = (images.astype(np.float32) / 255.0 - self._mean) / self._std
            batch = scaled.astype(self._input.dtype)
        if self._input.channels_first:
            batch = batch.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(batch)

    def _find_output(self, path: Path) -> str:
        names = [output.name for output in self._session.get_outputs()]
        wanted = self._description.get("output")
        if wanted is not None:
            if wanted not in names:
                raise ModelError(
                    f"{path.name} has no output {wanted!r}.", remedy=f"It has: {', '.join(names)}."
                )
            return str(wanted)
        known = [name for name in EMBEDDING_NAMES if name in names]
        return known[0] if known else str(names[0])


def _load(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Waiting threads would burn the processor that decoding and fetching need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime's exceptions have no common base of their own.
        raise ModelError(
            f"{path} cannot be loaded as an ONNX model ({_first_line(error)}).",
            remedy="Set TRIPTYCH_EMBEDDER to an ONNX image encoder, `bundled` or `none`.",
        ) from error


def _find_input(session: ort.InferenceSession, path: Path) -> _Input:
    inputs = session.get_inputs()
    shape = inputs[0].shape if inputs else []
    dtypes: dict[str, type[np.generic]] = {
        "tensor(uint8)": np.uint8,
        "tensor(float)": np.float32,
        "tensor(float16)": np.float16,
    }
    dtype = dtypes.get(inputs[0].type) if inputs else None
    if len(inputs) != 1 or len(shape) != RANK or RGB not in (shape[1], shape[3]) or not dtype:
        raise ModelError(
            f"{path.name} is no image encoder: it takes "
            + ("; ".join(f"{i.name} {i.type} {i.shape}" for i in inputs) or "nothing")
            + ".",
            remedy="One input is wanted: batch × 3 × H × W or batch × H × W × 3.",
        )
    channels_first = shape[1] == RGB
    height, width = (shape[2], shape[3]) if channels_first else (shape[1], shape[2])
    if isinstance(height, int) and isinstance(width, int) and height != width:
        raise ModelError(f"{path.name} takes {width}×{height} pixels; a square is wanted.")
    side = height if isinstance(height, int) else DEFAULT_SIDE
    return _Input(inputs[0].name, channels_first, side, dtype)


def _describe(path: Path) -> dict[str, Any]:
    beside = path.with_name(f"{path.name}.json")
    if not beside.is_file():
        return {}
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{beside} cannot be read as JSON ({error}).") from error
    if not isinstance(found, dict):
        raise ModelError(f"{beside} is no JSON object.")
    return found


def _triple(
    description: dict[str, Any], name: str, default: tuple[float, ...], path: Path
) -> npt.NDArray[np.float32]:
    value = description.get(name, default)
    try:
        triple = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path.name}.json: {name} must be three numbers.") from error
    if triple.shape != (RGB,) or not np.isfinite(triple).all():
        raise ModelError(f"{path.name}.json: {name} must be three numbers.")
    return triple


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
