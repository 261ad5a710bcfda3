"""Room `people`: which pictures show people, and whether photographs' tags are right."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evals.acquired import MAX_PIXELS, acquire, embedder
from evals.page import Figure, Findings
from evals.photos import jpeg, reduced
from evals.sources import foods, photographs, portraits
from evals.text import likeliest_names, with_text, words_of
from evals.verdicts import shows_people
from triptych.ai.context import AssetStepOutcome
from triptych.ai.pictures import in_proportion
from triptych.ai.step import Snapshot
from triptych.ai.steps.people.faces import LONGEST_SIDE, PEOPLE_FINDING
from triptych.ai.steps.tags.tags import find_tags
from triptych.embedders.text_encoder import TextEncoder
from triptych.features.feature_store import Feature
from triptych.features.picture_people import PEOPLE
from triptych.media.decode import decode
from triptych.settings.settings import Settings
from triptych.wiring.models import open_text_encoder

LABELS = Path(__file__).with_name("labels.json")
HARDLY_SEEN = frozenset(
    {
        "adrian-infernus-281832",
        "clarisse-meyer-122804",
        "david-marcu-114194",
        "davide-cantelli-139887",
        "jakob-owens-224352",
    }
)
"""Photographs with people a few pixels high, or with feet only: neither right nor wrong."""
MASKED = "male/18"
"""A portrait whose face a toy's head hides: neither right nor wrong."""
EVERY_FOOD = 8
PERSON = "a photograph of a person"

ABOUT = """
*People*: {portraits} portraits and {photographs} photographs of tabler-ui (npm), {people} of these
with people at least a tenth of the picture high, and {foods} foods; labelled by eye. A picture is
said to show people if a face is found in it: people who are seen from behind are not. Baseline: the
cosine with the text "{text}" at the threshold with the best F1 on these very pictures.

*Tags* of the same photographs: all {labelled} are labelled by eye, by one judge, with every word of
the vocabulary that is right for them. Baseline: the name of the likeliest class of the bundled
classifier, right if it shares a word with those.
"""

Marked = npt.NDArray[np.bool_]


def measure() -> Findings:
    """Return recall and precision of people, and the precision of tags."""
    text = open_text_encoder(Settings.load(), embedder())
    if text is None:
        raise SystemExit("error: the embedder has no text side.")
    right: Mapping[str, list[str]] = json.loads(LABELS.read_text(encoding="utf-8"))["photographs"]
    scenes = {name: jpeg(reduced(path)) for name, path in photographs().items()}
    counted = {name: body for name, body in scenes.items() if name not in HARDLY_SEEN}
    faces = {name: path.read_bytes() for name, path in portraits().items() if name != MASKED}
    dishes = {one.code: one.path.read_bytes() for one in foods()[::EVERY_FOOD]}
    peopled = {name for name in counted if "person" in right[name]}
    bodies = {**faces, **counted, **dishes}
    shown = _with_faces(with_text(acquire(bodies), text), list(bodies.values()))
    truth = np.array([name in faces or name in peopled for name in shown.urls])
    about = ABOUT.format(
        portraits=len(faces),
        photographs=len(counted),
        people=len(peopled),
        foods=len(dishes),
        text=PERSON,
        labelled=len(right),
    )
    figures = [
        *_people(shown, text, truth),
        *_tags(with_text(acquire(scenes), text), right),
    ]
    return Findings("People and tags", about, figures)


def _people(shown: Snapshot, text: TextEncoder, truth: Marked) -> list[Figure]:
    scores = (text.encode([PERSON]) @ shown.embeddings.astype(np.float32).T)[0]
    best = max(np.unique(scores), key=lambda least: _f1(scores >= least, truth))
    systems = {"Triptych": shows_people(shown), "cosine with a text": scores >= best}
    shares = {name: _recall_and_precision(said, truth) for name, said in systems.items()}
    return [
        Figure("people: recall", {name: share[0] for name, share in shares.items()}, "≥ 0.85"),
        Figure("people: precision", {name: share[1] for name, share in shares.items()}, "≥ 0.85"),
    ]


def _with_faces(shown: Snapshot, bodies: Sequence[bytes]) -> Snapshot:
    """Return a snapshot with the people of its pictures, found as the AI phase does it."""
    found: list[Mapping[str, Any]] = []
    for body in bodies:
        square = decode(body, size=LONGEST_SIDE, max_pixels=MAX_PIXELS)
        found += PEOPLE_FINDING.compute([in_proportion(square, LONGEST_SIDE)])
    return replace(shown, context=replace(shown.context, features=_Found(found)))


class _Found:
    """The results of the asset step `people`, by row."""

    def __init__(self, results: Sequence[Mapping[str, Any]]) -> None:
        self._results = results

    def outcome(self, step: str) -> AssetStepOutcome | None:
        """Return that it is done."""
        return AssetStepOutcome() if step == PEOPLE.name else None

    def read(self, step: str) -> Iterator[tuple[int, Feature]]:
        """Yield each row and its feature."""
        assert step == PEOPLE.name
        for row, result in enumerate(self._results):
            yield row, Feature(bytes(32), result)


def _recall_and_precision(said: Marked, truth: Marked) -> tuple[float, float | None]:
    """Return both; no precision where nothing is said."""
    both = int((said & truth).sum())
    return both / int(truth.sum()), both / int(said.sum()) if said.any() else None


def _f1(said: Marked, truth: Marked) -> float:
    return 2 * int((said & truth).sum()) / (int(said.sum()) + int(truth.sum()))


def _tags(scenes: Snapshot, right: Mapping[str, list[str]]) -> list[Figure]:
    marks = find_tags(scenes).marks["tags"]
    given = [
        (right[name], tag)
        for name, tags in zip(scenes.urls, marks, strict=True)
        for tag in tags or ()
    ]
    classes = [
        bool(name & words_of(" ".join(right[url])))
        for url, name in zip(scenes.urls, likeliest_names(scenes), strict=True)
    ]
    tagged = sum(bool(tags) for tags in marks) / len(scenes)
    share = sum(tag in truth for truth, tag in given) / max(len(given), 1)
    return [
        Figure("photographs: share tagged", {"tags": tagged, "likeliest class": 1.0}),
        Figure(
            f"photographs: of {len(given)} tags, rightly",
            {"tags": share, "likeliest class": float(np.mean(classes))},
            "≥ 0.75",
        ),
    ]
