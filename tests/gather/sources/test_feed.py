"""The source ``feed`` against RSS, Atom and Merchant feeds: paged, relative, broken, endless."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from tests.support.site_server import Site, fails, says, site, xml
from triptych.errors import SourceRefused, SourceUnavailable
from triptych.gather.source import Row
from triptych.gather.sources import feed
from triptych.gather.sources.feed import FEED
from triptych.testing.collect import collect, opened

pytestmark = pytest.mark.integration

RSS = (
    '<rss version="2.0" xmlns:media="http://search.yahoo.com/mrss/" '
    'xmlns:atom="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><channel>'
)
ATOM = '<feed xmlns="http://www.w3.org/2005/Atom"'


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.gather.http_reader.BACKOFF_BASE_S", 0.001)


@pytest.fixture
async def blog() -> AsyncIterator[Site]:
    async with site() as served:
        yield served


def rss(*items: str) -> str:
    return f"{RSS}{''.join(items)}</channel></rss>"


def item(n: int) -> str:
    picture = f'<enclosure url="https://c.example/{n}.jpg" type="image/jpeg"/>'
    return f"<item><title>{n}</title>{picture}</item>"


def further(url: str) -> str:
    return f'<atom:link rel="next" href="{url}"/>'


async def rows(place: str, page_rows: int = 100) -> Sequence[Row]:
    async with opened(FEED, place, page_rows=page_rows) as source:
        return (await collect(source)).rows


def urls(found: Sequence[Row]) -> list[str]:
    return [row.url for row in found if not row.refused]


def refused(found: Sequence[Row]) -> list[str]:
    return [row.refused for row in found if row.refused]


async def test_rss_has_enclosures_and_media(blog: Site) -> None:
    blog.has(
        "/feed",
        xml(
            rss(
                "<item><title>A</title><link>https://b.example/a</link><guid>7</guid>"
                '<media:content url="https://c.example/1.jpg" medium="image"/>'
                '<enclosure url="/2.png" type="image/png"/>'
                '<enclosure url="https://c.example/a.mp3" type="audio/mpeg"/></item>',
                "<item><title>Words only</title></item>",
            )
        ),
    )
    found = await rows(blog.url("/feed"))
    about = {"title": "A", "link": "https://b.example/a", "guid": "7"}
    assert found[:2] == [
        Row("https://c.example/1.jpg", about, "entry 1"),
        Row(blog.url("/2.png"), about, "entry 1"),
    ]
    (why,) = refused(found)
    assert why.startswith("The entry names no picture")


async def test_a_merchant_feed_has_all_its_pictures_and_columns(blog: Site) -> None:
    blog.has(
        "/merchant.xml",
        xml(
            rss(
                "<item><g:id>SKU1</g:id><g:price>19.90 EUR</g:price>"
                "<g:image_link>https://c.example/a.jpg</g:image_link>"
                "<g:additional_image_link>https://c.example/b.jpg</g:additional_image_link>"
                "<g:additional_image_link>https://c.example/c.jpg</g:additional_image_link></item>"
            )
        ),
    )
    found = await rows(blog.url("/merchant.xml"))
    assert urls(found) == [f"https://c.example/{name}.jpg" for name in "abc"]
    assert all(row.metadata["id"] == "SKU1" for row in found)
    assert all(row.metadata["price"] == "19.90 EUR" for row in found)


async def test_atom_resolves_what_is_relative_to_its_base(blog: Site) -> None:
    blog.has(
        "/atom",
        xml(
            f'{ATOM} xml:base="https://c.example/dir/"><entry><title>A</title>'
            '<link rel="enclosure" type="image/jpeg" href="a.jpg"/></entry></feed>'
        ),
    )
    assert urls(await rows(blog.url("/atom"))) == ["https://c.example/dir/a.jpg"]


@pytest.mark.parametrize("page_rows", [1, 2, 100])
async def test_a_paged_feed_is_followed_from_every_cursor(blog: Site, page_rows: int) -> None:
    blog.has("/feed", xml(rss(further("/feed?page=2"), item(0), item(1), item(2))))
    blog.has("/feed?page=2", xml(rss(further(blog.url("/feed?page=3")), item(3))))
    blog.has("/feed?page=3", xml(rss(item(4))))
    found = await rows(blog.url("/feed"), page_rows)
    assert urls(found) == [f"https://c.example/{n}.jpg" for n in range(5)]


async def test_an_entrys_own_link_is_no_next_page(blog: Site) -> None:
    body = f'<item>{further("/else")}<enclosure url="/a.jpg" type="image/jpeg"/></item>'
    blog.has("/feed", xml(rss(body)))
    assert len(urls(await rows(blog.url("/feed")))) == 1
    assert set(blog.asked) == {"/feed"}


@pytest.mark.parametrize("circle", [1, 2, 3, 5])
async def test_g3_pages_in_a_circle_end_and_are_counted(blog: Site, circle: int) -> None:
    for n in range(circle):
        blog.has(f"/feed?page={n}", xml(rss(further(f"/feed?page={(n + 1) % circle}"), item(n))))
    async with opened(FEED, blog.url("/feed?page=0")) as source:
        found = [row async for page in source.pages("b", None) for row in page.rows]
    assert set(urls(found)) == {f"https://c.example/{n}.jpg" for n in range(circle)}
    assert refused(found) == ["The feed's next page is one that was read before: it ends here."]
    assert len(blog.requests) <= 3 * circle


async def test_g3_pages_without_end_are_read_to_their_limit(
    blog: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAGES_MAX", 3)
    for n in range(6):
        blog.has(f"/{n}", xml(rss(further(f"/{n + 1}"), item(n))))
    found = await rows(blog.url("/0"))
    assert urls(found) == [f"https://c.example/{n}.jpg" for n in range(3)]
    assert refused(found) == ["The feed has more than 3 pages; the others are not read."]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (rss("<item><title>Words</title></item>"), "No entry of the feed names a picture"),
        ("<html><body>Login</body></html>", "a web page"),
        ('{"version": "https://jsonfeed.org"}', "no XML"),
        ("<urlset><url/></urlset>", "a sitemap, no feed.*sitemap:"),
        ("<opml/>", "no RSS or Atom feed"),
        (rss(item(0))[:-30], "cannot be read"),
        ('<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><rss>&a;</rss>', "Forbidden"),
        ("<rss><channel>" + "<item>" * 60_000, "more than 50000 elements"),
    ],
    ids=["words", "html", "json", "sitemap", "other", "cut", "entity", "deep"],
)
async def test_g8_what_is_no_feed_is_refused_with_the_remedy(
    blog: Site, body: str, why: str
) -> None:
    blog.has("/feed", xml(body))
    with pytest.raises(SourceRefused, match=why):
        await rows(blog.url("/feed"))


async def test_a_page_that_was_cut_once_is_read_again(blog: Site) -> None:
    whole = rss(item(0), item(1))
    blog.has("/feed", xml(whole[:-50]), xml(""), fails(503), xml(whole))
    async with opened(FEED, blog.url("/feed")) as source:
        found = [row async for page in source.pages("b", None) for row in page.rows]
    assert len(urls(found)) == 2


async def test_g8_a_page_too_large_is_not_read(blog: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PAGE_MAX_BYTES", 1000)
    blog.has("/feed", xml(rss(*(item(n) for n in range(100)))))
    with pytest.raises(SourceRefused, match="larger than 1000 bytes"):
        await rows(blog.url("/feed"))


async def test_encodings_are_those_that_the_feed_declares(blog: Site) -> None:
    text = f'<?xml version="1.0" encoding="iso-8859-1"?>{rss(item(0))}'.replace(
        "<title>0", "<title>Grün"
    )
    blog.has("/feed", says(text.encode("latin-1"), "text/xml"))
    (row,) = await rows(blog.url("/feed"))
    assert row.metadata["title"] == "Grün"


async def test_g9_the_token_stays_at_the_feeds_origin(blog: Site) -> None:
    async with site() as other:
        blog.has("/feed", xml(rss(further(other.url("/2")), item(0))))
        other.has("/2", xml(rss(further(blog.url("/3")), item(1))))
        blog.has("/3", xml(rss(item(2))))
        async with opened(FEED, blog.url("/feed"), token="s3cret") as source:
            found = [row async for page in source.pages("b", None) for row in page.rows]
    assert len(found) == 3
    sent = [request.headers.get("Authorization") for request in blog.requests]
    assert sent == ["Bearer s3cret"] * 2
    assert [request.headers.get("Authorization") for request in other.requests] == [None]


async def test_g9_a_next_page_at_a_private_address_is_refused(blog: Site) -> None:
    blog.has("/feed", xml(rss(further("http://169.254.169.254/latest"), item(0))))
    with pytest.raises(SourceRefused, match="address that is refused"):
        await rows(blog.url("/feed"))


async def test_a_feed_that_is_away_is_unavailable(blog: Site) -> None:
    blog.has("/feed", fails(429, Retry_After="900"))
    with pytest.raises(SourceUnavailable) as away:
        await rows(blog.url("/feed"))
    assert away.value.retry_after_s == 900
