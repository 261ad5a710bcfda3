"""Model files made at once, cut short or of the wrong kind: one valid file, or one clear line."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import struct
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.support.model_processes import at_once, convert
from triptych.embedders import bundled
from triptych.embedders.bundled import FILE, bundled_model
from triptych.embedders.onnx_embedder import OnnxEmbedder
from triptych.embedders.torch_legacy import MAGIC, PROTOCOL, load_tensors
from triptych.errors import ModelError

PATIENCE_S = 120.0
HEAD: tuple[object, ...] = (MAGIC, PROTOCOL, {})
"""What a file of weights begins with."""
CONVERT = """
import sys
from pathlib import Path
from triptych.embedders.bundled import bundled_model
bundled_model(Path(sys.argv[1]))
"""


@pytest.mark.integration
def test_several_processes_at_once_leave_one_valid_file(tmp_path: Path) -> None:
    at_once(convert, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert OnnxEmbedder(tmp_path / FILE, threads=1).dimension == 1280


@pytest.mark.integration
def test_conversion_does_not_depend_on_hash_seeds(tmp_path: Path) -> None:
    """Dictionaries and sets may come in another order in another process; the bytes may not."""
    digests = set()
    for seed in ("1", "2"):
        subprocess.run(
            [
                *(sys.executable, "-c"),
                CONVERT,
                str(tmp_path / seed),
            ],
            check=True,
            timeout=PATIENCE_S,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        digests.add(hashlib.sha256((tmp_path / seed / FILE).read_bytes()).digest())
    assert len(digests) == 1


def test_a_file_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"made before")
    assert bundled_model(tmp_path).read_bytes() == b"made before"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PACKAGE", "no_such_package_anywhere", "is not installed"),
        ("WEIGHTS", "models/none.pth", "cannot be read"),
        ("WEIGHTS_SHA256", "00" * 32, "an unexpected hash"),
    ],
)
def test_weights_that_are_missing_or_others_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setattr(bundled, name, value)
    with pytest.raises(ModelError, match=says) as error:
        bundled_model(tmp_path)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def graph(path: Path, inputs: list[str], kind: int = TensorProto.FLOAT) -> Path:
    """Write a graph that adds its inputs up and flattens the sum."""
    shape: list[str | int] = ["n", 3, 4, 4]
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Sum", inputs, ["sum"]),
                helper.make_node("Flatten", ["sum"], ["out"]),
            ],
            "g",
            [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
            [helper.make_tensor_value_info("out", kind, ["n", 48])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 8
    onnx.save(model, path)
    return path


def test_a_graph_of_two_inputs_is_no_image_encoder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not an image encoder: it takes a .*; b ") as error:
        OnnxEmbedder(graph(tmp_path / "m.onnx", ["a", "b"]), threads=1)
    assert "\n" not in str(error.value)


def test_a_graph_of_doubles_is_no_image_encoder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not an image encoder"):
        OnnxEmbedder(graph(tmp_path / "m.onnx", ["a"], TensorProto.DOUBLE), threads=1)


def test_what_gives_no_numbers_is_told(tmp_path: Path) -> None:
    path = graph(tmp_path / "m.onnx", ["a"])
    (tmp_path / "m.onnx.json").write_text('{"scale": 3e38}')
    embedder = OnnxEmbedder(path, threads=1)
    with pytest.raises(ModelError, match="not an embedding"):
        embedder.embed(np.full((1, 4, 4, 3), 255, np.uint8))


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_a_file_that_is_no_model_or_not_there_is_one_clear_line(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="TRIPTYCH_EMBEDDER") as error:
        OnnxEmbedder(path, threads=1)
    assert "\n" not in str(error.value)


def test_a_bundled_model_cut_short_is_one_clear_line(tmp_path: Path) -> None:
    path = bundled_model(tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError) as error:
        OnnxEmbedder(path, threads=1)
    assert "\n" not in str(error.value)


@pytest.fixture
def state_dict(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A legacy state dict of one 2×2 tensor, as PyTorch writes it, without PyTorch."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")

    class FloatStorage:
        pass

    def _rebuild_tensor_v2(*_: object) -> None:
        raise NotImplementedError

    class Storage:
        pass

    class Tensor:
        def __reduce__(self) -> tuple[object, ...]:
            return _rebuild_tensor_v2, (Storage(), 0, (2, 2), (1, 2), False, OrderedDict())

    class Pickler(pickle.Pickler):
        def persistent_id(self, found: object) -> object:
            is_storage = isinstance(found, Storage)
            return ("storage", FloatStorage, "0", "cpu", 4, None) if is_storage else None

    for module, thing in ((torch, FloatStorage), (utils, _rebuild_tensor_v2)):
        thing.__module__, thing.__qualname__ = module.__name__, thing.__name__
        setattr(module, thing.__name__, thing)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    buffer = io.BytesIO()
    for part in HEAD:
        pickle.dump(part, buffer, protocol=2)
    Pickler(buffer, protocol=2).dump(OrderedDict(weight=Tensor()))
    pickle.dump(["0"], buffer, protocol=2)
    return buffer.getvalue() + struct.pack("<q4f", 4, 1, 2, 3, 4)


def test_a_state_dict_is_read_with_its_strides(tmp_path: Path, state_dict: bytes) -> None:
    path = tmp_path / "m.pth"
    path.write_bytes(state_dict)
    tensors = load_tensors(path)
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        "weight": [[1.0, 3.0], [2.0, 4.0]]
    }


def test_g9_a_state_dict_cut_short_anywhere_is_one_clear_line(
    tmp_path: Path, state_dict: bytes
) -> None:
    path = tmp_path / "m.pth"
    for length in range(len(state_dict)):
        path.write_bytes(state_dict[:length])
        with pytest.raises(ModelError, match=r"m\.pth is not a legacy PyTorch state dict"):
            load_tensors(path)


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("posix", "system"), ("builtins", "eval"), ("torch", "load")],
)
def test_g9_a_pickle_that_asks_for_more_than_tensors_is_refused(
    tmp_path: Path, module: str, name: str
) -> None:
    path = tmp_path / "m.pth"
    marker = tmp_path / "ran"
    asks = f"c{module}\n{name}\n(Vtouch {marker}\ntR.".encode()
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in HEAD) + asks)
    with pytest.raises(ModelError, match=f"asks for {module}.{name}"):
        load_tensors(path)
    assert not marker.exists()
