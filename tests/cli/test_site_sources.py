"""What sites publish, from their address to committed assets; and a kill in the middle of it."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli_process import Cli
from tests.support.commands import Commands, DatabaseCommands, log_apart
from tests.support.dashboard import Loop
from tests.support.picture_server import picture
from tests.support.postgres import PostgresServer
from tests.support.served_api import served_api
from tests.support.site_server import Site, says, site, xml
from tests.support.waiting import until_true

pytestmark = pytest.mark.integration

PICTURES = 6
IMAGE = "http://www.google.com/schemas/sitemap-image/1.1"


def publish(shop: Site) -> None:
    """Let a shop have a sitemap, a feed, products and pages, each with the same pictures."""
    for n in range(PICTURES):
        shop.has(f"/{n}.png", says(picture(n), "image/png"))
    urls = [shop.url(f"/{n}.png") for n in range(PICTURES)]
    images = "".join(
        f"<url><loc>{shop.url('/a')}</loc>"
        f'<i:image xmlns:i="{IMAGE}"><i:loc>{url}</i:loc></i:image></url>'
        for url in urls
    )
    shop.has(
        "/sitemap.xml", xml(f"<urlset>{images}<url><loc>{shop.url('/b')}</loc></url></urlset>")
    )
    items = "".join(f'<item><enclosure url="{url}" type="image/png"/></item>' for url in urls)
    shop.has("/feed", xml(f"<rss><channel>{items}<item><title>x</title></item></channel></rss>"))
    products = [
        {"id": n, "handle": f"p{n}", "images": [{"src": url}]} for n, url in enumerate(urls)
    ]
    products.append({"id": 99, "handle": "none", "images": []})
    query = "/products.json?limit=250&page="
    shop.has(f"{query}1", says(json.dumps({"products": products}), "application/json"))
    shop.has(f"{query}2", says('{"products": []}', "application/json"))
    shown = "".join(f"<img src='/{n}.png' alt='Picture {n}'>" for n in range(PICTURES))
    shop.has("/page", says(f"<title>All</title>{shown}<a href='https://else.example/'>else</a>"))


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.stop()


def test_each_is_checked_here_and_from_afar_and_its_pictures_are_committed(
    postgres_server: PostgresServer, migrated_template: str, tmp_path: Path, loop: Loop
) -> None:
    with (
        loop.holding(site()) as shop,
        served_api(postgres_server, migrated_template, tmp_path) as served,
        log_apart(),
    ):
        publish(shop)
        here, afar = DatabaseCommands(served.dsn, tmp_path), Commands(served.url)
        places = {
            "sitemap": shop.base,
            "feed": shop.url("/feed"),
            "shopify": shop.base,
            "page": shop.url("/page"),
        }
        for kind, place in places.items():
            checked = here("check", f"{kind}:{place}", "--json")
            assert checked.code == 0, checked.err
            found = checked.json()
            assert found == afar.json("check", f"{kind}:{place}")
            counted = found["items"], found["rows_refused"], found["whole"]
            assert counted == (PICTURES, 1, True), kind
            last = afar.followed("submit", kind, "--source", f"{kind}:{place}", "--watch")
            assert (last["state"], last["rows_refused"]) == ("committed", 1)
            assets = afar.json("assets", kind)["items"]
            assert len(assets) == PICTURES
    (first,) = [one for one in assets if one["url"].endswith("/0.png")]
    assert first["metadata"]["alt"] == "Picture 0"
    assert first["metadata"]["title"] == "All"


async def test_g9_a_page_names_no_address_inside(cli: Cli) -> None:
    async with site() as shop:
        inside = "<img src='http://10.0.0.1/x.png'><img src='http://169.254.169.254/y.png'>"
        shop.has("/", says("".join(f"<img src=/{n}.png>" for n in range(PICTURES)) + inside))
        for n in range(PICTURES):
            shop.has(f"/{n}.png", says(picture(n), "image/png"))
        run = await cli("run", "nike", "--source", f"page:{shop.base}")
    assert run.code == 0, run.err
    (group,) = (await cli("failures", "nike", "--json")).json()["items"]
    assert (group["reason"], group["count"]) == ("address_refused", 2)


async def test_g2_a_kill_in_the_middle_of_a_site_loses_no_page_and_repeats_none_but_one(
    cli: Cli,
) -> None:
    pages = 14
    # Seconds after which a message whose worker was killed is given to another.
    cli.env["TRIPTYCH_VISIBILITY_S"] = "3"
    # And after which a URL is sent again that was stored and not sent: minutes, by default.
    cli.env["TRIPTYCH_QUIET_S"] = cli.env["TRIPTYCH_RESEND_S"] = "2"
    async with site() as shop:
        for n in range(pages):
            link = f"<a href='/p{n + 1}'>next</a>" if n + 1 < pages else ""
            shop.has(f"/p{n}", says(f"<img src='/{n}.png'>{link}"))
            shop.has(f"/{n}.png", says(picture(n), "image/png"))
        place = f"page:{shop.url('/p0')}#depth=10&pages=11"
        killed = await cli.start_fork("run", "nike", "--source", place)
        await until_true(lambda: "/p5" in shop.asked)
        killed.send_signal(signal.SIGKILL)
        await killed.wait()
        run = await cli("run", "nike", "--json")
        assert run.code == 0, run.err + run.out
        last = json.loads(run.out.splitlines()[-1])
    assert (last["state"], last["rows_refused"]) == ("committed", 1)
    assert len((await cli("assets", "nike", "--json")).json()["items"]) == 11
    asked = Counter(path for path in shop.asked if path.startswith("/p"))
    assert set(asked) == {f"/p{n}" for n in range(11)}
    assert sum(asked.values()) <= 12
