"""A small ONNX image encoder, whose vectors a test can work out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 8


def write_image_encoder(
    path: Path, shape: Sequence[str | int], dtype: int, *, outputs: int = 1
) -> Path:
    """Write a graph that flattens its image and multiplies it with a fixed matrix."""
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(SIDE * SIDE * 3, 5)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["f"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["out0"]),
        *(helper.make_node("Neg", ["out0"], [f"out{n}"]) for n in range(1, outputs)),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("pixels", dtype, shape)],
        [
            helper.make_tensor_value_info(f"out{n}", TensorProto.FLOAT, ["n", 5])
            for n in range(outputs)
        ],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path
