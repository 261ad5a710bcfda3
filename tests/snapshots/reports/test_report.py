"""Reports: what they show, what they leave out, and that foreign text stays text."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from tests.support.snapshots import asset, committed_run
from triptych.errors import Conflict, NoThumbnail, SummaryFailed
from triptych.model import Brand, Insight, Run
from triptych.snapshots.asset_shown import AssetShown
from triptych.snapshots.brand_relations import NearBrand, NearBrands
from triptych.snapshots.comparison import Comparison, Pair, Pairs
from triptych.snapshots.reports.contents import Contents, Family, Outlier, Picture, Point
from triptych.snapshots.reports.pages import markdown, page
from triptych.snapshots.reports.report import make_report
from triptych.snapshots.reports.sheets import colour_of, palette, scatter, sheet

HOSTILE = "</title><script>alert(1)</script> [x](javascript:alert(1)) ![y](http://e/) `|*_\n# h"
LOOK = {
    "palette": [
        {"colour": "#ff0000", "word": "red", "share": 0.75},
        {"colour": "#0000ff", "word": "blue", "share": 0.25},
    ],
    "kinds": {"photograph": {"count": 3, "share": 0.6}, "logo": {"count": 2, "share": 0.4}},
    "shapes": {"square": {"count": 5, "share": 1.0}},
    "coherence": {
        "score": 0.7,
        "cosine": 0.5,
        "baseline": 0.1,
        "brands": 6,
        "sentence": "More alike than most.",
    },
    "treatment_count": 2,
    "outliers": [],
    "change": {
        "added": 2,
        "removed": 1,
        "palette": 0.125,
        "kinds": {"photograph": 0.25, "drawing": 0.0, "logo": -0.25},
        "coherence": -0.1,
    },
}


def webp(colour: tuple[int, int, int]) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (160, 80), colour).save(written, "WEBP", lossless=True)
    return written.getvalue()


def shown(run_id: UUID, number: int) -> AssetShown:
    return AssetShown.of(asset(run_id, number))


class FakeSource:
    """What a report reads, of one brand with five assets, all but one with thumbnails."""

    def __init__(self, insights: Sequence[Insight], *, empty: bool = False) -> None:
        self.run_ = committed_run(added=5)
        self.assets_ = {a.key: a for a in (shown(self.run_.id, n) for n in range(5))}
        self.insights_ = insights
        self.brand_ = Brand("nike", None, None if empty else self.run_.id, 5, self.run_, version=1)
        self.points_: list[Point] = []
        self.near_ = [NearBrand("adidas", 0.9123, 1, 2), NearBrand("puma", 0.5, None, None)]

    async def brand(self) -> Brand:
        return self.brand_

    async def run(self, run_id: UUID) -> Run:
        return self.run_

    async def insights(self, run_id: UUID) -> Sequence[Insight]:
        return self.insights_

    async def nearest(self) -> NearBrands:
        return NearBrands(self.run_.id, self.near_, 2, 0)

    async def compare(self, other: str) -> Comparison:
        assert other == "adidas"
        pair = [
            Pair(1.0, shown(self.run_.id, number), shown(self.run_.id, number + 1))
            for number in range(2)
        ]
        shared, alike = Pairs(1, pair[:1]), Pairs(2, pair[1:])
        return Comparison("nike", other, [self.run_.id] * 2, "m", 0.9123, [5, 5], shared, alike)

    async def assets_of(self, run_id: UUID, keys: Sequence[bytes]) -> dict[bytes, AssetShown]:
        return {key: self.assets_[key] for key in keys if key in self.assets_}

    async def points(self, run_id: UUID) -> Sequence[Point]:
        return self.points_

    async def thumbnail(self, asset: AssetShown, width: int) -> bytes:
        if bytes.fromhex(asset.sha256)[0] % 2:
            raise NoThumbnail
        return webp((10, 200, 30))


def insights(catalogue_keys: list[str]) -> list[Insight]:
    groups = [{"kind": "near", "size": 2, "best": catalogue_keys[0], "members": catalogue_keys[:2]}]
    return [
        Insight("look", {**LOOK, "outliers": [{"key": catalogue_keys[4], "why": ["its colour"]}]}),
        Insight(
            "clusters",
            {
                "clusters": [{"size": 3, "label": "red logos", "representatives": catalogue_keys}],
                "cluster_count": 1,
                "clustered": 3,
                "noise": 2,
            },
        ),
        Insight(
            "duplicates",
            {
                "groups": groups,
                "group_count": 1,
                "exact_groups": 0,
                "near_groups": 1,
                "redundant": 1,
            },
        ),
        Insight("map", None, "TimeoutError: not done"),
    ]


async def test_a_report_shows_what_the_steps_found() -> None:
    source = FakeSource([])
    keys = [key.hex() for key in source.assets_]
    source.insights_ = insights([*keys[:4], keys[4]])
    source.points_ = [Point(0.1, -0.5, "c")]
    report = await make_report(source)
    assert set(report.files) == {
        *("report.md", "report.html", "clusters.png", "duplicates.png", "outliers.png"),
        *("palette.png", "map.png"),
    }
    text = report.files["report.md"].decode()
    assert "1 clusters hold 3 assets; 2 belong to none." in text
    assert "red logos | 3 |" in text
    assert "photograph | 3 | 60%" in text
    assert "Shapes: 100% square." in text
    assert "More alike than most" in text
    assert "2 pictures are treated in another way than the rest." in text
    assert (
        "Since the previous snapshot: 2 assets added, 1 removed; the palette changed by 0.12 "
        "(from black to white is 1); photographs +25%; logos -25%; coherence -0.10." in text
    )
    assert "| adidas | 0.912 | 1 | 2 |" in text
    assert "| puma | 0.500 | not counted | not counted |" in text
    for number in (1, 2):
        assert f"- adidas: <{shown(source.run_.id, number).url}>" in text
    assert "map: TimeoutError: not done" in text
    html = report.files["report.html"].decode()
    assert html.count("data:image/png;base64,") == 5
    assert not re.search(r"(src|href)=\"(?!data:image/png|http|https)", html)
    assert "pictures could not be shown" in report.problems[0]


async def test_nothing_found_is_a_short_report() -> None:
    report = await make_report(FakeSource([]))
    assert set(report.files) == {"report.md", "report.html"}
    with pytest.raises(Conflict, match="no snapshot"):
        await make_report(FakeSource([], empty=True))


async def test_a_summary_that_fails_is_recorded_and_the_report_made() -> None:
    async def fail(_: Contents) -> str:
        raise SummaryFailed("The endpoint answers 500.")

    report = await make_report(FakeSource([]), fail)
    assert report.problems == ("no summary: The endpoint answers 500.",)
    assert "report.html" in report.files


def test_a_report_on_a_restored_snapshot_names_the_one_it_restores() -> None:
    contents, older = hostile_contents(), uuid4()
    restored = msgspec.structs.replace(contents.run, restores=older)
    text = markdown(replace(contents, run=restored), {}, None)
    assert f"The last run restored an older snapshot (`{older}`): it brought 1 new" in text
    assert "The last run brought 1 new" in markdown(contents, {}, None)


def hostile_contents() -> Contents:
    run = committed_run(added=1)
    one = shown(run.id, 1)
    evil = msgspec.structs.replace(one, url="http://x/<script>")
    return Contents(
        brand=Brand(HOSTILE, None, run.id, 1, run, version=1),
        run=run,
        at=datetime.now(UTC),
        results={
            "tags": {"tags": [{"tag": HOSTILE, "count": 1}]},
            "look": {"palette": []},
            "clusters": {"cluster_count": 1, "clustered": 1, "noise": 0},
        },
        near=[NearBrand(HOSTILE, 1.0, 1, 1)],
        both=[Picture(HOSTILE, "http://x/> <script>")],
        errors={HOSTILE: HOSTILE},
        clusters=[Family(HOSTILE, 1, [evil])],
        outliers=[Outlier(evil, HOSTILE)],
    )


def test_g9_foreign_text_is_text_in_markdown_and_html() -> None:
    contents = hostile_contents()
    text = markdown(contents, {}, HOSTILE)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inner = [child for token in tokens for child in token.children or []]
    links = [child.attrs.get("href") for child in inner if child.type == "link_open"]
    assert all(str(link).startswith("http://x/") for link in links)
    assert not [child for child in inner if child.type in {"image", "html_inline"}]
    assert not [token for token in tokens if token.type == "html_block"]
    html = page(text, HOSTILE, {})
    assert "<script" not in html
    assert "javascript:" not in re.sub(r">[^<]*<", "><", html)
    assert "default-src 'none'" in html


def test_pictures_are_drawn_of_what_there_is() -> None:
    run_id = committed_run().id
    one, other = shown(run_id, 1), shown(run_id, 2)
    thumb = Image.open(io.BytesIO(webp((250, 0, 0)))).convert("RGBA")
    drawn = sheet([Family("red", 2, [one, other])], {one.sha256: thumb}, 3)
    image = Image.open(io.BytesIO(drawn)).convert("RGB")
    assert image.getpixel((20 + 80, 20 + 30 + 80)) == (250, 0, 0)
    colours = Image.open(io.BytesIO(palette(LOOK["palette"]))).convert("RGB")  # type: ignore[arg-type]
    assert colours.getpixel((600, 50)) == (255, 0, 0)
    assert colours.getpixel((800, 50)) == (0, 0, 255)
    points = [Point(0, 0, "c"), Point(1, 1, None), Point(-1, -1, None)]
    drawn_map = Image.open(io.BytesIO(scatter(points))).convert("RGB")
    assert drawn_map.getpixel((450, 450)) == colour_of("c")
    assert colour_of("c") != colour_of("d")
