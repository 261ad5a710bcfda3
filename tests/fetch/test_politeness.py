"""Manners: robots.txt and opt-outs are kept to, and what has not changed is not sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from tests.support.fetching import opened_fetcher
from tests.support.local_pipeline import acquiring_at, ended
from tests.support.picture_server import picture
from tests.support.proof_size import at_full_size
from triptych.errors import ItemError, PermanentItemError, TransientItemError
from triptych.fetch.fetcher import Fetcher, Validators
from triptych.fetch.robots import check_opt_out
from triptych.model import Reason, RunState

pytestmark = pytest.mark.integration

PATIENCE_S = 240.0
fetching_at = partial(acquiring_at, decode=False)


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("noai", Reason.NO_AI),
        ("NoImageAI", Reason.NO_AI),
        ("nofollow, noindex", Reason.NO_INDEX),
        ("noimageindex", Reason.NO_INDEX),
        ("none", Reason.NO_INDEX),
        ("triptych: noindex", Reason.NO_INDEX),
        ("*: noai", Reason.NO_AI),
        ("otherbot: nofollow, triptych: noai", Reason.NO_AI),
        ("unavailable_after: 25 Jun 2030 15:00:00 GMT, noai", Reason.NO_AI),
    ],
)
def test_opt_outs_for_everybody_or_us_are_honoured(value: str, reason: Reason) -> None:
    with pytest.raises(PermanentItemError) as error:
        check_opt_out(headers(("X-Robots-Tag", "all"), ("x-robots-tag", value)))
    assert error.value.reason is reason


@pytest.mark.parametrize(
    "value",
    ["", "all", "nofollow", "otherbot: noindex, noai", "max-image-preview: large", "noaim"],
)
def test_other_directives_and_other_agents_are_not_ours(value: str) -> None:
    check_opt_out(headers(("X-Robots-Tag", value), ("tdm-reservation", "0")))


def test_a_reservation_of_text_and_data_mining_is_honoured() -> None:
    with pytest.raises(PermanentItemError) as error:
        check_opt_out(headers(("TDM-Reservation", "1")))
    assert error.value.reason is Reason.TDM_RESERVED


class Host:
    """A host with a robots.txt that a test sets."""

    def __init__(self) -> None:
        self.robots_text: str | None = None
        self.robots_status = 200
        self.asked = 0
        self.bodies = 0
        self.not_modified = 0
        self.headers: dict[str, str] = {}
        self.base = ""

    async def get_robots(self, _request: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(status=self.robots_status, text=self.robots_text or "")

    async def get(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        etag = f'"{number % 20}"'
        if request.headers.get("If-None-Match") == etag:
            self.not_modified += 1
            return web.Response(status=304, headers=self.headers)
        self.bodies += 1
        named = {"ETag": etag, **self.headers}
        return web.Response(body=picture(number % 20), content_type="image/png", headers=named)


@asynccontextmanager
async def hosting() -> AsyncIterator[Host]:
    host = Host()
    app = web.Application()
    app.router.add_get("/robots.txt", host.get_robots)
    app.router.add_get("/{folder}/{number}.png", host.get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield host
    finally:
        await runner.cleanup()


@asynccontextmanager
async def fetching(*, robots: bool = True, opt_outs: bool = True) -> AsyncIterator[Fetcher]:
    async with opened_fetcher(at_once=10, robots=robots, opt_outs=opt_outs) as fetcher:
        yield fetcher


async def reason(fetcher: Fetcher, url: str) -> Reason | None:
    try:
        await fetcher.fetch(url)
    except ItemError as error:
        return error.reason
    return None


async def test_robots_txt_is_asked_for_once_and_kept_to() -> None:
    async with hosting() as host, fetching() as fetcher:
        host.robots_text = "User-agent: *\nDisallow: /private/\nAllow: /private/1.png\n"
        urls = [f"{host.base}/{folder}/{n}.png" for folder in ("public", "private") for n in (1, 2)]
        outcomes = await asyncio.gather(*(reason(fetcher, url) for url in urls))
        assert outcomes == [None, None, None, Reason.ROBOTS_DISALLOWED]
        assert (host.asked, host.bodies) == (1, 3)


async def test_robots_txt_may_address_us_by_name() -> None:
    async with hosting() as host, fetching() as fetcher:
        host.robots_text = "User-agent: triptych\nDisallow: /\n\nUser-agent: *\nAllow: /\n"
        assert await reason(fetcher, f"{host.base}/a/1.png") is Reason.ROBOTS_DISALLOWED


@pytest.mark.parametrize("status", [200, 203])
async def test_a_robots_txt_of_any_success_is_kept_to(status: int) -> None:
    async with hosting() as host, fetching() as fetcher:
        host.robots_status, host.robots_text = status, "User-agent: *\nDisallow: /\n"
        assert await reason(fetcher, f"{host.base}/a/1.png") is Reason.ROBOTS_DISALLOWED


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_no_robots_txt_means_no_rules(status: int) -> None:
    async with hosting() as host, fetching() as fetcher:
        host.robots_status, host.robots_text = status, "User-agent: *\nDisallow: /\n"
        assert await reason(fetcher, f"{host.base}/a/1.png") is None


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_robots_txt_that_cannot_be_had_disallows_for_now(status: int) -> None:
    async with hosting() as host, fetching() as fetcher:
        host.robots_status = status
        with pytest.raises(TransientItemError) as error:
            await fetcher.fetch(f"{host.base}/a/1.png")
        assert error.value.reason is Reason.ROBOTS_UNREACHABLE
        assert host.bodies == 0


async def test_manners_can_be_switched_off() -> None:
    async with hosting() as host, fetching(robots=False, opt_outs=False) as fetcher:
        host.robots_text = "User-agent: *\nDisallow: /\n"
        host.headers = {"X-Robots-Tag": "noai"}
        assert await reason(fetcher, f"{host.base}/a/1.png") is None
        assert host.asked == 0


async def test_an_answer_that_opts_out_is_not_used_even_unchanged() -> None:
    async with hosting() as host, fetching() as fetcher:
        url = f"{host.base}/a/1.png"
        assert await fetcher.fetch(url, Validators('"1"', None)) is None
        host.headers = {"X-Robots-Tag": "noai"}
        with pytest.raises(PermanentItemError) as error:
            await fetcher.fetch(url, Validators('"1"', None))
        assert error.value.reason is Reason.NO_AI


async def test_a_304_that_nobody_asked_for_is_no_answer() -> None:
    async def always(_request: web.Request) -> web.Response:
        return web.Response(status=304)

    app = web.Application()
    app.router.add_get("/{any:.*}", always)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with fetching(robots=False) as fetcher:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/a"
            assert await reason(fetcher, url) is Reason.HTTP_ERROR
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("urls", [100, pytest.param(1000, marks=at_full_size)])
async def test_a_rerun_of_an_unchanged_brand_transfers_no_bodies(tmp_path: Path, urls: int) -> None:
    async with hosting() as host:
        path = tmp_path / "urls.csv"
        path.write_text("\n".join(["url", *(f"{host.base}/a/{n}.png" for n in range(urls))]))
        async with fetching_at(tmp_path) as local:
            opened = await local.submit("nike", source=f"manifest:{path}")
            first = await ended(local, opened.id, patience_s=PATIENCE_S)
            assert (first.state, first.added) == (RunState.COMMITTED, urls)
            assert (host.bodies, host.not_modified) == (urls, 0)
            second = await ended(local, (await local.submit("nike")).id, patience_s=PATIENCE_S)
        assert (second.state, second.kept) == (RunState.COMMITTED, urls)
        assert (host.bodies, host.not_modified) == (urls, urls)
        assert host.asked == 1


async def test_last_modified_alone_is_enough(tmp_path: Path) -> None:
    stamp, sent = "Tue, 24 Nov 2026 10:00:00 GMT", {"bodies": 0, "unchanged": 0}

    async def get(request: web.Request) -> web.Response:
        if request.headers.get("If-Modified-Since") == stamp:
            sent["unchanged"] += 1
            return web.Response(status=304)
        sent["bodies"] += 1
        body = picture(int(request.match_info["number"]))
        return web.Response(body=body, headers={"Last-Modified": stamp})

    app = web.Application()
    app.router.add_get("/{number}.png", get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    path = tmp_path / "urls.csv"
    path.write_text("\n".join(["url", *(f"{base}/{n}.png" for n in range(20))]))
    try:
        async with fetching_at(tmp_path) as local:
            await ended(local, (await local.submit("nike", source=f"manifest:{path}")).id)
            assert sent == {"bodies": 20, "unchanged": 0}
            second = await ended(local, (await local.submit("nike")).id)
    finally:
        await runner.cleanup()
    assert (second.kept, second.changed) == (20, 0)
    assert sent == {"bodies": 20, "unchanged": 20}
