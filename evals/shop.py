"""Room `shop`: search and the labels of clusters in a greengrocer's catalogue with its names."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evals.acquired import acquire, embedder
from evals.page import Figure, Findings
from evals.sources import Food, foods
from evals.text import first_rank, with_text, words_of
from triptych.ai.step import Snapshot
from triptych.ai.steps.clusters.clusters import find_clusters
from triptych.ai.steps.tags.tags import find_tags
from triptych.embedders.text_encoder import TextEncoder
from triptych.model import Asset
from triptych.settings.settings import Settings
from triptych.snapshots.search_ranking import rank
from triptych.snapshots.search_store import Hit, WordHit
from triptych.snapshots.word_match import words_of as search_words
from triptych.wiring.models import open_text_encoder

LABELS = Path(__file__).with_name("labels.json")
KS = (1, 5, 10)
RANK_OFFSET = 10
"""Of reciprocal ranks: content decides between names with the same share of words."""
LABELLED_SHARE = 0.5
"""Of a cluster's pictures, that its label must be right for."""
SYNONYMS: Mapping[str, str] = {
    "Brinjal": "vegetable eggplant",
    "Plantain": "banana fruit",
    "Egg": "egg",
    "Tomato": "fruit",
    "Crab": "shellfish seafood",
    "Lobster": "shellfish seafood",
}
GROUP_WORDS: Mapping[str, str] = {
    "Fruits": "fruit",
    "Other Vegetables": "vegetable",
    "Green Leafy Vegetables": "vegetable leaf tree",
    "Roots and Tubers": "vegetable root",
    "Marine Fish": "fish sea",
    "Fresh Water Fish and Shellfish": "fish",
    "Mushrooms": "mushroom vegetable",
    "Marine Mollusks": "shell seafood",
    "Marine Shellfish": "shellfish crab seafood",
    "Grain Legumes": "bean seed",
    "Cereals and Millets": "grain seed",
    "Nuts and Oil Seeds": "nut seed",
    "Condiments and Spices": "spice",
    "Edible Oils and Fats": "oil bottle",
}

ABOUT = """
{foods} foods of the room `packshots`, each named as a shop names its files, such as
`grapes-seeded-round-black.jpg`. *Search*: {queries} queries as people ask ("eggplant" for
brinjal, "red bell pepper"), with the foods that answer them. R@k: the share of queries with a right
picture among the first k, ties counted against. Baselines: *names alone*, the share of the query's
words in the name, and *names and content*, that share and the reciprocal rank by content added.
Triptych ranks by tags, names and content, as its search does.

*Labels*: of the clusters of this brand. Right: the label's words, up to its first comma, are in the
name, the food group or their synonyms of at least half of the pictures; a colour that no name has
is wrong. Baseline: the word most frequent in the names of a cluster. *Tags*: right by the same
words.
"""

Floats = npt.NDArray[np.float32]


def measure() -> Findings:
    """Return recall of search, and how many labels and tags are right."""
    text = open_text_encoder(Settings.load(), embedder())
    if text is None:
        raise SystemExit("error: the embedder has no text side.")
    queries: Mapping[str, list[str]] = json.loads(LABELS.read_text(encoding="utf-8"))["queries"]
    listed = foods()
    shop = with_text(acquire({_url(one): one.path.read_bytes() for one in listed}), text)
    about = ABOUT.format(foods=len(listed), queries=len(queries))
    figures = [*_search(shop, text, listed, queries), *_labels(shop, listed), _tags(shop, listed)]
    return Findings("A shop: search and labels", about, figures)


def _url(one: Food) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", one.name.lower()).strip("-")
    return f"https://shop.example/{one.code.lower()}/{name}.jpg"


def _search(
    shop: Snapshot, text: TextEncoder, listed: Sequence[Food], queries: Mapping[str, list[str]]
) -> Iterator[Figure]:
    row_of = {one.code: row for row, one in enumerate(listed)}
    content = text.encode(list(queries)) @ shop.embeddings.astype(np.float32).T
    words = [words_of(one.name) for one in listed]
    asked = [words_of(query) for query in queries]
    names = np.array([[len(query & name) / len(query) for name in words] for query in asked])
    named: Floats = np.asarray(names, np.float32)
    fused: Floats = named + np.float32(1) / (RANK_OFFSET + _ranks(content))
    systems: Mapping[str, Floats] = {
        "Triptych": _ranking(shop, text, list(queries), content),
        "names alone": named,
        "names and content": fused,
    }
    relevant = [{row_of[code] for code in codes if code in row_of} for codes in queries.values()]
    ranks = {
        name: np.array(
            [first_rank(row, right) for row, right in zip(scores, relevant, strict=True)]
        )
        for name, scores in systems.items()
    }
    for k in KS:
        shares = {name: float((found < k).mean()) for name, found in ranks.items()}
        yield Figure(f"search: R@{k}", shares, "≥ 0.8" if k == 1 else "")


def _ranking(shop: Snapshot, text: TextEncoder, queries: Sequence[str], content: Floats) -> Floats:
    """Return minus each picture's place in Triptych's search, by query; copies are not folded."""
    tags = find_tags(shop).marks["tags"]
    assets = [_asset(shop, row) for row in range(len(shop))]
    row_of = {asset.key: row for row, asset in enumerate(assets)}
    places = np.zeros_like(content)
    for at, query in enumerate(queries):
        scores: list[float | None] = text.calibrate(content[at]).tolist()
        cosines = content[at].tolist()
        found = rank(
            search_words(query),
            [
                (Hit(asset, cosine), score)
                for asset, cosine, score in zip(assets, cosines, scores, strict=True)
            ],
            [
                (WordHit(asset, given or (), cosine, None), score)
                for asset, given, cosine, score in zip(assets, tags, cosines, scores, strict=True)
            ],
        )
        for place, each in enumerate(found):
            places[at, row_of[each.asset.key]] = -place
    return places


def _asset(shop: Snapshot, row: int) -> Asset:
    """Return a picture as the search has it; what the ranking does not read is empty."""
    return Asset(
        run_id=shop.run_id,
        key=bytes(shop.keys[row]),
        brand=shop.brand,
        url=shop.urls[row],
        sha256=bytes(shop.sha256[row]),
        object_key="",
        media_type=shop.media_types[row],
        size_bytes=int(shop.size_bytes[row]),
        width=int(shop.widths[row]),
        height=int(shop.heights[row]),
        phash=None,
        metadata={},
        model=shop.model,
        embedding=None,
    )


def _ranks(scores: Floats) -> Floats:
    """Return each picture's rank from 0, by row; equal scores have equal ranks."""
    ordered = np.sort(scores, axis=1)
    above = [
        row.size - np.searchsorted(line, row, side="right")
        for row, line in zip(scores, ordered, strict=True)
    ]
    return np.asarray(above, np.float32)


def _truth(one: Food) -> frozenset[str]:
    also = f"food {GROUP_WORDS.get(one.group, '')} {SYNONYMS.get(one.family, '')}"
    return words_of(f"{one.name} {also}")


def _labels(shop: Snapshot, listed: Sequence[Food]) -> list[Figure]:
    clusters = find_clusters(shop).result["clusters"]
    row_of = {shop.key(row): row for row in range(len(shop))}
    verdict = {"Triptych": Counter[str](), "commonest word": Counter[str]()}
    for cluster in clusters:
        members = [listed[row_of[key]] for key in cluster["members"]]
        words = Counter(word for one in members for word in words_of(one.name))
        said = {
            "Triptych": cluster["label"],
            "commonest word": words.most_common(1)[0][0],
        }
        for name, label in said.items():
            verdict[name][_judged(label, members)] += 1
    count = max(len(clusters), 1)
    fine = {name: (seen["right"] + seen["absent"]) / count for name, seen in verdict.items()}
    return [
        Figure(f"labels of {count} clusters: right or absent", fine, "≥ 0.8"),
        *(
            Figure(f"labels: {what}", {name: seen[what] for name, seen in verdict.items()})
            for what in ("right", "absent", "wrong")
        ),
    ]


def _judged(label: str | None, members: Sequence[Food]) -> str:
    if not label:
        return "absent"
    words = words_of(label.split(",")[0])
    right = sum(bool(words) and words <= _truth(one) for one in members)
    return "right" if right >= LABELLED_SHARE * len(members) else "wrong"


def _tags(shop: Snapshot, listed: Sequence[Food]) -> Figure:
    given = [
        words_of(tag) <= _truth(one)
        for one, tags in zip(listed, find_tags(shop).marks["tags"], strict=True)
        for tag in tags or ()
    ]
    values = {"Triptych": sum(given) / max(len(given), 1), "commonest word": None}
    return Figure(f"foods: of {len(given)} tags, rightly", values, "≥ 0.75")
