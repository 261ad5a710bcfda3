"""EfficientNet-Lite0 as an ONNX graph, built from its tensors.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019; the
Lite variant (TensorFlow, 2020) has no squeeze-and-excite and uses ReLU6. Input ``image``: uint8
RGB, shape (batch, 224, 224, 3). Outputs: ``embedding`` (batch, 1280), of unit length, and
``logits`` (batch, 1000) over ImageNet's classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 224
DIMENSION = 1280
CLASSES = 1000
BN_EPSILON = 1e-3
MEAN = 127.0
SCALE = 128.0
OPSET = 17
IR_VERSION = 8

BLOCKS = (
    # repeats, kernel, stride, expansion
    (1, 3, 1, 1),
    (2, 3, 2, 6),
    (2, 5, 2, 6),
    (3, 3, 2, 6),
    (3, 5, 1, 6),
    (4, 5, 2, 6),
    (1, 3, 1, 6),
)

Tensors = Mapping[str, npt.NDArray[Any]]


class _Graph:
    """Nodes and constants, in order of addition."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: npt.ArrayLike, name: str) -> str:
        array = np.ascontiguousarray(value, dtype=np.float32)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        name = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def conv(
        self, x: str, size: int, weight: str, norm: str, *, stride: int = 1, relu: bool = True
    ) -> tuple[str, int]:
        """Add a convolution with its batch norm folded in; return output and side length."""
        kernel, bias = self._folded(weight, norm)
        side, depthwise = kernel.shape[2], kernel.shape[1] == 1
        out, before, after = _same_padding(size, side, stride)
        y = self.add(
            "Conv",
            [x, self.constant(kernel, weight), self.constant(bias, f"{norm}.folded")],
            kernel_shape=[side, side],
            strides=[stride, stride],
            group=kernel.shape[0] if depthwise else 1,
            pads=[before, before, after, after],
        )
        return (self.add("Clip", [y, "zero", "six"]) if relu else y), out

    def _folded(
        self, weight: str, norm: str
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        gamma, beta, mean, variance = (
            self.tensors[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = gamma / np.sqrt(variance + BN_EPSILON)
        kernel = self.tensors[weight].astype(np.float64) * factor[:, None, None, None]
        return kernel, beta - mean * factor


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int, int]:
    """Return output side and padding before and after, as in TensorFlow's SAME."""
    out = math.ceil(size / stride)
    total = max((out - 1) * stride + kernel - size, 0)
    return out, total // 2, total - total // 2


def _block(
    graph: _Graph, x: str, size: int, name: str, stride: int, expansion: int
) -> tuple[str, int]:
    """Add an inverted residual block (Sandler et al., 2018)."""
    y = x
    if expansion != 1:
        y, _ = graph.conv(y, size, f"{name}._expand_conv.weight", f"{name}._bn0")
    y, out = graph.conv(y, size, f"{name}._depthwise_conv.weight", f"{name}._bn1", stride=stride)
    project = f"{name}._project_conv.weight"
    y, _ = graph.conv(y, out, project, f"{name}._bn2", relu=False)
    return y, out


def build(tensors: Tensors) -> onnx.ModelProto:
    """Return the checked model."""
    graph = _Graph(tensors)
    graph.constant(0.0, "zero")
    graph.constant(6.0, "six")
    graph.constant(MEAN, "mean")
    graph.constant(SCALE, "scale")
    x = graph.add("Cast", ["image"], to=TensorProto.FLOAT)
    x = graph.add("Div", [graph.add("Sub", [x, "mean"]), "scale"])
    x = graph.add("Transpose", [x], perm=[0, 3, 1, 2])
    x, size = graph.conv(x, SIDE, "_conv_stem.weight", "_bn0", stride=2)
    number = 0
    for repeats, _kernel, first_stride, expansion in BLOCKS:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            y, size = _block(graph, x, size, f"_blocks.{number}", stride, expansion)
            x = graph.add("Add", [y, x]) if repeat else y
            number += 1
    x, size = graph.conv(x, size, "_conv_head.weight", "_bn1")
    x = graph.add("Flatten", [graph.add("GlobalAveragePool", [x])])
    weight = graph.constant(tensors["_fc.weight"].T, "_fc.weight")
    graph.add("Gemm", [x, weight, graph.constant(tensors["_fc.bias"], "_fc.bias")], "logits")
    graph.add("LpNormalization", [x], "embedding", axis=1, p=2)
    return _model(graph)


def _model(graph: _Graph) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])
    outputs = [
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIMENSION]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES]),
    ]
    body = helper.make_graph(graph.nodes, "efficientnet-lite0", [image], outputs, graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model
