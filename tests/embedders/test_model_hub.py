"""Models by name: fetched from a hub's layout, pinned file by file, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import numpy as np
import pytest

from tests.support.model_hub import CONTENT, Hub, tiny_hub, with_other_hash
from tests.support.model_processes import at_once, fetch_by_name
from tests.support.tiny_clip import DIMENSION, picture
from triptych.embedders.download import check_known_model, fetched_known_model
from triptych.embedders.known_models import KNOWN_MODELS, KnownModel
from triptych.errors import BadInput, ModelError, SettingsError
from triptych.fetch.guard import AddressGuard
from triptych.settings.settings import Settings
from triptych.wiring.models import (
    fetch_model,
    list_models,
    log_progress,
    open_embedder,
    open_text_encoder,
)

pytestmark = pytest.mark.integration

LOOPBACK = AddressGuard([ip_network("127.0.0.0/8")])
MIB = 1024 * 1024
FILES = ("vision_model.onnx", "text_model.onnx", "tokenizer.json")
every_file = pytest.mark.parametrize("name", FILES)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Hub, KnownModel]]:
    with tiny_hub(tmp_path / "made") as made:
        yield made


def fetch(hub: Hub, model: KnownModel, folder: Path, *, max_bytes: int = MIB) -> Path:
    return fetched_known_model(
        model, hub.url, folder, guard=LOOPBACK, max_bytes=max_bytes, say=log_progress
    )


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*") if path.suffix != ".lock"]


def path_of(hub: Hub, model: KnownModel, name: str) -> str:
    return next(hub.path(model, file) for file in model.files if file.name == name)


def test_a_model_by_name_is_fetched_once_and_used_offline(
    served: tuple[Hub, KnownModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, model = served
    monkeypatch.setitem(KNOWN_MODELS, model.name, model)
    settings = Settings(
        data=tmp_path, embedder=model.name, models_url=hub.url, fetch_allow="127.0.0.0/8"
    )
    assert [(each.local, each.in_use) for each in list_models(settings)][-1] == (False, True)
    lines: list[str] = []
    embedder = open_embedder(settings, 1, say=lines.append)
    text = open_text_encoder(settings, embedder)
    assert embedder is not None
    assert text is not None
    assert embedder.model.startswith("tiny-clip-")
    assert (embedder.dimension, text.dimension) == (model.dimension, DIMENSION)
    red, blue = embedder.embed(np.stack([picture((1, 0, 0)), picture((0, 0, 1))]))
    words = text.encode(["red"])[0]
    assert words @ red > 0.9 > words @ blue, "pictures and words are of one space"
    plain = [hub.path(model, file) for file in model.files]
    assert [path for path in hub.asked if not path.startswith(CONTENT)] == plain
    assert sum(path.startswith(CONTENT) for path in hub.asked) == 2, "redirects are followed"
    assert [line.partition(",")[0] for line in lines if "(" in line] == [
        f"Fetching tiny-clip: {file.path} ({number} of 3"
        for number, file in enumerate(model.files, 1)
    ]
    assert lines[-1].startswith("Fetched tiny-clip: 0.0 MB; every file has the SHA-256")
    hub.close()
    again = open_embedder(settings, 1)
    assert again is not None
    assert again.model == embedder.model
    assert list_models(settings)[-1].local


@every_file
def test_g9_a_file_with_another_hash_leaves_nothing(
    served: tuple[Hub, KnownModel], tmp_path: Path, name: str
) -> None:
    hub, model = served
    with pytest.raises(ModelError, match=f"{name} has the SHA-256 .* is expected") as error:
        fetch(hub, with_other_hash(model, name), tmp_path / "models")
    assert "TRIPTYCH_MODELS_URL" in str(error.value)
    assert left(tmp_path / "models") == []


@every_file
def test_g9_a_repository_that_changed_leaves_nothing(
    served: tuple[Hub, KnownModel], tmp_path: Path, name: str
) -> None:
    hub, model = served
    hub.files[path_of(hub, model, name)] += b" "
    with pytest.raises(ModelError, match="is expected for tiny-clip"):
        fetch(hub, model, tmp_path / "models")
    assert left(tmp_path / "models") == []


@every_file
def test_a_download_that_is_cut_leaves_nothing_and_the_next_one_succeeds(
    served: tuple[Hub, KnownModel], tmp_path: Path, name: str
) -> None:
    hub, model = served
    hub.cut.add(path_of(hub, model, name))
    with pytest.raises(ModelError, match=f"{name} cannot be fetched"):
        fetch(hub, model, tmp_path / "models")
    assert left(tmp_path / "models") == []
    hub.cut.clear()
    assert fetch(hub, model, tmp_path / "models").is_file()


@every_file
def test_a_file_that_is_gone_is_named(
    served: tuple[Hub, KnownModel], tmp_path: Path, name: str
) -> None:
    hub, model = served
    del hub.files[path_of(hub, model, name)]
    with pytest.raises(ModelError, match=rf"There is no http://127\.0\.0\.1:\d+/.*/{name}"):
        fetch(hub, model, tmp_path / "models")
    assert left(tmp_path / "models") == []


def test_a_revision_that_is_gone_is_named(served: tuple[Hub, KnownModel], tmp_path: Path) -> None:
    hub, model = served
    moved = replace(model, revision="f" * 40)
    with pytest.raises(ModelError, match=f"There is no .*/resolve/{'f' * 40}/onnx"):
        fetch(hub, moved, tmp_path / "models")
    assert left(tmp_path / "models") == []


def test_a_file_beyond_the_cap_leaves_nothing(
    served: tuple[Hub, KnownModel], tmp_path: Path
) -> None:
    hub, model = served
    with pytest.raises(ModelError, match="TRIPTYCH_EMBEDDER_MAX_BYTES"):
        fetch(hub, model, tmp_path / "models", max_bytes=16)
    assert left(tmp_path / "models") == []


def test_g9_a_mirror_that_is_not_public_has_to_be_allowed(
    served: tuple[Hub, KnownModel], tmp_path: Path
) -> None:
    hub, model = served
    with pytest.raises(ModelError, match=r"not a public address.*TRIPTYCH_FETCH_ALLOW"):
        fetched_known_model(
            model, hub.url, tmp_path, guard=AddressGuard(), max_bytes=MIB, say=log_progress
        )
    assert hub.asked == []


def test_fetching_again_reads_every_file(
    served: tuple[Hub, KnownModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, model = served
    monkeypatch.setitem(KNOWN_MODELS, model.name, model)
    settings = Settings(data=tmp_path, models_url=f"{hub.url}/", fetch_allow="127.0.0.0/8")
    path = fetch_model(settings, model.name, say=log_progress)
    asked = len(hub.asked)
    lines: list[str] = []
    assert fetch_model(settings, model.name, say=lines.append) == path
    assert len(hub.asked) == asked
    assert lines == ["tiny-clip is here, and every file has the SHA-256 that this release expects."]
    text = path.with_name("text_model.onnx")
    text.write_bytes(text.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"text_model\.onnx has other content.*Remove"):
        fetch_model(settings, model.name, say=log_progress)
    text.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        check_known_model(model, tmp_path / "models")


def test_a_name_that_is_not_known_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="clip-vit-b32"):
        fetch_model(Settings(data=tmp_path), "clip-vit-b23", say=log_progress)
    with pytest.raises(SettingsError, match=r"There is no file clip-vit-b23.*siglip2-base"):
        open_embedder(Settings(data=tmp_path, embedder="clip-vit-b23"), 1)


@pytest.mark.parametrize("url", ["https://h.example/x?key=1", "https://"])
def test_a_hub_that_is_no_address_is_one_clear_line(
    served: tuple[Hub, KnownModel], tmp_path: Path, url: str
) -> None:
    _, model = served
    with pytest.raises(ModelError, match="TRIPTYCH_MODELS_URL"):
        fetched_known_model(model, url, tmp_path, guard=LOOPBACK, max_bytes=MIB, say=log_progress)


def test_several_processes_at_once_fetch_once(
    served: tuple[Hub, KnownModel], tmp_path: Path
) -> None:
    hub, model = served
    folder = tmp_path / "models"
    at_once(fetch_by_name, hub.url, model, str(folder))
    assert sum(not path.startswith(CONTENT) for path in hub.asked) == len(FILES)
    assert left(folder) == [model.path(folder).parent.name]
