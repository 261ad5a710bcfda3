"""Row 2: the same as row 1 with every picture decoded and embedded."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from bench.lanes import Contender, Tell, figures, measured
from bench.origin import PICTURES, origin
from bench.program import Given, Ready
from bench.results import Aim, Entry, compared
from bench.rows.download import CORES, EMBEDDED, downloads, img2dataset
from triptych.embedders.bundled import bundled_model

ROW = 2
TITLE = "download, decode, embed, store"
FULL = {"urls": 4000, "rounds": 3}
REDUCED = {"urls": 40, "rounds": 1}
OF_THE_LIMIT = Aim("≥ 0.9", least=0.9)
AHEAD = Aim("> 1", least=1.0)
LIMIT = "bare loop over local files: decode + ONNX Runtime"
BATCH = 4
SIDE = 224


def pixels(path: Path) -> np.ndarray:
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.draft("RGB", (2 * SIDE, 2 * SIDE))
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=2)
    return np.asarray(small, np.uint8)


@contextmanager
def limit(arguments: Given) -> Iterator[Ready]:
    """Take local files through Pillow and ONNX Runtime, and nothing else.

    Each thread takes batches of its own from decoding to embeddings: no core waits for another.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = bundled_model(Path(arguments["folder"]))
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0].name
    pictures = Path(arguments["pictures"])

    def embed(paths: list[Path]) -> int:
        batch = np.stack([pixels(path) for path in paths])
        return len(session.run(None, {given: batch})[0])

    with ThreadPoolExecutor(arguments["threads"]) as pool:

        def work(order: Given) -> None:
            paths = [pictures / f"{number}.jpg" for number in range(order["urls"])]
            parts = [paths[at : at + BATCH] for at in range(0, len(paths), BATCH)]
            assert sum(pool.map(embed, parts)) == order["urls"]

        yield Ready(work)


def measure(size: dict[str, int], tell: Tell) -> list[Entry]:
    urls = size["urls"]
    local = {"pictures": str(PICTURES), "threads": CORES}
    contenders = [
        Contender("triptych", "bench.ours.brand:brand", {"settings": EMBEDDED}),
        Contender("limit", "bench.rows.embedding:limit", local),
        img2dataset(),
    ]
    with origin(urls) as base:
        spent = measured(contenders, downloads(base, urls), size["rounds"], tell)
    rates = figures(spent, lambda s: urls / s.wall_s)
    # The second pass is the bare loop over the files of the first.
    passes = zip(spent["img2dataset"], spent["limit"], strict=True)
    two = [urls / (first.wall_s + second.wall_s) for first, second in passes]
    cpu = figures(spent, lambda s: round(urls / s.cpu_s, 1))
    what = (ROW, f"{urls:,} JPEGs from nginx: download, decode, embed, store, commit")
    ours, unit, passed = (
        rates["triptych"],
        "images/s",
        "img2dataset, then the bare loop over its files",
    )
    return [
        compared(*what, LIMIT, unit, ours, rates["limit"], OF_THE_LIMIT, per_cpu_s=cpu),
        compared(*what, passed, unit, ours, two, AHEAD),
    ]
