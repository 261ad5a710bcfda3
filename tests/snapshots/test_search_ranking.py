"""One ranking of content and words, and one hit a picture."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from tests.support.snapshots import asset
from triptych.model import Asset
from triptych.snapshots.search_ranking import Ranked, fold, rank
from triptych.snapshots.search_store import Hit, WordHit
from triptych.snapshots.word_match import Field

RUN = UUID(int=1)


def one(number: int, **more: Any) -> Asset:
    given = {"brand": "bazaar", "url": f"https://x/{number}.png", "metadata": {}} | more
    return msgspec.structs.replace(asset(RUN, number), **given)


def test_what_has_a_tag_leads_what_only_looks_like_it() -> None:
    buffalo, parsley, cow, named, shy = (one(number) for number in range(5))
    named = msgspec.structs.replace(named, url="https://x/cow-4.png")
    content = [(Hit(buffalo, 0.6), 0.9), (Hit(parsley, 0.5), 0.3), (Hit(cow, 0.4), 0.1)]
    words = [
        (WordHit(shy, ["cow"], 0.1, None), 0.01),
        (WordHit(cow, ["cow"], 0.4, None), 0.1),
        (WordHit(named, [], None, None), None),
        # The database found a part of its URL; it has no such word.
        (WordHit(parsley, [], 0.5, None), 0.3),
    ]
    found = rank(["cow"], content, words)
    assert [each.asset.key for each in found] == [
        a.key for a in (cow, shy, named, buffalo, parsley)
    ]
    assert [each.fields for each in found] == [(Field.TAG,)] * 2 + [(Field.NAME,)] + [()] * 2
    assert [each.matches for each in found] == [True] * 5
    assert not Ranked(parsley, 0.1, 0.02).matches


def test_some_of_the_words_help_but_do_not_lead() -> None:
    shown, tagged, nothing = one(1), one(2), one(3)
    content = [(Hit(shown, 0.6), 0.9), (Hit(nothing, 0.5), 0.2)]
    found = rank(["red", "cow"], content, [(WordHit(tagged, ["cow"], 0.3, None), 0.1)])
    assert [each.asset.key for each in found] == [a.key for a in (shown, tagged, nothing)]


def test_copies_are_one_hit_with_their_number() -> None:
    same = one(1).sha256
    rows = [
        Ranked(one(1), 0.9, None),
        Ranked(one(2), 0.8, None, group="g"),
        Ranked(one(3, sha256=same, brand="pantry"), 0.7, None),
        Ranked(one(4), 0.6, None, group="h"),
        Ranked(one(5, brand="pantry"), 0.5, None, group="g"),
        # It has the bytes of the first and is in the group of the second: all three are one.
        Ranked(one(6, sha256=same), 0.4, None, group="g"),
    ]
    found = fold(rows)
    assert [(each.asset.key, each.copies, list(each.also_in)) for each in found] == [
        (one(1).key, 4, ["pantry"]),
        (one(4).key, 1, []),
        (one(5).key, 1, []),
    ]
    assert fold([]) == []
