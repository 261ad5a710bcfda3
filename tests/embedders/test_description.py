"""Models with a description file: CLIP-shaped pairs load, and what is wrong is one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.support.tiny_clip import (
    COLOURS,
    DESCRIPTION,
    DIMENSION,
    PROJECTION,
    SIDE,
    clip,
    describe,
    image_tower,
    picture,
    save,
    text_tower,
    tokenizer,
)
from triptych.embedders.embedder import Embedder
from triptych.embedders.onnx_embedder import OnnxEmbedder
from triptych.embedders.text_encoder import TextEncoder
from triptych.errors import ModelError
from triptych.settings.settings import Settings
from triptych.wiring.doctor import diagnose
from triptych.wiring.models import open_embedder, open_text_encoder


def opened(path: Path) -> tuple[Embedder, TextEncoder | None]:
    settings = Settings(data=path.parent / "data", embedder=str(path))
    embedder = open_embedder(settings, 1)
    assert embedder is not None
    return embedder, open_text_encoder(settings, embedder)


def described_text(path: Path, **changes: Any) -> None:
    describe(path, text={**DESCRIPTION["text"], **changes})


def test_a_clip_of_two_towers_loads_through_the_real_path(tmp_path: Path) -> None:
    image, text = opened(clip(tmp_path))
    assert text is not None
    assert (image.input_size, image.dimension, text.dimension) == (SIDE, DIMENSION, DIMENSION)
    scores = (
        text.encode(list(COLOURS))
        @ image.embed(np.stack([picture(colour) for colour in COLOURS.values()])).T
    )
    assert scores.argmax(axis=1).tolist() == [0, 1, 2, 3]
    probabilities = text.calibrate(scores)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(10 - 20 * scores)), atol=1e-5)


@pytest.mark.parametrize("padding", ["context", "none"])
def test_what_pads_a_text_does_not_change_it(tmp_path: Path, padding: str) -> None:
    path = clip(tmp_path)
    described_text(path, padding=padding, template="{}")
    _, text = opened(path)
    assert text is not None
    red, _ = text.encode(["red", "red green blue white a photo of red"])
    by_hand = np.array([1.02, 0.02, 0.02], np.float32) @ PROJECTION
    np.testing.assert_allclose(red, by_hand / np.linalg.norm(by_hand), atol=1e-5)


def test_the_text_side_changes_its_own_identity_and_not_the_images(tmp_path: Path) -> None:
    path = clip(tmp_path)
    image, text = opened(path)
    described_text(path, template="a picture of {}")
    image_after, text_after = opened(path)
    assert text is not None
    assert text_after is not None
    assert image_after.model == image.model, "nothing has to be embedded again"
    assert text_after.model != text.model
    describe(path, mean=[0.5, 0.5, 0.5])
    assert opened(path)[0].model != image.model


def test_an_encoder_without_text_has_none(tmp_path: Path) -> None:
    path = clip(tmp_path)
    describe(path, text=None)
    assert opened(path)[1] is None


@pytest.mark.integration
async def test_doctor_tells_of_the_text_side(tmp_path: Path) -> None:
    path = clip(tmp_path)
    settings = Settings(data=tmp_path / "data", embedder=str(path), database_url="postgresql://x:1")
    found = {finding.what: finding.says for finding in await diagnose(settings)}
    assert "search by text with text_model-" in found["embedder"]
    describe(path, text=None)
    found = {finding.what: finding.says for finding in await diagnose(settings)}
    assert "no search by text" in found["embedder"]


def test_tokens_are_pooled_as_the_description_says(tmp_path: Path) -> None:
    path = image_tower(tmp_path / "dino.onnx")
    images = np.stack([picture((1, 0, 0))])
    describe(path, output="last_hidden_state", text=None)
    with pytest.raises(ModelError, match=r'not an embedding.*"pooling": "cls"'):
        OnnxEmbedder(path, threads=1)
    describe(path, output="last_hidden_state", pooling="cls", text=None)
    cls = OnnxEmbedder(path, threads=1).embed(images)
    np.testing.assert_allclose(cls[0], PROJECTION[0] / np.linalg.norm(PROJECTION[0]), atol=1e-5)
    describe(path, output="last_hidden_state", pooling="mean", text=None)
    assert not OnnxEmbedder(path, threads=1).embed(images).any(), "the two tokens cancel out"


def test_channels_last_and_another_scale_are_described(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [helper.make_node("Flatten", ["x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "h", "w", "c"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "d"])],
        {},
    )
    describe(path, layout="NHWC", input_size=2, scale=1.0, mean=[1.0] * 3, text=None, output="y")
    image = np.arange(2, 14, dtype=np.uint8).reshape(1, 2, 2, 3)
    found = OnnxEmbedder(path, threads=1).embed(image)
    expected = np.arange(1, 13) / np.linalg.norm(np.arange(1, 13))
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"colour": 1}, r"there is no field 'colour'\. Known fields: input_size, "),
        ({"layout": "CHW"}, r"layout: .*It is: `NCHW` or `NHWC`"),
        ({"input_size": 0}, "input_size: .*side of the square image"),
        ({"input_size": "224"}, "input_size: .*valid integer"),
        ({"std": [1.0, 0.0, 1.0]}, "std: .*three numbers above zero"),
        ({"pooling": "max"}, "pooling: "),
        ({"output": "nope"}, "no output 'nope'.*It has: last_hidden_state, image_embeds"),
        ({"layout": None}, r'not an image encoder.*"layout": "NCHW"'),
        ({"external_data": ["../../etc/passwd"]}, "external_data: "),
        ({"external_data": ["absent.bin"]}, r"absent\.bin"),
    ],
)
def test_a_wrong_description_names_field_and_remedy(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    path = clip(tmp_path)
    describe(path, **changes)
    with pytest.raises(ModelError, match=says) as error:
        opened(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"contxt": 1}, r"there is no field 'text\.contxt'\. Known fields: model, tokenizer"),
        ({"template": "a photo"}, r"text\.template: must have exactly one \{\}"),
        ({"tokenizer": "../tokenizer.json"}, r"text\.tokenizer: "),
        ({"model": "/etc/passwd"}, r"text\.model: "),
        ({"model": "absent.onnx"}, r"absent\.onnx cannot be loaded"),
        ({"tokenizer": "text_model.onnx"}, "cannot be loaded as a tokenizer"),
        ({"input_ids": "ids"}, "it takes input_ids tensor"),
        ({"output": "nope"}, r"text_model\.onnx has no output 'nope'"),
        ({"model": "vision_model.onnx"}, "is not a text encoder: it takes pixel_values"),
        ({"context": 0}, r"text\.context: "),
    ],
)
def test_a_wrong_text_side_names_field_and_remedy(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    path = clip(tmp_path)
    described_text(path, **changes)
    with pytest.raises(ModelError, match=says) as error:
        opened(path)
    assert "\n" not in str(error.value)


def test_towers_of_two_models_are_refused(tmp_path: Path) -> None:
    path = clip(tmp_path)
    text_tower(tmp_path / "text_model.onnx", dimension=DIMENSION - 1)
    with pytest.raises(ModelError, match="not of one model"):
        opened(path)


def test_normalising_what_normalises_itself_is_refused(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [
            helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["f"], ["y"]),
        ],
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", 4, 4, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 48])],
        {},
    )
    path.with_name("m.onnx.json").write_text('{"mean": [0.5, 0.5, 0.5]}')
    with pytest.raises(ModelError, match="normalises itself"):
        OnnxEmbedder(path, threads=1)


def test_weights_in_other_files_count_only_when_they_are_named(tmp_path: Path) -> None:
    path = image_tower(tmp_path / "m.onnx", external="m.onnx_data")
    describe(path, text=None)
    with pytest.raises(ModelError, match="external_data"):
        OnnxEmbedder(path, threads=1)
    describe(path, text=None, external_data=["other.bin"])
    (tmp_path / "other.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"weights in m\.onnx_data, not named in its description"):
        OnnxEmbedder(path, threads=1)
    describe(path, text=None, external_data=["m.onnx_data"])
    before = OnnxEmbedder(path, threads=1)
    np.testing.assert_allclose(
        before.embed(np.stack([picture((1, 0, 0))]))[0],
        PROJECTION[0] / np.linalg.norm(PROJECTION[0]),
        atol=1e-5,
    )
    data = tmp_path / "m.onnx_data"
    data.write_bytes(bytes([data.read_bytes()[0] ^ 1]) + data.read_bytes()[1:])
    assert OnnxEmbedder(path, threads=1).model != before.model, "other weights, another model"


def test_what_the_description_repeats_of_the_graph_must_agree(tmp_path: Path) -> None:
    model = onnx.load(clip(tmp_path))
    for dimension, value in zip(
        model.graph.input[0].type.tensor_type.shape.dim[1:], (3, SIDE, SIDE), strict=True
    ):
        dimension.dim_value = value
    path = tmp_path / "fixed.onnx"
    onnx.save(model, path)
    described = {**DESCRIPTION, "input_size": 2 * SIDE}
    path.with_name("fixed.onnx.json").write_text(json.dumps(described))
    with pytest.raises(ModelError, match=f"input_size: the graph takes {SIDE} pixels"):
        OnnxEmbedder(path, threads=1)


def test_a_tokenizers_change_is_another_text_model(tmp_path: Path) -> None:
    path = clip(tmp_path)
    _, before = opened(path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    tokenizer(tmp_path / "tokenizer.json")
    content["model"]["vocab"]["reddish"] = 8
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    _, after = opened(path)
    assert before is not None
    assert after is not None
    assert after.model != before.model
