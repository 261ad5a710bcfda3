"""One ranking of what was found by content and by words, with copies folded into one.

What has every word of the query comes first: tags before file names, these before the text in the
picture, this before metadata, these before the brand's name, and within each by content. Then come
the assets that show what the query says, those with some of its words a little sooner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from triptych.model import Asset
from triptych.snapshots.search_store import Hit, WordHit
from triptych.snapshots.word_match import Field, Found, match_words

WHOLE = 1.0
"""What every word found is worth; what an asset shows, at most 1, is never worth more…"""
SHOWN = 0.15
"""…and this much of it orders what has the words in the same field: less than fields differ."""
PART = 0.5
"""What some of the words are worth beside what the asset shows."""
MATCH_MIN = 0.1
"""Least score of what matches by its content alone."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """An asset that was found."""

    asset: Asset
    similarity: float | None
    score: float | None
    fields: tuple[Field, ...] = ()
    group: str | None = None
    rank: float = 0.0
    copies: int = 1
    """Assets that were found and are this picture, itself included."""
    also_in: Sequence[str] = field(default=())
    """Other brands of these."""

    @property
    def matches(self) -> bool:
        """Whether it has words of the query, or probably shows what it says."""
        return bool(self.fields) or (self.score or 0.0) >= MATCH_MIN


def rank(
    words: Sequence[str],
    content: Iterable[tuple[Hit, float | None]],
    named: Iterable[tuple[WordHit, float | None]],
) -> list[Ranked]:
    """Return what was found by content and by words, each asset once, the best first.

    Beside each hit is its calibrated score.
    """
    found: dict[tuple[str, bytes], Ranked] = {}
    for hit, score in content:
        found[_place(hit.asset)] = Ranked(
            hit.asset, hit.similarity, score, group=hit.group, rank=score or 0.0
        )
    for word_hit, known in named:
        asset = word_hit.asset
        said = match_words(
            words,
            tags=word_hit.tags,
            url=asset.url,
            metadata=asset.metadata,
            brand=asset.brand,
            text=word_hit.text,
        )
        if not said.fields:
            continue  # The database looks for parts of words, and finds more.
        found[_place(asset)] = Ranked(
            asset, word_hit.similarity, known, said.fields, word_hit.group, _rank(said, known)
        )
    return sorted(found.values(), key=_order)


def fold(found: Iterable[Ranked]) -> list[Ranked]:
    """Return the best of each picture: of equal bytes, or of one group of duplicates of a brand."""
    pictures: dict[int, list[Ranked]] = {}
    picture_of: dict[object, int] = {}
    for number, each in enumerate(found):
        known = {picture_of[name] for name in _names(each) if name in picture_of}
        target = min(known, default=number)
        members = pictures.setdefault(target, [])
        for other in sorted(known - {target}):  # This asset shows that they are one.
            moved = pictures.pop(other)
            members += moved
            picture_of.update((name, target) for one in moved for name in _names(one))
        members.append(each)
        picture_of.update((name, target) for name in _names(each))
    return [_folded(pictures[number]) for number in sorted(pictures)]


def _folded(members: Sequence[Ranked]) -> Ranked:
    first = members[0]
    others = {member.asset.brand for member in members} - {first.asset.brand}
    return Ranked(
        first.asset,
        first.similarity,
        first.score,
        first.fields,
        first.group,
        first.rank,
        len(members),
        sorted(others),
    )


def _names(each: Ranked) -> list[object]:
    """Return what one picture's assets have in common."""
    names: list[object] = [each.asset.sha256]
    if each.group is not None:
        names.append((each.asset.brand, each.group))
    return names


def _rank(said: Found, score: float | None) -> float:
    shown = score or 0.0
    return WHOLE + said.share + SHOWN * shown if said.whole else PART * said.share + shown


def _order(each: Ranked) -> tuple[float, float, str, bytes]:
    similarity = -2.0 if each.similarity is None else each.similarity
    return (-each.rank, -similarity, each.asset.brand, each.asset.key)


def _place(asset: Asset) -> tuple[str, bytes]:
    return asset.brand, asset.key
