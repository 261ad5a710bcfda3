"""The models of one process: each loaded when it is first needed, and once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from triptych.embedders.embedder import Embedder
from triptych.embedders.text_encoder import TextEncoder
from triptych.settings.settings import Settings
from triptych.wiring.components import open_embedder, open_text_encoder

T = TypeVar("T")


class LoadedModels:
    """The embedder and its text side. Both may be called from any thread, but no event loop's.

    What fails to load fails again at the next call, which tries anew: a model that is fetched may
    be there by then.
    """

    def __init__(self, settings: Settings, *, threads: int) -> None:
        self._embedder = _Once(lambda: open_embedder(settings, threads))
        self._text = _Once(lambda: open_text_encoder(settings, self.embedder(), threads))

    def embedder(self) -> Embedder | None:
        """Return the embedder; None if the settings name none.

        Raises:
            SettingsError, ModelError: it cannot be used.
        """
        return self._embedder()

    def text(self) -> TextEncoder | None:
        """Return the embedder's text side; None if it has none.

        Raises:
            SettingsError, ModelError: it cannot be used.
        """
        return self._text()


class _Once(Generic[T]):
    """Calls ``load`` until it has returned once, and keeps what it gave."""

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._loaded: list[T] = []

    def __call__(self) -> T:
        with self._lock:
            if not self._loaded:
                self._loaded.append(self._load())
            return self._loaded[0]
