"""How well texts find pictures: ``python -m bench.text_search FOLDER…`` prints recall.

The pictures are looked for below the folders by the ends of their paths (``text_search.json``,
which also says which are relevant for which text). They come from Debian's mate-backgrounds,
gnome-backgrounds and plasma-workspace-wallpapers (``apt-get download`` and ``dpkg-deb -x``), and
from the packages scikit-image and scikit-learn. The embedder is that of ``TRIPTYCH_EMBEDDER``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from triptych.media.decode import decode
from triptych.settings import Settings
from triptych.wiring import open_embedder, open_text_encoder

LABELS = Path(__file__).with_name("text_search.json")
BATCH = 16
MAX_PIXELS = 100_000_000
SHOWN = 3


def main(folders: list[str]) -> None:
    """Print each text's first pictures, and how often a relevant one is among the first."""
    labels = json.loads(LABELS.read_text(encoding="utf-8"))
    files = [path for folder in folders for path in sorted(Path(folder).rglob("*"))]
    found = {
        name: next((path for path in files if str(path).endswith(f"/{name}")), None)
        for name in labels["pictures"]
    }
    names = [name for name, path in found.items() if path is not None]
    settings = Settings.load()
    embedder = open_embedder(settings, 1)
    text = open_text_encoder(settings, embedder)
    if embedder is None or text is None or not names:
        sys.exit("error: no embedder with a text side, or no pictures: name their folders.")
    size = embedder.input_size
    pixels = [
        decode(path.read_bytes(), size=size, max_pixels=MAX_PIXELS).pixels
        for path in found.values()
        if path is not None
    ]
    parts = [
        embedder.embed(np.stack(pixels[at : at + BATCH])) for at in range(0, len(pixels), BATCH)
    ]
    # As the catalogue keeps them.
    embeddings = np.concatenate(parts).astype(np.float16).astype(np.float32)
    ranks = []
    for wanted, relevant in labels["texts"].items():
        scores = (text.encode([wanted]) @ embeddings.T)[0]
        order = np.argsort(-scores)
        hits = [rank for rank, row in enumerate(order) if names[row] in relevant]
        if hits:
            ranks.append(hits[0])
            shown = ", ".join(f"{names[row]} {scores[row]:.2f}" for row in order[:SHOWN])
            print(f"{hits[0] + 1:4}  {wanted}: {shown}")
    at = np.array(ranks)
    recall = "  ".join(f"R@{k} {(at < k).mean():.3f}" for k in (1, 5, 10))
    mean = (1 / (at + 1)).mean()
    print(f"{text.model}: {len(at)} texts, {len(names)} pictures: {recall}  MRR {mean:.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
