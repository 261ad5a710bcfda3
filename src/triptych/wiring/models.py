"""The models that the settings name: downloaded if needed, and loaded once per process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from triptych.embedded.data_folder import MODELS
from triptych.embedders.bundled import bundled_model
from triptych.embedders.class_names import ClassNameEncoder
from triptych.embedders.description import read_description
from triptych.embedders.devices import (
    ACCELERATOR_BATCH,
    ACCELERATOR_CALLS,
    CPU_BATCH,
    Execution,
    FoundDevice,
    Precision,
    find_device,
)
from triptych.embedders.download import (
    Say,
    check_known_model,
    fetched_known_model,
    fetched_model,
)
from triptych.embedders.embedder import Embedder
from triptych.embedders.known_models import KNOWN_MODELS, KnownModel
from triptych.embedders.onnx_embedder import OnnxEmbedder
from triptych.embedders.onnx_text import OnnxTextEncoder
from triptych.embedders.text_encoder import TextEncoder
from triptych.errors import BadInput, SettingsError
from triptych.runtime.cpu import available_cores
from triptych.settings.addresses import is_model_url
from triptych.settings.settings import AUTO, Settings
from triptych.wiring.outbound import address_guard, proxy

BUNDLED = "bundled"


NONE = "none"


_logger = structlog.get_logger(__name__)


def log_progress(line: str) -> None:
    """Log how far a download is, where there is no terminal to show it on."""
    _logger.warning("fetches a model", progress=line)


def open_embedder(
    settings: Settings, threads: int, *, say: Say = log_progress
) -> OnnxEmbedder | None:
    """Load the embedder that the settings name; None for ``none``. Takes about a second.

    A model named by a URL or by its name is downloaded once. Do not call this from an event loop's
    thread.

    Raises:
        SettingsError: there is no such file, or the wanted device is missing.
        ModelError: the model cannot be used or downloaded.
    """
    if settings.embedder == NONE:
        return None
    # Before a model is downloaded that could not be used.
    found = embed_device(settings)
    path = _model(settings, say)
    for reason in found.passed_over:
        _logger.warning("passes a device over", reason=reason, uses=found.device.value)
    execution = Execution(
        found.device, Precision(settings.embed_precision), embed_threads(settings)
    )
    return OnnxEmbedder(path, threads=threads, execution=execution)


def embed_device(settings: Settings) -> FoundDevice:
    """Return what the settings' image encoder runs on; it is looked for once a process.

    Raises:
        SettingsError: the wanted device is not there or does not work.
    """
    return find_device(settings.embed_device, Precision(settings.embed_precision))


def open_text_encoder(
    settings: Settings, embedder: Embedder | None, threads: int = 1
) -> TextEncoder | None:
    """Load the text encoder of ``embedder``, opened with the same settings; None if it has none.

    Takes a second; the first use of the bundled one takes a few more. Do not call this from an
    event loop's thread.

    Raises:
        SettingsError: there is no such file.
        ModelError: the model cannot be used or downloaded.
    """
    if settings.embedder == NONE or embedder is None:
        return None
    path = _model(settings, log_progress)
    if settings.embedder == BUNDLED:
        return ClassNameEncoder(path.parent, embedder, threads=threads)
    text = read_description(path).text
    if text is None:
        return None
    return OnnxTextEncoder(path.parent, text, embedder, threads=threads)


def embed_threads(settings: Settings) -> int:
    """Return how many model calls run concurrently: by default this worker's share of the cores.

    Raises:
        SettingsError: the wanted device is not there or does not work.
    """
    if settings.embed_threads != AUTO:
        return settings.embed_threads
    if not _on_cores(settings):
        return ACCELERATOR_CALLS
    return max(1, available_cores() // settings.workers)


def embed_batch(settings: Settings) -> int:
    """Return how many images the model processes in one batch.

    Raises:
        SettingsError: the wanted device is not there or does not work.
    """
    if settings.embed_batch != AUTO:
        return settings.embed_batch
    return CPU_BATCH if _on_cores(settings) else ACCELERATOR_BATCH


def _on_cores(settings: Settings) -> bool:
    return settings.embedder == NONE or embed_device(settings).device.on_cores


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A known model, and what this machine has of it."""

    model: KnownModel
    local: bool
    in_use: bool


def list_models(settings: Settings) -> Sequence[ListedModel]:
    """Return the models that can be named, and which are here and in use."""
    folder = settings.data / MODELS
    return [
        ListedModel(model, model.path(folder).is_file(), model.name == settings.embedder)
        for model in KNOWN_MODELS.values()
    ]


def fetch_model(settings: Settings, name: str, *, say: Say) -> Path:
    """Download a known model, or read the files that are here again, and return its path.

    Do not call this from an event loop's thread.

    Raises:
        BadInput: no model has that name.
        ModelError: it cannot be downloaded, or a file is not the one that this release expects.
    """
    model = KNOWN_MODELS.get(name)
    if model is None:
        raise BadInput(
            f"No model is known by the name {name!r}.",
            field="NAME",
            remedy=f"Known: {', '.join(KNOWN_MODELS)}.",
        )
    was_here = model.path(settings.data / MODELS).is_file()
    path = _known_model(settings, model, say)
    if was_here:
        check_known_model(model, settings.data / MODELS)
        say(f"{name} is here, and every file has the SHA-256 that this release expects.")
    return path


def _known_model(settings: Settings, model: KnownModel, say: Say) -> Path:
    return fetched_known_model(
        model,
        settings.models_url,
        settings.data / MODELS,
        guard=address_guard(settings),
        max_bytes=settings.embedder_max_bytes,
        proxy=proxy(settings),
        say=say,
    )


def _model(settings: Settings, say: Say) -> Path:
    """Return the file of the configured model, which is not ``none``, unpacked or downloaded."""
    folder = settings.data / MODELS
    if settings.embedder == BUNDLED:
        return bundled_model(folder)
    if settings.embedder in KNOWN_MODELS:
        return _known_model(settings, KNOWN_MODELS[settings.embedder], say)
    if is_model_url(settings.embedder):
        return fetched_model(
            settings.embedder,
            folder,
            guard=address_guard(settings),
            max_bytes=settings.embedder_max_bytes,
            proxy=proxy(settings),
        )
    path = Path(settings.embedder)
    if not path.is_file():
        raise SettingsError(
            f"There is no file {path}.",
            field="TRIPTYCH_EMBEDDER",
            remedy="Use an ONNX file, its https:// URL, `bundled`, `none`, or a name that "
            f"`triptych models` lists: {', '.join(KNOWN_MODELS)}.",
        )
    return path


T = TypeVar("T")


class LoadedModels:
    """The embedder and its text encoder. Both may be called from any thread except an event loop's.

    After a failure to load, the next call tries again: a model to download may be available then.
    """

    def __init__(self, settings: Settings, *, threads: int) -> None:
        self._embedder = _Once(lambda: open_embedder(settings, threads))
        self._text = _Once(lambda: open_text_encoder(settings, self.embedder(), threads))

    def embedder(self) -> Embedder | None:
        """Return the embedder; None if the settings name none.

        Raises:
            SettingsError, ModelError: the embedder cannot be used.
        """
        return self._embedder()

    def text(self) -> TextEncoder | None:
        """Return the embedder's text encoder; None if it has none.

        Raises:
            SettingsError, ModelError: the text encoder cannot be used.
        """
        return self._text()


class _Once(Generic[T]):
    """Calls ``load`` until it has returned once, and keeps the result."""

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._loaded: list[T] = []

    def __call__(self) -> T:
        with self._lock:
            if not self._loaded:
                self._loaded.append(self._load())
            return self._loaded[0]
