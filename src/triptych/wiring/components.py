"""Opening the object store and the embedder that the settings name."""

from __future__ import annotations

from pathlib import Path

from triptych.adapters.embedders.bundled import bundled_model
from triptych.adapters.embedders.onnx import OnnxEmbedder
from triptych.data_folder import MODELS, OBJECTS
from triptych.errors import SettingsError
from triptych.objects import ObjectStore, open_store
from triptych.ports import Embedder
from triptych.settings import Settings


async def open_objects(settings: Settings) -> ObjectStore:
    """Open the object store and check that it can be used.

    Raises:
        StoreUnavailable: it cannot.
    """
    store = open_store(settings.store_url, settings.data / OBJECTS)
    await store.check()
    return store


def open_embedder(settings: Settings, threads: int) -> Embedder | None:
    """Load the embedder that the settings name; None for ``none``. Takes about a second.

    Raises:
        SettingsError: there is no such file.
        ModelError: it cannot be used.
    """
    if settings.embedder == "none":
        return None
    if settings.embedder == "bundled":
        path = bundled_model(settings.data / MODELS)
    else:
        path = Path(settings.embedder)
        if not path.is_file():
            raise SettingsError(
                f"There is no file {path}.",
                field="TRIPTYCH_EMBEDDER",
                remedy="Name an ONNX file, `bundled` or `none`.",
            )
    return OnnxEmbedder(path, threads=threads)
