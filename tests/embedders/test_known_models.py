"""The table of models that can be named holds together, and the guide has the same."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from triptych.embedders.description import FILE_NAME
from triptych.embedders.known_models import KNOWN_MODELS, KnownModel
from triptych.settings.addresses import is_model_url

GUIDE = Path(__file__).parents[2] / "docs/guides/embedders.md"
SHA256 = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")
ON_A_BRANCH = {"mobileclip-s2"}
"""Models whose hashes nobody publishes with a commit."""

every_model = pytest.mark.parametrize("model", KNOWN_MODELS.values(), ids=KNOWN_MODELS)


@every_model
def test_every_file_is_pinned(model: KnownModel) -> None:
    assert all(SHA256.fullmatch(file.sha256) for file in model.files)
    assert len({file.sha256 for file in model.files}) == len(model.files)
    assert bool(COMMIT.fullmatch(model.revision)) == (model.name not in ON_A_BRANCH)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.repository)


@every_model
def test_the_description_names_the_files_that_are_fetched(model: KnownModel) -> None:
    assert sorted(model.description.files) == sorted(file.name for file in model.others)
    kept = [model.kept_as(file) for file in model.files]
    assert len(set(kept)) == len(kept), "one file would replace another"
    assert all(FILE_NAME.fullmatch(name) for name in kept)
    assert model.texts == (model.description.text is not None)
    assert model.description.layout == "NCHW", "the exports' sizes are symbolic"


@every_model
def test_a_name_can_be_nothing_else(model: KnownModel) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", model.name)
    assert KNOWN_MODELS[model.name] is model
    assert model.name not in {"bundled", "none"}
    assert not is_model_url(model.name)


@every_model
def test_the_guide_says_the_same(model: KnownModel) -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `{model.name}` \|.*$", guide, re.MULTILINE)
    size = "?" if model.size_bytes is None else f"{model.size_bytes / 1_000_000:,.0f} MB"
    for text in (model.repository, str(model.dimension), size, model.licence):
        assert f"| {text} |" in row or f"`{text}`" in row
    assert ("unproven" in row) == (model.pair_cosine is None)


@every_model
def test_other_content_is_kept_in_another_folder(model: KnownModel, tmp_path: Path) -> None:
    path = model.path(tmp_path)
    assert path.is_relative_to(tmp_path)
    assert path.name == f"{model.name}.onnx"
    other = replace(model, image=replace(model.image, sha256="0" * 64))
    described = model.description.model_copy(update={"mean": (0.1, 0.1, 0.1)})
    assert (
        len({path, other.path(tmp_path), replace(model, description=described).path(tmp_path)}) == 3
    )
    assert replace(model, revision="x", repository="a/b").path(tmp_path) == path


def test_a_size_that_is_not_known_is_not_made_up() -> None:
    assert KNOWN_MODELS["mobileclip-s2"].size_bytes is None
    assert KNOWN_MODELS["clip-vit-b32"].size_bytes == 351_685_709 + 254_058_553 + 2_224_119
