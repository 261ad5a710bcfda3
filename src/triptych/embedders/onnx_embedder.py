"""Any ONNX image encoder as an embedder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from triptych.embedders.description import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Description,
    Pooling,
    read_description,
)
from triptych.embedders.devices import SAME_MODEL_COSINE, Device, Execution
from triptych.embedders.inference import ON_CPU, Graph, load_graph, unit
from triptych.embedders.sample_pictures import sample_pictures
from triptych.errors import ModelError

if TYPE_CHECKING:
    import onnxruntime as ort

SCALE = 1 / 255
DEFAULT_SIDE = 224
RGB = 3
RANK = 4
ID_CHARS = 12
EMBEDDING_NAMES = ("embedding", "image_embeds", "image_embedding", "pooler_output")


@dataclass(frozen=True, slots=True)
class _Input:
    """A graph's input format."""

    name: str
    channels_first: bool
    side: int
    dtype: type[np.generic]


class OnnxEmbedder:
    """An image encoder run by ONNX Runtime.

    Layout, size and type of the input are read from the graph. A uint8 input gets the pixels
    unchanged: such a graph normalises them itself. A float input gets (pixels × scale - mean) /
    std, with 1/255 and ImageNet's figures. The description file next to the model overrides them
    (`triptych.embedders.description`).

    On another device than the CPU, both embed the sample pictures once, here. Vectors that differ
    by more than `SAME_MODEL_COSINE` allows are another model's: its identity names the device.

    Args:
        path: the ONNX file.
        threads: how many threads one call uses on the CPU.
        execution: the device, and the numbers that it calculates with.

    Raises:
        ModelError: the file cannot be loaded, is not an image encoder, or its description is wrong.
    """

    def __init__(self, path: Path, *, threads: int, execution: Execution = ON_CPU) -> None:
        self._description = read_description(path)
        self._execution = execution
        external = self._description.external_data
        self._graph = load_graph(path, threads=threads, external_data=external, execution=execution)
        self._input = _find_input(self._graph.session, path, self._description)
        self._output = self._graph.output(self._description.output, EMBEDDING_NAMES)
        # The description is part of what the embeddings mean.
        digest = self._graph.digest.copy()
        digest.update(json.dumps(self._description.of_images(), sort_keys=True).encode())
        self._model = f"{path.stem}-{digest.hexdigest()[:ID_CHARS]}"
        self._scale = np.float32(self._description.scale or SCALE)
        self._mean = np.array(self._description.mean or IMAGENET_MEAN, np.float32)
        self._std = np.array(self._description.std or IMAGENET_STD, np.float32)
        side = self._input.side
        self._dimension = int(self.embed(np.zeros((1, side, side, RGB), np.uint8)).shape[1])
        self._likeness: float | None = None
        if execution.device is not Device.CPU:
            on_cpu = load_graph(path, threads=threads, external_data=external)
            self._likeness = self._compare(on_cpu)
            if self._likeness < SAME_MODEL_COSINE:
                self._model = f"{self._model}-{execution.name}"

    @property
    def model(self) -> str:
        """The file's name and the first digits of its SHA-256, including its description.

        With the device's name behind it, if that one's vectors are not the CPU's.
        """
        return self._model

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        return self._dimension

    @property
    def input_size(self) -> int:
        """Side of the square RGB image it takes, in pixels."""
        return self._input.side

    @property
    def execution(self) -> Execution:
        """How it is run."""
        return self._execution

    @property
    def likeness(self) -> float | None:
        """The smallest cosine of a sample picture's vector with the CPU's; None on the CPU."""
        return self._likeness

    def embed(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return unit vectors of shape (n, dimension); images have shape (n, size, size, 3).

        Raises:
            ModelError: the graph fails, or its output is not an embedding.
        """
        return self._embed(self._graph, images)

    def _compare(self, on_cpu: Graph) -> float:
        pictures = sample_pictures(self._input.side)
        cosines = self._embed(self._graph, pictures) * self._embed(on_cpu, pictures)
        return float(cosines.sum(axis=1).min())

    def _embed(self, graph: Graph, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        found = graph.run(self._output, {self._input.name: self._prepare(images)})
        vectors = _pool(found, self._description.pooling)
        if vectors.ndim != 2 or len(vectors) != len(images) or not np.isfinite(vectors).all():
            raise ModelError(
                f"The model's output {self._output!r} of shape {found.shape} is not an embedding.",
                remedy='Name another with {"output": "…"} in the JSON file next to the model, '
                'or how it is pooled: {"pooling": "cls"} or "mean".',
            )
        return unit(vectors)

    def _prepare(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        batch: npt.NDArray[Any] = images
        if self._input.dtype is not np.uint8:
            # Overflows are reported as an output that is not an embedding.
            with np.errstate(over="ignore", invalid="ignore"):
                scaled = (images.astype(np.float32) * self._scale - self._mean) / self._std
                batch = scaled.astype(self._input.dtype)
        if self._input.channels_first:
            batch = batch.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(batch)


def _pool(found: npt.NDArray[np.float32], pooling: Pooling | None) -> npt.NDArray[np.float32]:
    """Reduce tokens (n, t, d), or a feature map (n, d, h, w), to (n, d)."""
    if pooling == "cls" and found.ndim == 3:
        return np.asarray(found[:, 0])
    if pooling == "mean" and found.ndim == 3:
        return np.asarray(found.mean(axis=1))
    if pooling == "mean" and found.ndim == RANK:
        return np.asarray(found.mean(axis=(2, 3)))
    return found


def _find_input(session: ort.InferenceSession, path: Path, description: Description) -> _Input:
    inputs = session.get_inputs()
    shape = inputs[0].shape if inputs else []
    dtypes: dict[str, type[np.generic]] = {
        "tensor(uint8)": np.uint8,
        "tensor(float)": np.float32,
        "tensor(float16)": np.float16,
    }
    dtype = dtypes.get(inputs[0].type) if inputs else None
    if len(inputs) != 1 or len(shape) != RANK or not dtype:
        raise _no_encoder(session, path)
    channels_first = _channels_first(shape, description)
    channels = shape[1] if channels_first else shape[3]
    if channels_first is None or (isinstance(channels, int) and channels != RGB):
        raise _no_encoder(session, path)
    given = (description.scale, description.mean, description.std)
    if dtype is np.uint8 and any(value is not None for value in given):
        raise ModelError(
            f"{path.name} takes bytes, which it normalises itself.",
            remedy=f"Remove scale, mean and std from {path.name}.json.",
        )
    side = _side(shape[2:4] if channels_first else shape[1:3], path, description)
    return _Input(inputs[0].name, channels_first, side, dtype)


def _channels_first(shape: list[Any], description: Description) -> bool | None:
    """Return whether the channels come first; None if unknown."""
    if description.layout is not None:
        return description.layout == "NCHW"
    if RGB in (shape[1], shape[3]):
        return bool(shape[1] == RGB)
    return None


def _side(sides: list[Any], path: Path, description: Description) -> int:
    fixed = {side for side in sides if isinstance(side, int)}
    wanted = description.input_size
    if len(fixed) > 1:
        raise ModelError(f"{path.name} takes {sides[1]}×{sides[0]} pixels; a square is required.")
    if wanted is not None and fixed - {wanted}:
        raise ModelError(
            f"{path.name}.json: input_size: the graph takes {fixed.pop()} pixels, not {wanted}.",
            remedy="Leave input_size out.",
        )
    return wanted or (fixed.pop() if fixed else DEFAULT_SIDE)


def _no_encoder(session: ort.InferenceSession, path: Path) -> ModelError:
    inputs = session.get_inputs()
    return ModelError(
        f"{path.name} is not an image encoder: it takes "
        + ("; ".join(f"{i.name} {i.type} {i.shape}" for i in inputs) or "nothing")
        + ".",
        remedy="One input is required: batch × 3 × H × W or batch × H × W × 3. If the graph does "
        f'not say which, set it in {path.name}.json: {{"layout": "NCHW"}}. For CLIP, SigLIP: '
        "name the image encoder.",
    )
