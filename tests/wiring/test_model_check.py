"""What `triptych doctor` says of the embedder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.data_folder import provide_models
from tests.support.model_hub import Hub, tiny_hub
from triptych.embedders.devices import Device, FoundDevice
from triptych.embedders.known_models import KNOWN_MODELS, KnownModel
from triptych.embedders.onnx_embedder import OnnxEmbedder
from triptych.errors import ModelError
from triptych.settings.settings import Settings
from triptych.wiring import doctor, model_check, models
from triptych.wiring.model_check import check_model

pytestmark = pytest.mark.integration


@pytest.fixture
def with_model(tmp_path: Path) -> Settings:
    """Settings of a data folder that has the bundled model."""
    provide_models(tmp_path)
    return Settings(data=tmp_path)


def quiet(line: str) -> None:
    """Say nothing."""


@pytest.fixture
def served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Settings, Hub, KnownModel]]:
    with tiny_hub(tmp_path / "made") as (hub, model):
        monkeypatch.setitem(KNOWN_MODELS, model.name, model)
        yield (
            Settings(
                data=tmp_path / "data",
                embedder=model.name,
                models_url=hub.url,
                fetch_allow="127.0.0.0/8",
            ),
            hub,
            model,
        )


def test_the_bundled_model_has_the_expected_test_pair(with_model: Settings) -> None:
    found = check_model(with_model, say=quiet)
    assert not found.warns
    assert "efficientnet-lite0-" in found.says
    assert "on cpu; search by text with " in found.says
    assert "; test pair 0.3145, as expected" in found.says


def test_red_and_blue_exchanged_are_noticed(
    with_model: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = OnnxEmbedder.embed
    monkeypatch.setattr(OnnxEmbedder, "embed", lambda self, images: embed(self, images[..., ::-1]))
    with pytest.raises(ModelError, match=r"cosine of 0\.28\d\d on cpu; 0\.3145 is expected"):
        check_model(with_model, say=quiet)


def test_no_model_is_not_a_fault(tmp_path: Path) -> None:
    found = check_model(Settings(data=tmp_path, embedder="none"), say=quiet)
    assert found == model_check.ModelFinding(
        "none: assets are stored without embeddings", warns=False
    )


async def test_a_model_without_expected_value_says_so(
    served: tuple[Settings, Hub, KnownModel],
) -> None:
    settings, _, model = served
    lines: list[str] = []
    found = await doctor._embedder(settings, lines.append)
    assert found.ok
    assert "with no expected value to compare it with" in found.says
    assert f"{model.name} is unproven in this release" in found.says
    assert lines[0].startswith("Fetching tiny-clip"), "progress is shown"


async def test_a_model_that_is_gone_is_a_finding(
    served: tuple[Settings, Hub, KnownModel],
) -> None:
    settings, hub, _ = served
    hub.files.clear()
    found = await doctor._embedder(settings, quiet)
    assert not found.ok
    assert "There is no http://" in found.says


def test_a_device_that_was_passed_over_is_a_warning(
    with_model: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fallen_back = FoundDevice(Device.CPU, ("cuda is installed and cannot be used",))
    monkeypatch.setattr(models, "find_device", lambda *_: fallen_back)
    found = check_model(with_model, say=quiet)
    assert found.warns
    assert "; cuda is installed and cannot be used" in found.says


def test_two_packages_of_onnx_runtime_are_a_warning(
    with_model: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        model_check, "installed_packages", lambda: ["onnxruntime", "onnxruntime-gpu"]
    )
    found = check_model(with_model, say=quiet)
    assert found.warns
    assert "onnxruntime and onnxruntime-gpu overwrite each other" in found.says
