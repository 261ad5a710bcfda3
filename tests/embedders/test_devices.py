"""What a model runs on: found, refused with a remedy, and compared with the CPU."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

from tests.support.image_encoder import SIDE, write_image_encoder
from triptych.embedders import devices, inference, onnx_embedder
from triptych.embedders.devices import (
    PROVIDERS,
    Device,
    Execution,
    FoundDevice,
    Precision,
    find_device,
    installed_packages,
)
from triptych.embedders.inference import Graph
from triptych.embedders.onnx_embedder import OnnxEmbedder
from triptych.embedders.sample_pictures import sample_pictures
from triptych.errors import ModelError, SettingsError
from triptych.settings.settings import Settings
from triptych.wiring.models import embed_batch, embed_threads, open_embedder

SAMPLES_SHA256 = "85c8055644a02430b2db78650cedd3260006a67989abcec1521ca533031237c1"


@pytest.fixture(autouse=True)
def nothing_found_before() -> Iterator[None]:
    find_device.cache_clear()
    yield
    find_device.cache_clear()


def pretend(monkeypatch: pytest.MonkeyPatch, *found: Device) -> None:
    """Let ONNX Runtime list providers that it cannot use, as if their drivers were missing."""
    names = [PROVIDERS[device] for device in (*found, Device.CPU)]
    monkeypatch.setattr(ort, "get_available_providers", lambda: names)


def test_auto_is_the_cpu_where_nothing_else_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    assert find_device("auto") == FoundDevice(Device.CPU)


@pytest.mark.parametrize("device", [device for device in Device if device is not Device.CPU])
def test_what_is_missing_is_named_with_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch, device: Device
) -> None:
    pretend(monkeypatch)
    with pytest.raises(SettingsError, match=PROVIDERS[device]) as error:
        find_device(device.value)
    assert "TRIPTYCH_EMBED_DEVICE" in str(error.value)
    assert devices.PACKAGE_OF[device] in str(error.value)
    if device is not Device.COREML:
        assert "pip uninstall -y" in str(error.value), "two packages overwrite each other"


def test_auto_passes_over_what_does_not_work_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, Device.CUDA)
    found = find_device("auto")
    assert found.device is Device.CPU
    (reason,) = found.passed_over
    assert reason.startswith("TRIPTYCH_EMBED_DEVICE: cuda is installed and cannot be used (")


@pytest.mark.parametrize("installed", [True, False])
def test_cuda_is_loaded_from_nvidias_packages_where_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], installed: bool
) -> None:
    asked = []

    def preload_dlls(*, directory: str) -> None:
        asked.append(directory)
        print("Failed to load libcudart.so.13")

    pretend(monkeypatch, Device.CUDA)
    monkeypatch.setattr(ort, "preload_dlls", preload_dlls)
    monkeypatch.setattr(devices, "find_spec", lambda name: name if installed else None)
    devices._load_cuda.cache_clear()
    for wanted in ("auto", "cpu"):
        find_device(wanted)
    devices._load_cuda.cache_clear()
    # An empty directory is what ONNX Runtime takes for "the packages, then the system's loader".
    assert asked == ([""] if installed else [])
    out, err = capsys.readouterr()
    assert out == ""
    assert ("libcudart" in err) == installed


def test_what_is_wanted_is_not_replaced_by_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, Device.CUDA)
    with pytest.raises(SettingsError, match="cuda is installed and cannot be used"):
        find_device("cuda")


def test_auto_takes_nothing_that_compiles_for_minutes_or_that_nobody_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, Device.TENSORRT, Device.COREML)
    assert find_device("auto") == FoundDevice(Device.CPU)


def test_a_precision_that_a_device_does_not_have_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch)
    for wanted in ("cpu", "auto"):
        with pytest.raises(SettingsError, match="cpu does not calculate with bfloat16") as error:
            find_device(wanted, Precision.BFLOAT16)
        assert "TRIPTYCH_EMBED_PRECISION" in str(error.value)


def test_every_device_has_its_provider_package_and_options(tmp_path: Path) -> None:
    for device in Device:
        assert {Precision.FLOAT32} <= devices.PRECISIONS[device]
        providers = Execution(device, calls=3).providers(tmp_path)
        assert providers[0][0] == device.provider
        assert providers[-1][0] == devices.CPU_PROVIDER
    openvino = Execution(Device.OPENVINO, Precision.BFLOAT16, calls=3).providers(tmp_path)[0][1]
    assert openvino["num_streams"] == "3"
    assert '"INFERENCE_PRECISION_HINT": "bf16"' in openvino["load_config"]
    tensorrt = Execution(Device.TENSORRT, Precision.FLOAT16).providers(tmp_path)[0][1]
    assert (tensorrt["trt_fp16_enable"], tensorrt["trt_bf16_enable"]) == ("1", "0")


def test_one_package_of_onnx_runtime_is_installed() -> None:
    assert len(installed_packages()) == 1, "they overwrite each other"


def test_batches_and_threads_follow_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(embed_threads=3)
    assert embed_batch(settings) == 4
    monkeypatch.setattr("triptych.wiring.models.find_device", lambda *_: FoundDevice(Device.CUDA))
    assert (embed_batch(settings), embed_threads(settings)) == (32, 3)
    assert (embed_batch(Settings(embed_batch=5)), embed_threads(Settings())) == (5, 2)
    assert embed_batch(Settings(embedder="none")) == 4


def test_a_model_that_a_device_refuses_is_an_error(tmp_path: Path) -> None:
    path = write_image_encoder(tmp_path / "m.onnx", ["n", 3, SIDE, SIDE], TensorProto.FLOAT)
    with pytest.raises(ModelError, match=r"cuda.*TRIPTYCH_EMBED_DEVICE=cpu"):
        inference.load_graph(path, threads=1, execution=Execution(Device.CUDA))


def run_elsewhere(monkeypatch: pytest.MonkeyPatch, *, off_by: float) -> None:
    """Let devices other than the CPU calculate with weights that are off by some noise."""
    real = inference.load_graph

    def load(path: Path, *, execution: Execution = inference.ON_CPU, **given: Any) -> Graph:
        if execution.device is Device.CPU:
            return real(path, **given)
        model = onnx.load(path)
        (weight,) = (each for each in model.graph.initializer if each.name == "weight")
        exact = numpy_helper.to_array(weight)
        noise = np.random.default_rng(9).normal(size=exact.shape, scale=off_by)
        weight.CopyFrom(numpy_helper.from_array((exact + noise).astype(np.float32), "weight"))
        other = path.with_suffix(".other")
        onnx.save(model, other)
        return Graph(real(other, **given).session, path.name, real(path, **given).digest)

    monkeypatch.setattr(onnx_embedder, "load_graph", load)


@pytest.mark.parametrize(("off_by", "same"), [(0.0, True), (1e-4, True), (0.3, False)])
def test_vectors_of_a_device_are_the_models_own_only_if_they_agree_with_the_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off_by: float, same: bool
) -> None:
    path = write_image_encoder(tmp_path / "m.onnx", ["n", 3, SIDE, SIDE], TensorProto.FLOAT)
    on_cpu = OnnxEmbedder(path, threads=1)
    assert on_cpu.likeness is None
    run_elsewhere(monkeypatch, off_by=off_by)
    execution = Execution(Device.OPENVINO, Precision.BFLOAT16)
    elsewhere = OnnxEmbedder(path, threads=1, execution=execution)
    assert elsewhere.likeness is not None
    assert (elsewhere.likeness >= devices.SAME_MODEL_COSINE) is same
    assert (elsewhere.model == on_cpu.model) is same
    if not same:
        assert elsewhere.model == f"{on_cpu.model}-openvino-bfloat16"
    pictures = sample_pictures(SIDE)
    cosines = (elsewhere.embed(pictures) * on_cpu.embed(pictures)).sum(axis=1)
    assert elsewhere.likeness == pytest.approx(float(cosines.min()))


def test_the_settings_choose_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    with pytest.raises(SettingsError, match="OpenVINOExecutionProvider"):
        open_embedder(Settings(data=tmp_path, embed_device="openvino"), 1)
    assert list(tmp_path.iterdir()) == [], "before anything is downloaded"
    plain = open_embedder(Settings(data=tmp_path, embed_device="cpu"), 1)
    assert plain is not None
    assert plain.execution.device is Device.CPU


def test_sample_pictures_are_the_same_bytes_everywhere() -> None:
    pictures = sample_pictures(224)
    assert pictures.shape == (8, 224, 224, 3)
    assert hashlib.sha256(pictures.tobytes()).hexdigest() == SAMPLES_SHA256
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    assert sample_pictures(1).shape == (8, 1, 1, 3)


@pytest.mark.skipif(
    PROVIDERS[Device.OPENVINO] not in ort.get_available_providers(),
    reason="onnxruntime-openvino is not installed: the locked package is onnxruntime",
)
def test_openvino_gives_the_bundled_models_own_vectors(tmp_path: Path) -> None:
    on_cpu = open_embedder(Settings(data=tmp_path, embed_device="cpu"), 1)
    elsewhere = open_embedder(Settings(data=tmp_path, embed_device="openvino"), 1)
    assert on_cpu is not None
    assert elsewhere is not None
    assert elsewhere.execution.device is Device.OPENVINO
    assert elsewhere.model == on_cpu.model
    assert elsewhere.likeness is not None
    assert elsewhere.likeness > 0.9999
