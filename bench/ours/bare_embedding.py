"""The limit of embedding: local files, decoded by Pillow, through ONNX Runtime, and nothing else.

Each thread takes batches of its own from decoding to embeddings: so no core waits for another.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from bench.track import Track
from triptych.embedders.bundled import bundled_model

BATCH = 4
SIDE = 224


def pixels(path: Path) -> np.ndarray:
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.draft("RGB", (2 * SIDE, 2 * SIDE))
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=2)
    return np.asarray(small, np.uint8)


def main() -> None:
    track = Track()
    arguments = track.arguments
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = bundled_model(Path(arguments["folder"]))
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0].name

    def embed(paths: list[Path]) -> int:
        batch = np.stack([pixels(path) for path in paths])
        return len(session.run(None, {given: batch})[0])

    pictures = Path(arguments["pictures"])
    with ThreadPoolExecutor(arguments["threads"]) as pool:
        track.say()
        while (order := track.order()) is not None:
            paths = [pictures / f"{number}.jpg" for number in range(order["urls"])]
            parts = [paths[at : at + BATCH] for at in range(0, len(paths), BATCH)]
            assert sum(pool.map(embed, parts)) == order["urls"]
            track.say()


if __name__ == "__main__":
    main()
