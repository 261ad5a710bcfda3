"""The models that the settings name: downloaded if needed, and loaded once per process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from triptych.embedded.data_folder import MODELS
from triptych.embedders.bundled import bundled_model
from triptych.embedders.class_names import ClassNameEncoder
from triptych.embedders.description import read_description
from triptych.embedders.download import fetched_model
from triptych.embedders.embedder import Embedder
from triptych.embedders.onnx_embedder import OnnxEmbedder
from triptych.embedders.onnx_text import OnnxTextEncoder
from triptych.embedders.text_encoder import TextEncoder
from triptych.errors import SettingsError
from triptych.runtime.cpu import available_cores
from triptych.settings.addresses import is_model_url
from triptych.settings.settings import AUTO, Settings
from triptych.wiring.outbound import address_guard, proxy

BUNDLED = "bundled"


NONE = "none"


EMBED_BATCH = 4
"""Images in a batch. Measured with the bundled model and one thread per core: an image takes 7.5 to
8.5 ms of CPU time in batches of up to eight, and 9.5 ms in batches of sixteen, whose layers do not
fit into a cache. A worker needs the least CPU time with four, and a tenth more if threads share a
batch instead of processing one each."""


def open_embedder(settings: Settings, threads: int) -> Embedder | None:
    """Load the embedder that the settings name; None for ``none``. Takes about a second.

    A model named by a URL is downloaded once. Do not call this from an event loop's thread.

    Raises:
        SettingsError: there is no such file.
        ModelError: the model cannot be used or downloaded.
    """
    path = _model(settings)
    return None if path is None else OnnxEmbedder(path, threads=threads)


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
    path = _model(settings)
    if path is None or embedder is None:
        return None
    if settings.embedder == BUNDLED:
        return ClassNameEncoder(path.parent, embedder, threads=threads)
    text = read_description(path).text
    if text is None:
        return None
    return OnnxTextEncoder(path.parent, text, embedder, threads=threads)


def embed_threads(settings: Settings) -> int:
    """Return how many model calls run concurrently: by default this worker's share of the cores."""
    if settings.embed_threads != AUTO:
        return settings.embed_threads
    return max(1, available_cores() // settings.workers)


def embed_batch(settings: Settings) -> int:
    """Return how many images the model processes in one batch."""
    return EMBED_BATCH if settings.embed_batch == AUTO else settings.embed_batch


def _model(settings: Settings) -> Path | None:
    """Return the file of the configured model, unpacked or downloaded; None for ``none``."""
    if settings.embedder == NONE:
        return None
    folder = settings.data / MODELS
    if settings.embedder == BUNDLED:
        return bundled_model(folder)
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
            remedy="Use an ONNX file, its https:// URL, `bundled` or `none`.",
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
