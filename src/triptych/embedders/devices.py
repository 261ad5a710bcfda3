"""Where a model runs: ONNX Runtime's execution providers, by setting and by detection.

One package of ONNX Runtime is installed at a time: `onnxruntime` has the CPU (and on macOS CoreML),
`onnxruntime-gpu` CUDA and TensorRT, `onnxruntime-openvino` OpenVINO. They share one folder, so with
two of them the later one has overwritten the other.

Importing it takes time and starts a thread, so only what uses a device or a model does.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from triptych.errors import SettingsError

CPU_PROVIDER = "CPUExecutionProvider"
DEVICE_FIELD = "TRIPTYCH_EMBED_DEVICE"
PRECISION_FIELD = "TRIPTYCH_EMBED_PRECISION"
PLAIN_PACKAGE = "onnxruntime"
PACKAGES = (
    PLAIN_PACKAGE,
    *("onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime-qnn"),
)
"""Distributions that install the same importable package."""
ENGINES = "engines"
"""Folder of TensorRT's compiled models, beside the model: compiling one takes minutes."""
SAME_MODEL_COSINE = 0.999
"""Vectors of a device are the model's own if each sample picture's cosine with the CPU's vector is
at least this; otherwise they are another model's, and are never compared with them."""
CPU_BATCH = 4
"""Images in a batch on processor cores. Measured with the bundled model and one thread per core: an
image takes 7.5 to 8.5 ms of CPU time in batches of up to eight, and 9.5 ms in batches of sixteen,
whose layers do not fit into a cache. A worker needs the least CPU time with four, and a tenth more
if threads share a batch instead of processing one each."""
ACCELERATOR_BATCH = 32
"""Images in a batch on an accelerator. Not measured yet: none was at hand."""
ACCELERATOR_CALLS = 2
"""Calls at a time on an accelerator: one computes while the next one's pictures are copied."""


class Precision(StrEnum):
    """The numbers that a model calculates with."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Device(StrEnum):
    """What a model runs on, as the settings name it."""

    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"
    OPENVINO = "openvino"
    COREML = "coreml"

    @property
    def provider(self) -> str:
        """ONNX Runtime's name for it."""
        return PROVIDERS[self]

    @property
    def on_cores(self) -> bool:
        """Whether it uses the processor's cores, so that batches and threads are the CPU's."""
        return self in {Device.CPU, Device.OPENVINO}


PROVIDERS = {
    Device.CPU: CPU_PROVIDER,
    Device.CUDA: "CUDAExecutionProvider",
    Device.TENSORRT: "TensorrtExecutionProvider",
    Device.OPENVINO: "OpenVINOExecutionProvider",
    Device.COREML: "CoreMLExecutionProvider",
}
PACKAGE_OF = {
    Device.CPU: PLAIN_PACKAGE,
    Device.CUDA: "onnxruntime-gpu",
    Device.TENSORRT: "onnxruntime-gpu",
    Device.OPENVINO: "onnxruntime-openvino",
    Device.COREML: PLAIN_PACKAGE,
}
PRECISIONS = {
    Device.CPU: {Precision.FLOAT32},
    Device.CUDA: {Precision.FLOAT32},
    Device.TENSORRT: {Precision.FLOAT32, Precision.FLOAT16, Precision.BFLOAT16},
    Device.OPENVINO: {Precision.FLOAT32, Precision.BFLOAT16},
    Device.COREML: {Precision.FLOAT32},
}
"""What each can be asked for. CoreML chooses by itself on the Neural Engine: the comparison with
the CPU shows it."""
FOUND_BY_ITSELF = (Device.CUDA, Device.OPENVINO)
"""What `auto` looks for, best first: what is installed only if somebody wants it. TensorRT compiles
for minutes, and CoreML is in every package for macOS: they have to be asked for."""


@dataclass(frozen=True, slots=True)
class Execution:
    """How a model is run."""

    device: Device = Device.CPU
    precision: Precision = Precision.FLOAT32
    calls: int = 1
    """Calls at a time that it is made for."""

    @property
    def name(self) -> str:
        """The device, and its precision if that is not float32."""
        plain = self.precision is Precision.FLOAT32
        return self.device.value if plain else f"{self.device.value}-{self.precision.value}"

    def providers(self, folder: Path) -> list[tuple[str, dict[str, str]]]:
        """Return ONNX Runtime's providers with their options, the CPU last.

        Args:
            folder: of the model, where TensorRT keeps what it compiled.
        """
        options: dict[str, str] = {}
        after: list[tuple[str, dict[str, str]]] = []
        match self.device:
            case Device.CUDA:
                options = _CUDA
            case Device.TENSORRT:
                options = {
                    "trt_engine_cache_enable": "1",
                    "trt_engine_cache_path": str(folder / ENGINES),
                    "trt_fp16_enable": "1" if self.precision is Precision.FLOAT16 else "0",
                    "trt_bf16_enable": "1" if self.precision is Precision.BFLOAT16 else "0",
                }
                after = [(PROVIDERS[Device.CUDA], _CUDA)]
            case Device.OPENVINO:
                wanted = "bf16" if self.precision is Precision.BFLOAT16 else "f32"
                options = {
                    "device_type": "CPU",
                    "num_of_threads": str(self.calls),
                    "num_streams": str(self.calls),
                    "load_config": f'{{"CPU": {{"INFERENCE_PRECISION_HINT": "{wanted}"}}}}',
                }
            case Device.COREML:
                options = {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"}
            case Device.CPU:
                return [(CPU_PROVIDER, {})]
        return [(self.device.provider, options), *after, (CPU_PROVIDER, {})]


_CUDA = {"use_tf32": "0"}
"""TensorFloat-32 rounds to ten bits, which `float32` does not say."""


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """The device that a model runs on, and why."""

    device: Device
    passed_over: tuple[str, ...] = ()
    """What `auto` found installed and could not use, each with its reason."""


@lru_cache(maxsize=16)
def find_device(wanted: str, precision: Precision = Precision.FLOAT32) -> FoundDevice:
    """Return the device that a setting means on this machine.

    ``auto`` is the first of `FOUND_BY_ITSELF` that works, and the CPU if none does.

    Raises:
        SettingsError: the wanted one is not there or does not work, or cannot calculate with
            ``precision``.
    """
    if wanted != "auto":
        device = Device(wanted)
        if why := _lacks(device, precision) or _fails(device):
            raise why
        return FoundDevice(device)
    import onnxruntime as ort

    passed_over: list[str] = []
    for device in FOUND_BY_ITSELF:
        if device.provider not in ort.get_available_providers():
            continue
        why = _lacks(device, precision) or _fails(device)
        if why is None:
            return FoundDevice(device, tuple(passed_over))
        passed_over.append(str(why))
    if why := _lacks(Device.CPU, precision):
        raise why
    return FoundDevice(Device.CPU, tuple(passed_over))


def installed_packages() -> list[str]:
    """Return the distributions of ONNX Runtime that are installed; more than one is a fault."""
    found = []
    for name in PACKAGES:
        try:
            version(name)
        except PackageNotFoundError:
            continue
        found.append(name)
    return found


def _lacks(device: Device, precision: Precision) -> SettingsError | None:
    """Return what is missing for a device, from what is installed alone."""
    import onnxruntime as ort

    if device.provider not in ort.get_available_providers():
        return SettingsError(
            f"{device.value} needs {device.provider}, which the installed ONNX Runtime "
            f"{ort.__version__} does not have.",
            field=DEVICE_FIELD,
            remedy=_install(device),
        )
    if precision not in PRECISIONS[device]:
        known = ", ".join(sorted(PRECISIONS[device]))
        return SettingsError(
            f"{device.value} does not calculate with {precision.value}.",
            field=PRECISION_FIELD,
            remedy=f"It can: {known}.",
        )
    return None


def _install(device: Device) -> str:
    package = PACKAGE_OF[device]
    if device is Device.COREML:
        return "CoreML is in the package onnxruntime for macOS only; use `auto` or `cpu`."
    replaced = " ".join(sorted({*installed_packages(), package}))
    return (
        f"Replace the package: `pip uninstall -y {replaced}`, then "
        f"`pip install --no-deps {package}`. Two of them overwrite each other."
    )


def _fails(device: Device) -> SettingsError | None:
    """Return why a tiny model cannot be run on an installed provider; None if it can.

    ONNX Runtime itself would use the CPU instead, and only log it.
    """
    if device is Device.CPU:
        return None
    if device in {Device.CUDA, Device.TENSORRT}:
        _load_cuda()
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    why = "ONNX Runtime falls back to the CPU"
    try:
        session = ort.InferenceSession(
            _tiny_model(), options, providers=Execution(device).providers(Path())
        )
        if device.provider in session.get_providers():
            session.run(None, {"x": _ONE})
            return None
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions have no base of their own.
        why = (str(error) or type(error).__name__).splitlines()[0][:200]
    return SettingsError(
        f"{device.value} is installed and cannot be used ({why}).",
        field=DEVICE_FIELD,
        remedy="Look at its driver and libraries, or use `auto` or `cpu`.",
    )


@lru_cache(maxsize=1)
def _load_cuda() -> None:
    """Load CUDA and cuDNN from NVIDIA's packages, if they are installed.

    The system's loader does not look into Python's folders, and would find none of them. ONNX
    Runtime prints what it could not load, which is no part of a command's output.
    """
    if find_spec("nvidia") is not None:
        import onnxruntime as ort

        with contextlib.redirect_stdout(sys.stderr):
            ort.preload_dlls(directory="")


_ONE: Any = [[1.0, 1.0]]


def _tiny_model() -> bytes:
    # Slow to import, and needed only where there is an accelerator.
    from onnx import TensorProto, helper

    def value(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2])

    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])], "tiny", [value("x")], [value("y")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())
