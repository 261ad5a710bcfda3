"""A CLIP made by the tests: two ONNX towers and a tokenizer, as Hugging Face's exports have them.

The image tower averages an image's colours, the text tower the colours of its words; both project
them by the same matrix. So a text's vector is that of an image of its colours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors

SIDE = 16
DIMENSION = 8
CONTEXT = 10
PAD = 1
COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "white": (1, 1, 1)}
VOCABULARY = ["<unk>", "<pad>", "<s>", "</s>", "a", "photo", "of", "thing", *COLOURS]
PROJECTION = np.random.default_rng(7).normal(size=(3, DIMENSION)).astype(np.float32)


def save(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    constants: dict[str, np.ndarray],
    *,
    external: str | None = None,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "tower",
        inputs,
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(
        model,
        path,
        save_as_external_data=external is not None,
        location=external,
        size_threshold=PROJECTION.nbytes,  # The runtime wants small ones in the graph.
    )
    return path


def image_tower(path: Path, *, external: str | None = None) -> Path:
    """``pixel_values`` of no fixed size to ``image_embeds``, and tokens beside them."""
    shape = ["batch_size", "num_channels", "height", "width"]
    return save(
        path,
        [
            helper.make_node("ReduceMean", ["pixel_values"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["mean", "projection"], ["image_embeds"]),
            helper.make_node("Unsqueeze", ["image_embeds", "one"], ["token"]),
            helper.make_node("Neg", ["token"], ["other"]),
            helper.make_node("Concat", ["token", "other"], ["last_hidden_state"], axis=1),
        ],
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["n", 2, "d"]),
            helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["n", "d"]),
        ],
        {"projection": PROJECTION, "one": np.array([1], np.int64)},
        external=external,
    )


def text_tower(path: Path, *, dimension: int = DIMENSION) -> Path:
    """``input_ids`` and ``attention_mask`` to ``text_embeds``; every token gives a little."""
    words = np.full((len(VOCABULARY), 3), 0.01, np.float32)
    words[PAD] = 9  # What is padding must be masked.
    for word, colour in COLOURS.items():
        words[VOCABULARY.index(word)] = colour
    shape = ["batch_size", "sequence_length"]
    return save(
        path,
        [
            helper.make_node("Gather", ["words", "input_ids"], ["found"]),
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
            helper.make_node("Mul", ["found", "wide"], ["seen"]),
            helper.make_node("ReduceSum", ["seen", "middle"], ["sum"], keepdims=0),
            helper.make_node("MatMul", ["sum", "projection"], ["text_embeds"]),
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ["n", "d"])],
        {
            "words": words,
            "projection": PROJECTION[:, :dimension],
            "last": np.array([2], np.int64),
            "middle": np.array([1], np.int64),
        },
    )


def tokenizer(path: Path) -> Path:
    made = Tokenizer(
        models.WordLevel({word: n for n, word in enumerate(VOCABULARY)}, unk_token="<unk>")
    )
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    made.save(str(path))
    return path


DESCRIPTION: dict[str, Any] = {
    "input_size": SIDE,
    "layout": "NCHW",
    "mean": [0.0, 0.0, 0.0],
    "std": [1.0, 1.0, 1.0],
    "output": "image_embeds",
    "text": {
        "model": "text_model.onnx",
        "tokenizer": "tokenizer.json",
        "context": CONTEXT,
        "padding": "context",
        "pad_id": PAD,
        "template": "a photo of {}",
        "logit_scale": 20.0,
        "logit_bias": -10.0,
    },
}


def describe(path: Path, **changes: Any) -> None:
    path.with_name(f"{path.name}.json").write_text(json.dumps({**DESCRIPTION, **changes}))


def clip(folder: Path) -> Path:
    """Write all four files; return the image tower's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = image_tower(folder / "vision_model.onnx")
    text_tower(folder / "text_model.onnx")
    tokenizer(folder / "tokenizer.json")
    describe(path)
    return path


def picture(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), np.array(colour, np.uint8) * 255, np.uint8)
