"""Models that are named instead of described: public ONNX exports, pinned file by file.

Each entry has the repository, its revision and the SHA-256 of every file. Public projects that use
the same files publish these hashes: for each file at least two that agree, for mobileclip-s2 one
and its descendants. The files were never fetched where this table was written, so no entry has a
measured test pair yet (`UNPROVEN`). A wrong hash can only refuse a download, never accept another
file (ADR 48).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from triptych.embedders.description import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Description,
    TextDescription,
)

KEY_CHARS = 12
UNPROVEN = "never fetched or run by its authors; its hashes are those that other projects publish"
"""What is said of an entry that has no measured test pair."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file of a model's repository."""

    path: str
    """In the repository."""
    sha256: str
    size_bytes: int | None = None
    """None if no source says it."""

    @property
    def name(self) -> str:
        """Its name without folders, by which it is kept and described."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that `TRIPTYCH_EMBEDDER` may name."""

    name: str
    what: str
    """What it is good for, in a few words."""
    repository: str
    """``owner/name`` on the Hugging Face Hub, or on a mirror of the same layout."""
    revision: str
    """A commit; a branch where no commit is known, which the hashes pin all the same."""
    image: KnownFile
    """The image encoder."""
    others: tuple[KnownFile, ...]
    description: Description
    dimension: int
    licence: str
    """Of the weights."""
    note: str = ""
    """What a user must know before using it."""
    pair_cosine: float | None = None
    """Of the test pair, measured on the CPU; None: never measured."""

    @property
    def files(self) -> tuple[KnownFile, ...]:
        """All its files, the image encoder first."""
        return (self.image, *self.others)

    @property
    def size_bytes(self) -> int | None:
        """Bytes of all its files; None if a size is not known."""
        sizes = [file.size_bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def texts(self) -> bool:
        """Whether pictures are found by words with it."""
        return self.description.text is not None

    def path(self, models: Path) -> Path:
        """Return where its image encoder is kept below the folder of all models.

        The folder's name depends on the hashes and on the description, and not on the place that
        they are fetched from. So a release that changes either fetches into a new folder.
        """
        meaning = json.dumps(
            {
                "files": [[file.name, file.sha256] for file in self.files],
                "description": self.description.model_dump(mode="json"),
            },
            sort_keys=True,
        )
        key = hashlib.sha256(meaning.encode()).hexdigest()[:KEY_CHARS]
        return models / f"{self.name}-{key}" / f"{self.name}.onnx"

    def kept_as(self, file: KnownFile) -> str:
        """Return the name that a file has beside the model."""
        return f"{self.name}.onnx" if file == self.image else file.name


CLIP_VIT_B32 = KnownModel(
    name="clip-vit-b32",
    what="what most tools use; English",
    repository="Xenova/clip-vit-base-patch32",
    revision="d15189d7028b43f1d3e65039190477f6af591c2a",
    image=KnownFile(
        "onnx/vision_model.onnx",
        "fd6e1402a588279d1723c7534d4bcba5bc0b14b47dfab0e46f8c47b8270d7d40",
        351_685_709,
    ),
    others=(
        KnownFile(
            "onnx/text_model.onnx",
            "3f6571f5bad13a97c469c1622e1cfc4d9aef78b79fdbfcff804ca357bfada8cc",
            254_058_553,
        ),
        KnownFile(
            "tokenizer.json",
            "f7f3b7af117d467b58374797691a6438d3e6b9e9cef800dfd5dced7f697a90cd",
            2_224_119,
        ),
    ),
    description=Description(
        input_size=224,
        layout="NCHW",
        mean=CLIP_MEAN,
        std=CLIP_STD,
        output="image_embeds",
        text=TextDescription(
            model="text_model.onnx",
            tokenizer="tokenizer.json",
            context=77,
            output="text_embeds",
            template="a photo of {}",
            logit_scale=100.0,
            logit_bias=-25.0,
        ),
    ),
    dimension=512,
    licence="MIT",
)

SIGLIP2_BASE = KnownModel(
    name="siglip2-base",
    what="graphics too; many languages",
    repository="onnx-community/siglip2-base-patch16-224-ONNX",
    revision="ba1f3b0843f24bc5417d38e19c37b287d719b2f4",
    image=KnownFile(
        "onnx/vision_model.onnx",
        "c0573e3f4140c3a7c4e9cc5912bd6b26a033b46a6a8e8af26cbea262b163bcad",
        371_807_752,
    ),
    others=(
        KnownFile(
            "onnx/text_model.onnx",
            "baf12d941beabafafb14f7b4adb38dc15be18681b964a84410ec53d9d65e6293",
            1_129_469_657,
        ),
        KnownFile(
            "tokenizer.json",
            "cb9140fae3ac5122c972d37adf83e1248471a38147ad76f8215c8872c6fd8322",
            34_363_039,
        ),
    ),
    description=Description(
        input_size=224,
        layout="NCHW",
        mean=HALF,
        std=HALF,
        output="pooler_output",
        text=TextDescription(
            model="text_model.onnx",
            tokenizer="tokenizer.json",
            context=64,
            padding="context",
            pad_id=0,
            output="pooler_output",
            template="this is a photo of {}",
            lowercase=True,
            # exp(4.724453) and the bias of google/siglip2-base-patch16-224.
            logit_scale=112.67,
            logit_bias=-16.7717,
        ),
    ),
    dimension=768,
    licence="Apache-2.0",
    note="the export's page repeats no licence of its own",
)

SIGLIP_BASE = KnownModel(
    name="siglip-base",
    what="photographs; English",
    repository="Xenova/siglip-base-patch16-224",
    revision="4649052661e53c7000355844105f8a1792088239",
    image=KnownFile(
        "onnx/vision_model.onnx",
        "f89d41bac7f4d4b87e010a467d93f98689d708916ed22f5a07f96fdfa26f475f",
        371_819_850,
    ),
    others=(
        KnownFile(
            "onnx/text_model.onnx",
            "3aa7fdbd20eaa8740cce17bf82913de641fcb632a768fed59f661cdcd0c32553",
            441_332_132,
        ),
        KnownFile(
            "tokenizer.json",
            "4a17c975210be5ab4c36b47d8dae4eefb866dbfb1e676e394aad85dc30a3ae08",
            2_398_744,
        ),
    ),
    description=Description(
        input_size=224,
        layout="NCHW",
        mean=HALF,
        std=HALF,
        output="pooler_output",
        text=TextDescription(
            model="text_model.onnx",
            tokenizer="tokenizer.json",
            context=64,
            padding="context",
            pad_id=1,
            output="pooler_output",
            template="a photo of {}",
            lowercase=True,
            logit_scale=117.3,
            logit_bias=-12.9,
        ),
    ),
    dimension=768,
    licence="Apache-2.0",
)

MOBILECLIP_S2 = KnownModel(
    name="mobileclip-s2",
    what="fast on processor cores; English",
    repository="Xenova/mobileclip_s2",
    # No project publishes a commit with the hashes.
    revision="main",
    image=KnownFile(
        "onnx/vision_model.onnx",
        "d28b92d7a3a6ba99bd000cce5c91678c0e279dc934c887a3785908a811872a6c",
        143_020_962,
    ),
    others=(
        KnownFile(
            "onnx/text_model.onnx",
            "ff82e945c6c652c51df687e10f102a8e43c87d37c9108ff692468be3732f3710",
        ),
        KnownFile(
            "tokenizer.json",
            "72ed5c96db5729294468543e4bc75fce14ca63f58e37300290189ba1c1e52b85",
            2_224_081,
        ),
    ),
    description=Description(
        input_size=256,
        layout="NCHW",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        output="image_embeds",
        text=TextDescription(
            model="text_model.onnx",
            tokenizer="tokenizer.json",
            context=77,
            # Its text encoder sees the padding, which was zero in training.
            padding="context",
            pad_id=0,
            output="text_embeds",
            template="a photo of {}",
            logit_scale=100.0,
            logit_bias=-25.0,
        ),
    ),
    dimension=512,
    licence="Apple, research",
    note="read the licence first: its weights are for research, not for a business",
)

DINOV2_SMALL = KnownModel(
    name="dinov2-small",
    what="likeness of pictures alone; small",
    repository="Xenova/dinov2-small",
    revision="c2bb04a51fab207c420665f1946016107bffc701",
    image=KnownFile(
        "onnx/model.onnx",
        "83141175ec78b4ff9a2bb58a4c7c264ba0054d1c2e122e5a8114b79a8d4179ea",
        88_459_888,
    ),
    others=(),
    description=Description(
        input_size=224,
        layout="NCHW",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        output="last_hidden_state",
        pooling="cls",
    ),
    dimension=384,
    licence="Apache-2.0",
)

KNOWN_MODELS: dict[str, KnownModel] = {
    model.name: model
    for model in (CLIP_VIT_B32, SIGLIP2_BASE, SIGLIP_BASE, MOBILECLIP_S2, DINOV2_SMALL)
}
"""By name."""
