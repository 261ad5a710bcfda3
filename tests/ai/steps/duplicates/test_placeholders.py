"""One content under many paths is probably a placeholder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.snapshots import snapshot_of
from triptych.ai.steps.duplicates.duplicates import find_duplicates


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://shop.example/soft404/{}.png", [8]),
        ("https://shop.example/one.png?size={}", []),
        ("https://cdn{}.example/one.png", []),
    ],
)
def test_one_content_under_many_paths_is_a_probable_placeholder(url: str, found: list[int]) -> None:
    contents = ["no image"] * 8 + [f"real {number}" for number in range(6)]
    snapshot = snapshot_of(np.eye(14, dtype=np.float16), phash=[0] * 14, contents=contents)
    urls = [url.format(at) if at < 8 else f"https://shop.example/p{at}.jpg" for at in range(14)]
    result = find_duplicates(replace(snapshot, urls=urls)).result
    assert [one["paths"] for one in result["placeholders"]] == found
    assert result["placeholder_assets"] == sum(found)
    for one in result["placeholders"]:
        assert one["urls"] == sorted(urls[:8])


def test_four_paths_are_too_few_to_tell() -> None:
    snapshot = snapshot_of(np.eye(4, dtype=np.float16), phash=[0] * 4, contents=["a"] * 4)
    assert find_duplicates(snapshot).result["placeholders"] == []
