"""robots.txt from servers that move, bloat, withhold or booby-trap it (RFC 9309)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from yarl import URL

from tests.support.fetching import Names, NoNames, opened_fetcher
from triptych.errors import HostBusy, HostDown, ItemError, PermanentItemError, TransientItemError
from triptych.fetch.fetcher import ROBOTS_REDIRECTS_MAX, Fetcher
from triptych.fetch.robots import ROBOTS_FAILURE_TTL_S, ROBOTS_LONG_CHARS, ROBOTS_MAX_BYTES
from triptych.model import Reason

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0
BODY = b"image"
NOTHING_ALLOWED = "User-agent: *\nDisallow: /\n"

Answer = Callable[[web.Request], web.StreamResponse]


class Host:
    """Answers below ``/robots`` as a test says; all else is a picture."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.pictures = 0
        self.answer: Answer = lambda _: web.Response(text="")
        self.base = ""

    async def get(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/robots"):
            self.asked.append(request.path)
            return self.answer(request)
        self.pictures += 1
        return web.Response(body=BODY)


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    made = Host()
    app = web.Application()
    app.router.add_get("/{any:.*}", made.get)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def outcome(fetcher: Fetcher, url: str) -> Reason | None:
    try:
        await asyncio.wait_for(fetcher.fetch(url), PATIENCE_S)
    except ItemError as error:
        return error.reason
    return None


async def asked(host: Host, path: str = "/a.png") -> Reason | None:
    async with opened_fetcher(robots=True) as fetcher:
        return await outcome(fetcher, host.base + path)


def text(body: str) -> Answer:
    return lambda _: web.Response(text=body)


def redirect(target: Callable[[str], str]) -> Answer:
    return lambda request: web.Response(status=301, headers={"Location": target(request.path)})


async def test_redirects_are_followed_and_rules_hold_for_the_first_host(host: Host) -> None:
    steps = iter(range(ROBOTS_REDIRECTS_MAX))

    def answer(request: web.Request) -> web.Response:
        if (step := next(steps, None)) is not None:
            return web.Response(status=302, headers={"Location": f"/robots{step}"})
        return web.Response(text=NOTHING_ALLOWED)

    host.answer = answer
    assert await asked(host) is Reason.ROBOTS_DISALLOWED
    assert len(host.asked) == ROBOTS_REDIRECTS_MAX + 1
    assert host.pictures == 0


@pytest.mark.parametrize("target", [lambda path: path, lambda path: path + "1"])
async def test_redirects_without_end_are_no_rules(host: Host, target: Callable[[str], str]) -> None:
    host.answer = redirect(target)
    assert await asked(host) is None
    assert len(host.asked) == ROBOTS_REDIRECTS_MAX + 1


@pytest.mark.parametrize(
    "location",
    ["http://10.0.0.1/robots.txt", "http://[::bad", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/"],
)
async def test_g9_a_redirect_to_where_nothing_is_asked_withholds_the_file(
    host: Host, location: str
) -> None:
    host.answer = redirect(lambda _: location)
    assert await asked(host) in {Reason.ROBOTS_UNREACHABLE, None}
    if "10.0.0.1" in location:
        assert host.pictures == 0


async def test_g9_a_refused_host_is_refused_and_not_a_host_without_robots_txt(host: Host) -> None:
    async with opened_fetcher(allow=(), robots=True, resolver=Names("10.0.0.1")) as fetcher:
        with pytest.raises(PermanentItemError) as error:
            await fetcher.fetch("http://inside.example/a.png")
    assert error.value.reason is Reason.ADDRESS_REFUSED


async def test_a_name_that_does_not_exist_is_no_matter_of_robots(host: Host) -> None:
    async with opened_fetcher(robots=True, resolver=NoNames()) as fetcher:
        url = "http://nowhere.example/a.png"
        assert await outcome(fetcher, url) is Reason.NAME_NOT_RESOLVED


async def test_a_redirect_of_the_file_to_a_name_that_does_not_exist_withholds_it(
    host: Host,
) -> None:
    host.answer = redirect(lambda _: "http://nowhere.example/robots.txt")
    async with opened_fetcher(robots=True, resolver=NoNames()) as fetcher:
        assert await outcome(fetcher, host.base + "/a.png") is Reason.ROBOTS_UNREACHABLE


async def test_a_host_without_a_name_says_so(host: Host) -> None:
    async with opened_fetcher(robots=True, resolver=Names()) as fetcher:
        with pytest.raises(HostDown) as error:
            await fetcher.fetch("http://nowhere.example/a.png")
    assert error.value.host == "http://nowhere.example"


async def test_g8_what_lies_behind_half_a_megabyte_is_not_read(host: Host) -> None:
    padding = "#" * 1023 + "\n"
    lines = ROBOTS_MAX_BYTES // len(padding)
    host.answer = text(padding * (lines - 1) + NOTHING_ALLOWED)
    assert await asked(host) is Reason.ROBOTS_DISALLOWED
    host.answer = text(padding * lines + NOTHING_ALLOWED)
    assert await asked(host) is None


async def test_g8_a_file_without_end_stops_at_the_cap(host: Host) -> None:
    sent = 0

    async def get(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        if request.path != "/robots.txt":
            return web.Response(body=BODY)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(NOTHING_ALLOWED.encode())
        while sent < 100 * ROBOTS_MAX_BYTES:
            await response.write(b"#" * 65_536)
            sent += 65_536
        return response

    async with serving(get) as base, opened_fetcher(robots=True) as fetcher:
        assert await outcome(fetcher, f"{base}/a.png") is Reason.ROBOTS_DISALLOWED
    assert sent < 100 * ROBOTS_MAX_BYTES


async def test_g3_a_file_that_never_comes_withholds_the_host(host: Host) -> None:
    released = asyncio.Event()

    async def get(request: web.Request) -> web.StreamResponse:
        await asyncio.wait_for(released.wait(), PATIENCE_S)
        return web.Response(body=BODY)

    async with serving(get) as base, opened_fetcher(robots=True, deadline_s=0.3) as fetcher:
        for path, tried in (("a.png", True), ("b.png", False)):
            with pytest.raises(HostDown) as error:
                await fetcher.slot(f"{base}/{path}")
            assert error.value.tried is tried
        released.set()


async def test_a_file_that_takes_long_is_not_waited_for(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever needs it comes again later; there is one request for it meanwhile."""
    monkeypatch.setattr("triptych.fetch.fetcher.WAIT_MAX_S", 0.05)
    released = asyncio.Event()
    asked = 0

    async def get(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        if request.path == "/robots.txt":
            asked += 1
            await asyncio.wait_for(released.wait(), PATIENCE_S)
        return web.Response(body=BODY)

    async with serving(get) as base, opened_fetcher(robots=True) as fetcher:
        for _ in range(3):
            with pytest.raises(HostBusy):
                await fetcher.slot(f"{base}/a.png")
        released.set()
        monkeypatch.setattr("triptych.fetch.fetcher.WAIT_MAX_S", PATIENCE_S)
        with await fetcher.slot(f"{base}/a.png"):
            assert await outcome(fetcher, f"{base}/a.png") is None
    assert asked == 1


async def test_a_host_that_was_down_is_found_back_by_its_file(host: Host) -> None:
    """And not by the URL that found it down, which may be why."""
    hung_up = True

    async def get(request: web.Request) -> web.StreamResponse:
        if request.path != "/robots.txt":
            return web.Response(body=BODY)
        host.asked.append(request.path)
        if hung_up:
            assert request.transport is not None
            request.transport.close()
        return web.Response(text=NOTHING_ALLOWED)

    async with serving(get) as base, opened_fetcher(robots=True) as fetcher:
        with pytest.raises(HostDown):
            await fetcher.slot(f"{base}/a.png")
        requests = len(host.asked)
        with pytest.raises(HostDown) as error:
            await fetcher.slot(f"{base}/b.png")
        assert (error.value.tried, len(host.asked)) == (False, requests)
        hung_up = False
        fetcher._down_hosts._host(error.value.host).due_at = 0.0
        with pytest.raises(PermanentItemError) as disallowed:
            await fetcher.slot(f"{base}/b.png")
    assert disallowed.value.reason is Reason.ROBOTS_DISALLOWED
    assert len(host.asked) == requests + 1


@asynccontextmanager
async def serving(get: Callable[..., object]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{any:.*}", get)  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "retry_after", "waits"),
    [(503, None, ROBOTS_FAILURE_TTL_S), (429, "600", 600), (500, "1", ROBOTS_FAILURE_TTL_S)],
)
async def test_a_host_in_trouble_is_left_alone_for_as_long_as_it_asks(
    host: Host, status: int, retry_after: str | None, waits: float
) -> None:
    headers = {"Retry-After": retry_after} if retry_after else {}
    host.answer = lambda _: web.Response(status=status, headers=headers)
    async with opened_fetcher(robots=True) as fetcher:
        for _ in range(3):
            with pytest.raises(TransientItemError) as error:
                await fetcher.fetch(f"{host.base}/a.png")
            assert error.value.reason is Reason.ROBOTS_UNREACHABLE
            assert f"HTTP {status}" in error.value.detail
            assert error.value.retry_after_s == pytest.approx(waits, abs=30)
    assert (len(host.asked), host.pictures) == (1, 0)


async def test_each_origin_has_its_own(host: Host) -> None:
    host.answer = lambda request: web.Response(
        text=NOTHING_ALLOWED if request.url.host == "localhost" else ""
    )
    port = URL(host.base).port
    async with opened_fetcher(robots=True) as fetcher:
        for name, expected in (("127.0.0.1", None), ("localhost", Reason.ROBOTS_DISALLOWED)):
            for _ in range(2):
                assert await outcome(fetcher, f"http://{name}:{port}/a.png") is expected
    assert len(host.asked) == 2


async def test_a_redirect_of_the_url_meets_the_other_hosts_rules(host: Host) -> None:
    host.answer = lambda request: web.Response(
        text=NOTHING_ALLOWED if request.url.host == "localhost" else ""
    )
    target = f"http://localhost:{URL(host.base).port}/b.png"

    async def get(request: web.Request) -> web.StreamResponse:
        if request.path == "/robots.txt":
            return web.Response(status=404)
        return web.Response(status=302, headers={"Location": target})

    async with serving(get) as base, opened_fetcher(robots=True) as fetcher:
        assert await outcome(fetcher, f"{base}/a.png") is Reason.ROBOTS_DISALLOWED
    assert host.pictures == 0


@pytest.mark.parametrize(
    "body",
    [
        "\ufeff" + NOTHING_ALLOWED,
        NOTHING_ALLOWED.replace("\n", "\r\n"),
        NOTHING_ALLOWED.replace("\n", "\r"),
        "\x00\x01\n" + NOTHING_ALLOWED,
        "USER-AGENT : TripTych # us\n disallow:/ \n",
        "User-agent: other\nUser-agent: *\nDisallow: /*a*.png$\n",
    ],
)
async def test_files_as_people_write_them(host: Host, body: str) -> None:
    host.answer = text(body)
    assert await asked(host) is Reason.ROBOTS_DISALLOWED


async def test_rules_in_bytes_that_are_no_text_still_hold(host: Host) -> None:
    host.answer = lambda _: web.Response(body=b"\xff\xfe\n" + NOTHING_ALLOWED.encode())
    assert await asked(host) is Reason.ROBOTS_DISALLOWED


@pytest.mark.parametrize(
    "rules",
    [
        "Disallow: /" + "*a" * (ROBOTS_LONG_CHARS // 2) + "*b\n",
        "".join(f"Disallow: /*{n}*x\n" for n in range(30_000)),
        "".join(f"User-agent: {n}\nDisallow: /\n" for n in range(20_000)),
        "Crawl-delay: " + "9" * 5_000 + "\n",
        "Crawl-delay: nan\nCrawl-delay: -1\nCrawl-delay: inf\n",
    ],
    ids=["stars", "rules", "agents", "delay", "delays"],
)
async def test_g9_traps_in_the_file_hold_nobody_up(host: Host, rules: str) -> None:
    """Half a megabyte of them is read once, and none makes asking grow without bound."""
    host.answer = text("User-agent: *\nAllow: /x\n" + rules)
    path = "/" + "a" * 4_000 + ".png"
    async with opened_fetcher(robots=True) as fetcher:
        for _ in range(3):
            assert await outcome(fetcher, host.base + path) is None
    assert len(host.asked) == 1
