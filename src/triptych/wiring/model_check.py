"""What `triptych doctor` says of the embedder: what it is, what it runs on, and its test pair."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.embedders.bundled import PAIR_COSINE
from triptych.embedders.devices import installed_packages
from triptych.embedders.download import Say
from triptych.embedders.known_models import KNOWN_MODELS, UNPROVEN
from triptych.embedders.onnx_embedder import OnnxEmbedder
from triptych.embedders.sample_pictures import PAIR_TOLERANCE, pair_cosine
from triptych.errors import ModelError
from triptych.settings.settings import Settings
from triptych.wiring.models import BUNDLED, embed_device, open_embedder, open_text_encoder


@dataclass(frozen=True, slots=True)
class ModelFinding:
    """What was found of the configured model."""

    says: str
    warns: bool
    """Whether it is used in another way than could be expected."""


def check_model(settings: Settings, *, say: Say) -> ModelFinding:
    """Load the configured model, and compare its test pair with the expected cosine, if any.

    Do not call this from an event loop's thread.

    Raises:
        SettingsError: there is no such file, or the wanted device is missing.
        ModelError: the model cannot be used or downloaded, or its test pair is wrong.
    """
    embedder = open_embedder(settings, 1, say=say)
    if embedder is None:
        return ModelFinding("none: assets are stored without embeddings", warns=False)
    text = open_text_encoder(settings, embedder)
    search = f"search by text with {text.model}" if text else "no text encoder: no search by text"
    passed_over = embed_device(settings).passed_over
    packages = installed_packages()
    parts = [
        f"{embedder.model}, {embedder.dimension}-d, {embedder.input_size} px",
        _device(embedder),
        search,
        _test_pair(settings, embedder),
        *passed_over,
    ]
    if several := len(packages) > 1:
        parts.append(f"{' and '.join(packages)} overwrite each other: keep one")
    known = KNOWN_MODELS.get(settings.embedder)
    if known is not None and known.pair_cosine is None:
        parts.append(f"{known.name} is unproven in this release: {UNPROVEN}")
    return ModelFinding("; ".join(parts), warns=bool(passed_over) or several)


def _device(embedder: OnnxEmbedder) -> str:
    likeness = embedder.likeness
    on = f"on {embedder.execution.name}"
    return on if likeness is None else f"{on}, cosine with the CPU at least {likeness:.5f}"


def _test_pair(settings: Settings, embedder: OnnxEmbedder) -> str:
    """Return what the test pair's cosine says.

    Raises:
        ModelError: it is not the expected one.
    """
    found = pair_cosine(embedder)
    expected = _expected(settings.embedder)
    if expected is None:
        return f"test pair {found:.4f}, with no expected value to compare it with"
    if abs(found - expected) > PAIR_TOLERANCE:
        raise ModelError(
            f"The test pair of {embedder.model} has a cosine of {found:.4f} on "
            f"{embedder.execution.name}; {expected:.4f} is expected.",
            remedy="Its vectors are not what the model is known for. Try "
            "TRIPTYCH_EMBED_DEVICE=cpu, then `triptych models fetch` or another model.",
        )
    return f"test pair {found:.4f}, as expected"


def _expected(embedder: str) -> float | None:
    if embedder == BUNDLED:
        return PAIR_COSINE
    known = KNOWN_MODELS.get(embedder)
    return None if known is None else known.pair_cosine
