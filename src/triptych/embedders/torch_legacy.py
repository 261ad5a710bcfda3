"""Reading tensors from PyTorch's legacy ``.pth`` files, without PyTorch, and safely.

The format is five pickles followed by the raw storages. The unpickler here knows the three names
that a state dict of tensors needs and refuses every other, so a file cannot contain code.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from triptych.errors import ModelError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
COUNT_BYTES = 8

DTYPES: Mapping[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}

Tensor = tuple[str, int, tuple[int, ...], tuple[int, ...]]
"""Storage key, offset, shape and strides in elements."""


class _Unpickler(pickle.Unpickler):
    """Builds descriptions of tensors; the storages' contents follow later in the file."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.dtypes: dict[str, np.dtype[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _describe
        if module == "torch" and name in DTYPES:
            return name
        raise ModelError(f"the model file asks for {module}.{name}, which no state dict needs")

    def persistent_load(self, pid: Any) -> str:
        _kind, storage_type, key, _location, _count, _view = pid
        self.dtypes[str(key)] = DTYPES[storage_type]
        return str(key)


def _describe(
    storage: str, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    return storage, offset, shape, stride


def load_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a legacy state dict by name.

    Raises:
        ModelError: not such a file, truncated, or asking for more than tensors.
    """
    try:
        with path.open("rb") as file:
            return _load(file)
    except (pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError) as error:
        raise ModelError(f"{path.name} is not a legacy PyTorch state dict ({error}).") from error


def _load(file: BinaryIO) -> dict[str, npt.NDArray[Any]]:
    plain: Callable[[], Any] = lambda: _Unpickler(file).load()  # noqa: E731
    if plain() != MAGIC or plain() != PROTOCOL:
        raise ValueError("wrong magic number")
    plain()  # The writer's word sizes: every machine that runs this is little-endian.
    reader = _Unpickler(file)
    described: Mapping[str, Tensor] = reader.load()
    storages: dict[str, npt.NDArray[Any]] = {}
    for key in plain():
        count = int(np.frombuffer(file.read(COUNT_BYTES), "<i8")[0])
        dtype = reader.dtypes[str(key)]
        storages[str(key)] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return {name: _view(storages, tensor) for name, tensor in described.items()}


def _view(storages: Mapping[str, npt.NDArray[Any]], tensor: Tensor) -> npt.NDArray[Any]:
    key, offset, shape, stride = tensor
    storage = storages[key]
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if min((offset, *shape, *stride)) < 0 or last >= len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    strides = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides, writeable=False)
