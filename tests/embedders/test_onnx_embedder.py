"""The bundled embedder is made from its package, and any ONNX image encoder can stand in."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from PIL import Image

from tests.support.data_folder import provide_models
from tests.support.image_encoder import SIDE, write_image_encoder
from triptych.embedders.bundled import bundled_model
from triptych.embedders.description import IMAGENET_MEAN, IMAGENET_STD
from triptych.embedders.onnx_embedder import OnnxEmbedder
from triptych.embedders.torch_legacy import MAGIC, PROTOCOL, load_tensors
from triptych.errors import ModelError


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> OnnxEmbedder:
    data = tmp_path_factory.mktemp("data")
    provide_models(data)
    return OnnxEmbedder(bundled_model(data / "models"), threads=1)


def picture(seed: int) -> Image.Image:
    rough = np.random.default_rng(seed).integers(0, 255, (7, 7, 3), np.uint8)
    return Image.fromarray(rough).resize((400, 400), Image.Resampling.BICUBIC)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC), np.uint8)


def test_bundled_embeddings_are_unit_vectors_that_tell_pictures_apart(
    bundled: OnnxEmbedder,
) -> None:
    assert (bundled.dimension, bundled.input_size) == (1280, 224)
    squares = Image.fromarray(
        np.kron(np.eye(20, dtype=np.uint8) * 255, np.ones((20, 20), np.uint8))
    )
    images = [picture(1), picture(1).resize((90, 90)), squares.convert("RGB")]
    first, smaller, other = bundled.embed(np.stack([pixels(image) for image in images]))
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
    assert first @ smaller > 0.9 > first @ other


def test_a_batch_is_embedded_as_its_images_one_by_one(bundled: OnnxEmbedder) -> None:
    images = np.stack([pixels(picture(seed)) for seed in range(5)])
    together = bundled.embed(images)
    alone = np.concatenate([bundled.embed(image[None]) for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_conversion_is_deterministic_and_safe_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(bundled_model, [tmp_path / "a"] * 4))
    other = bundled_model(tmp_path / "b")
    assert {path.read_bytes() for path in made} == {other.read_bytes()}
    assert [path.name for path in (tmp_path / "a").iterdir()] == [other.name]


def by_hand(values: np.ndarray) -> np.ndarray:
    weight = np.random.default_rng(3).normal(size=(SIDE * SIDE * 3, 5)).astype(np.float32)
    out = values.reshape(len(values), -1).astype(np.float32) @ weight
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


IMAGES = np.random.default_rng(4).integers(0, 255, (3, SIDE, SIDE, 3), np.uint8)


def test_float_channels_first_is_normalised_as_imagenet(tmp_path: Path) -> None:
    path = write_image_encoder(tmp_path / "m.onnx", ["n", 3, SIDE, SIDE], TensorProto.FLOAT)
    scaled = (IMAGES / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    embedder = OnnxEmbedder(path, threads=1)
    assert (embedder.input_size, embedder.dimension) == (SIDE, 5)
    expected = by_hand(scaled.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(embedder.embed(IMAGES), expected, atol=1e-4)


def test_uint8_channels_last_gets_the_pixels_as_they_are(tmp_path: Path) -> None:
    path = write_image_encoder(tmp_path / "m.onnx", ["n", SIDE, SIDE, 3], TensorProto.UINT8)
    found = OnnxEmbedder(path, threads=1).embed(IMAGES)
    np.testing.assert_allclose(found, by_hand(IMAGES), atol=1e-4)


def test_a_file_beside_the_model_says_how_it_wants_its_images(tmp_path: Path) -> None:
    path = write_image_encoder(
        tmp_path / "m.onnx", ["n", SIDE, SIDE, 3], TensorProto.FLOAT, outputs=2
    )
    plain = OnnxEmbedder(path, threads=1)
    described = {"mean": [0.5] * 3, "std": [0.5] * 3, "output": "out1"}
    (tmp_path / "m.onnx.json").write_text(json.dumps(described))
    embedder = OnnxEmbedder(path, threads=1)
    np.testing.assert_allclose(embedder.embed(IMAGES), -by_hand(IMAGES / 255 * 2 - 1), atol=1e-4)
    assert embedder.model != plain.model, "embeddings of the two must not be compared"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "not a JSON object"),
        ("{", "cannot be read as JSON"),
        ('{"mean": [1]}', "mean must be three numbers"),
        ('{"std": "x"}', "std must be three numbers"),
        ('{"output": "nope"}', "has no output 'nope'"),
    ],
)
def test_a_wrong_file_beside_the_model_is_one_clear_line(
    tmp_path: Path, content: str, says: str
) -> None:
    path = write_image_encoder(tmp_path / "m.onnx", ["n", SIDE, SIDE, 3], TensorProto.FLOAT)
    (tmp_path / "m.onnx.json").write_text(content)
    with pytest.raises(ModelError, match=says) as error:
        OnnxEmbedder(path, threads=1)
    assert "\n" not in str(error.value)


def test_what_is_no_model_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match="TRIPTYCH_EMBEDDER") as error:
        OnnxEmbedder(path, threads=1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [["n", 10], ["n", 4, SIDE, SIDE], ["n", 3, SIDE, 2 * SIDE]])
def test_what_takes_no_square_rgb_is_no_image_encoder(
    tmp_path: Path, shape: list[str | int]
) -> None:
    path = write_image_encoder(tmp_path / "m.onnx", shape, TensorProto.FLOAT)
    with pytest.raises(ModelError):
        OnnxEmbedder(path, threads=1)


class Exploit:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch exploited",)


def test_g9_a_weights_file_cannot_bring_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    with path.open("wb") as file:
        parts: list[object] = [MAGIC, PROTOCOL, {}, Exploit()]
        for part in parts:
            pickle.dump(part, file, protocol=2)
    with pytest.raises(ModelError, match="system, which no state dict needs"):
        load_tensors(path)
    assert not (tmp_path / "exploited").exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02K\x01.", b"garbage"])
def test_what_is_no_weights_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a legacy PyTorch state dict"):
        load_tensors(path)
