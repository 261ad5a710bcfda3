"""A notebook's client against a real server: galleries, tables, and runs that are followed."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import triptych
from tests.support.postgres import PostgresServer
from tests.support.served_api import ServedApi, served_api
from triptych.client.notebook import gallery
from triptych.client.notebook.arrow_columns import arrow_table
from triptych.client.notebook.gallery import (
    BYTES_MAX,
    PICTURES_MAX,
    Thumbnail,
    gallery_html,
    thumbnails,
)
from triptych.client.notebook.server import Server
from triptych.errors import (
    BadInput,
    BrandNotFound,
    InvalidBrand,
    NoThumbnail,
    NotSearchable,
    SettingsError,
)
from triptych.model import RunState
from triptych.snapshots.asset_shown import AssetShown

pytestmark = pytest.mark.integration

PICTURES = 30
HOSTILE = "\"><script>alert('1')</script>&"


@pytest.fixture(scope="module")
def served(
    postgres_server: PostgresServer,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServedApi]:
    data = tmp_path_factory.mktemp("notebook")
    with served_api(postgres_server, migrated_template, data) as served:
        yield served


@pytest.fixture(scope="module")
def server(served: ServedApi) -> Iterator[Server]:
    """A server with a committed brand whose pictures have metadata."""
    with triptych.connect(served.url) as server:
        urls = [
            {"url": f"{served.pictures}/x/{n}.png", "metadata": {"sku": f"S{n}", "price": n}}
            for n in range(PICTURES)
        ]
        lines: list[str] = []
        last = server.brand("nike").start(urls=urls).follow(lines.append)
        assert (last.state, last.over) == (RunState.COMMITTED, True)
        assert "committed, 30 of 30 items, 0 failed" in lines[-1]
        yield server


def test_assets_become_tables(server: Server) -> None:
    brand = server.brand("nike")
    frame = brand.assets().to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert sorted(frame.price) == list(range(PICTURES))
    assert set(frame.sku) == {f"S{n}" for n in range(PICTURES)}
    assert frame.width.mean() == 48
    assert json.loads(frame.metadata[0])["sku"] == frame.sku[0]
    red = brand.assets(text="S7", media_type="image/*")
    assert red.to_arrow().column("sku").to_pylist() == ["S7"]
    assert repr(red) == "<assets of 'nike', text='S7', media_type='image/*'>"
    assert len(list(brand.assets())) == len({asset.id for asset in brand.assets()}) == PICTURES


def test_assets_show_themselves_as_pictures(server: Server) -> None:
    html = server.brand("nike").assets()._repr_html_()
    found = re.findall(r'src="data:image/webp;base64,([^"]+)"', html)
    assert len(found) == PICTURES_MAX
    assert f"The first {PICTURES_MAX} assets of more" in html
    picture = Image.open(io.BytesIO(base64.b64decode(found[0])))
    assert (picture.format, picture.width <= gallery.WIDTH_PIXELS) == ("WEBP", True)
    few = server.brand("nike").assets(text="S7")._repr_html_()
    assert "1 asset" in few
    assert few.count("data:image/webp") == 1


def test_a_search_is_a_table_with_scores(server: Server) -> None:
    found = server.search("S12", brand="nike", limit=3)
    assert found.first(1)[0].metadata["sku"] == "S12"
    frame = found.to_pandas()
    assert next(iter(frame.sku)) == "S12"
    assert {"similarity", "score", "copies"} <= set(frame.columns)
    assert "data:image/webp" in found._repr_html_()
    with pytest.raises(NotSearchable, match="no text encoder"):
        server.brand("nike").search("no such word")
    assert repr(found) == f"<{len(found)} assets found>"


def test_a_brand_is_exported_and_its_insights_are_by_step(server: Server, tmp_path: Path) -> None:
    brand = server.brand("nike")
    (path,) = brand.export("csv", tmp_path / "out")
    assert path.read_text().count("\n") == PICTURES + 1
    assert "duplicates" in brand.insights()
    assert brand.state().assets == PICTURES
    assert [each.name for each in server.brands()] == ["nike"]
    assert server.wait(server.client.me()).scope.value == "operator"


def test_errors_are_those_of_the_server_and_say_what_helps(server: Server) -> None:
    with pytest.raises(BrandNotFound):
        server.brand("nobody").state()
    with pytest.raises(InvalidBrand, match="slash"):
        server.brand("a/b").start(urls=["https://x.example/1.png"])
    with pytest.raises(BadInput, match="There is no filter 'color'") as refused:
        server.brand("nike").assets(color="red").first(1)  # type: ignore[call-arg]
    assert refused.value.field == "color"
    with pytest.raises(SettingsError):
        triptych.connect("triptych")
    closed = triptych.connect("http://127.0.0.1:1")
    closed.close()
    closed.close()
    with pytest.raises(RuntimeError, match="is closed"):
        closed.brands()


def test_what_the_package_has_is_listed() -> None:
    assert {"connect", "open_client", "open_local", "run"} <= set(dir(triptych))
    for name in triptych.__all__:
        assert callable(getattr(triptych, name))


def asset(number: int = 1, **values: object) -> AssetShown:
    known: dict[str, object] = {
        "id": f"a{number}",
        "brand": "nike",
        "run_id": "7",
        "url": f"https://x/{number}.png",
        "sha256": "00",
        "media_type": "image/png",
        "size_bytes": 1,
        "width": 4,
        "height": 3,
        "phash": None,
        "colours": [],
        "model": None,
        "metadata": {},
        "also": [],
    }
    return AssetShown(**{**known, **values})  # type: ignore[arg-type]


def test_hostile_text_is_no_markup() -> None:
    hostile = asset(url=f"https://x/{HOSTILE}", media_type=HOSTILE)
    html = gallery_html([Thumbnail(hostile, b"x"), Thumbnail(hostile, problem=HOSTILE)], HOSTILE)
    read = Read()
    read.feed(html)
    assert set(read.tags) == {"div", "img", "em"}
    assert set(read.attributes) == {"style", "title", "alt", "src"}
    assert HOSTILE in read.texts


class Read(HTMLParser):
    """What a browser would take a page to be."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


class Pictures:
    """Thumbnails of a size; of the asset `a2` there is none."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked: list[str] = []

    async def thumbnail(self, asset: str, width: int) -> bytes:
        self.asked.append(asset)
        if asset == "a2":
            raise NoThumbnail("It is no image.")
        return b"x" * self.size


async def test_a_gallery_has_a_limit_of_pictures_and_of_bytes() -> None:
    source = Pictures(BYTES_MAX // 3)
    shown = await thumbnails(source, [asset(n) for n in range(PICTURES_MAX + 5)])
    assert len(shown) == len(source.asked) == PICTURES_MAX
    assert [bool(each.body) for each in shown[:6]] == [True, True, False, True, False, False]
    assert shown[2].problem == "It is no image."
    assert all("Left out" in each.problem for each in shown[4:])


def test_metadata_of_several_types_become_text_and_odd_names_stay_in_the_whole() -> None:
    table = arrow_table(
        [asset(1, metadata={"size": 42, "url": "u"}), asset(2, metadata={"size": "L"})]
    )
    assert table.column("size").to_pylist() == ["42", "L"]
    assert table.column("metadata.url").to_pylist() == ["u", None]
    assert [json.loads(text) for text in table.column("metadata").to_pylist()] == [
        {"size": 42, "url": "u"},
        {"size": "L"},
    ]
