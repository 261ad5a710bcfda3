"""The pictures and links of a page, however it is written."""

from __future__ import annotations

import time
from typing import Any

import pytest

from triptych.gather.documents import web_page
from triptych.gather.documents.web_page import parse_web_page
from triptych.gather.lists.catalog_page import DocumentPage
from triptych.gather.lists.exchange import DocumentHead, ListRecord

URL = "https://shop.example/dir/page.html"
STILL_S = 10.0
"""CPU time that a hostile page of megabytes may take."""


def parsed(html: str, **head: Any) -> DocumentPage:
    return parse_web_page(DocumentHead(URL, **head), html.encode())


def pictures(html: str, **head: Any) -> list[tuple[str, dict[str, Any]]]:
    records = parsed(html, **head).records
    return [(record.urls[0], record.metadata[0]) for record in records if record.urls]


def urls(html: str) -> list[str]:
    return [url for url, _ in pictures(html)]


def refused(html: str, **head: Any) -> list[str]:
    return [record.refused for record in parsed(html, **head).records if record.refused]


def test_a_picture_has_its_page_title_and_alternative_text() -> None:
    html = "<title> A\n shop </title><img src='/a.jpg' alt=' A &amp; B '>"
    assert pictures(html) == [
        (
            "https://shop.example/a.jpg",
            {"page": URL, "title": "A shop", "found_in": "img", "alt": "A & B"},
        )
    ]


@pytest.mark.parametrize(
    ("html", "name"),
    [
        ("<img src=a.jpg srcset='b.jpg 100w, c.jpg 900w'>", "c.jpg"),
        ("<img src=a.jpg srcset='b.jpg 2x'>", "b.jpg"),
        ("<img src='data:image/gif;base64,R0' data-src=a.jpg>", "a.jpg"),
        ("<img src=tiny.gif data-srcset='b.jpg 100w, c.jpg 900w' data-src=b.jpg>", "c.jpg"),
        ("<img src=tiny.gif srcset='data:image/gif;base64,R0 1w' data-lazy-src=a.jpg>", "a.jpg"),
        ("<img src=tiny.gif data-original=a.jpg>", "a.jpg"),
        ("<img data-src='a_{width}x.jpg' data-widths='[180, 1080, 540]'>", "a_1080x.jpg"),
        ("<picture><source srcset='a.webp 1x, b.webp 2x'><img src=a.jpg></picture>", "b.webp"),
        ("<picture><source data-srcset='a 50w, b.webp 70w'><img data-src=c></picture>", "b.webp"),
        ("<video><source srcset=x.webp></video><img src=a.jpg>", "a.jpg"),
        ("<meta property=og:image content=a.jpg>", "a.jpg"),
        ("<meta property=og:image:secure_url content=a.jpg>", "a.jpg"),
        ("<meta name=twitter:image content=a.jpg>", "a.jpg"),
        ("<meta name=twitter:image:src content=a.jpg>", "a.jpg"),
        ("<meta itemprop=image content=a.jpg>", "a.jpg"),
        ("<link rel=image_src href=a.jpg>", "a.jpg"),
        ("<link itemprop=image href=a.jpg>", "a.jpg"),
        ("<noscript><img src=a.jpg></noscript>", "a.jpg"),
        ("<a href='a.JPEG?x=1'>Large</a>", "a.JPEG?x=1"),
        ("<script type='application/ld+json'>{\"image\": \"a.jpg\"}</script>", "a.jpg"),
        ("<IMG SRC=a.jpg", None),
        ("<img src='a.jpg' <p>text", "a.jpg"),
        ("<div><<img src=a.jpg></span></b></table>", "a.jpg"),
        ("<!-- <img src=b.jpg> --><img src=a.jpg>", "a.jpg"),
        ("<script>document.write('<img src=b.jpg>')</script><img src=a.jpg>", "a.jpg"),
        ("<style>.x{background:url(b.jpg)}</style><img src=a.jpg>", "a.jpg"),
    ],
)  # fmt: skip
def test_each_way_to_name_a_picture_is_read(html: str, name: str | None) -> None:
    expected = [] if name is None else [f"https://shop.example/dir/{name}"]
    assert urls(html) == expected


def test_a_base_holds_for_pictures_and_links() -> None:
    page = parsed("<base href='//cdn.example/b/'><base href=/no/><img src=a.jpg><a href=x>x</a>")
    (record,) = page.records
    assert list(record.urls) == ["https://cdn.example/b/a.jpg"]
    assert list(page.links) == ["https://cdn.example/b/x"]


def test_a_picture_named_twice_is_one_and_keeps_what_each_place_says() -> None:
    html = (
        "<meta property=og:image content=a.jpg><meta property=og:image:alt content='In words'>"
        "<script type='application/ld+json'>"
        '{"@type": "Product", "name": "Shoe", "sku": "S", "image": "a.jpg"}</script>'
        "<img src=a.jpg alt=Other>"
    )
    ((_, about),) = pictures(html)
    assert (about["found_in"], about["alt"]) == ("og:image", "In words")
    assert (about["product"], about["sku"]) == ("Shoe", "S")


def test_links_are_those_that_may_lead_to_pages_each_once() -> None:
    html = (
        "<a href='a#x'>1</a><a href='a#y'>2</a><a href='#top'>3</a><area href='/b'>"
        "<link rel=next href='?page=2'><a href='mailto:x@y.z'>4</a><a href='javascript:go()'>5</a>"
        "<a href='list.pdf'>6</a><a href='https://example.zip'>7</a><a href='http://[::1'>8</a>"
        "<meta http-equiv=refresh content='0; url=/moved'><a>9</a><a href=''>10</a>"
    )
    assert list(parsed(html).links) == [
        "https://shop.example/dir/a",
        "https://shop.example/b",
        "https://shop.example/dir/page.html?page=2",
        "https://example.zip/",
        "https://shop.example/moved",
    ]


def test_what_is_left_out_is_counted() -> None:
    html = (
        "<img src='data:image/png;base64,AA'><img src=data:x><img><img alt=x>"
        "<a rel='noopener NOFOLLOW' href=x>x</a>"
        "<script type='application/ld+json'>{broken</script>"
    )
    found = refused(html)
    assert found[:3] == [
        "2 pictures are in the page itself (data: URLs).",
        "2 img elements name no picture.",
        "1 links are not followed: they are marked nofollow.",
    ]
    assert found[3].startswith("1 JSON-LD scripts cannot be read (")


@pytest.mark.parametrize("word", ["noindex", "noimageindex", "NoAI", "noimageai", "none"])
def test_a_page_that_opts_out_gives_no_picture_and_says_so(word: str) -> None:
    html = (
        f"<meta name=ROBOTS content='follow, {word}'><img src=a.jpg><img src=b.jpg><a href=x>x</a>"
    )
    page = parsed(html)
    assert not [record for record in page.records if record.urls]
    assert any(
        why.startswith("2 pictures are not taken: the page opts out") for why in refused(html)
    )
    assert len(urls(html)) == 0
    assert len(pictures(html, opt_outs=False)) == 2


def test_a_page_that_wants_its_links_not_followed_has_none() -> None:
    html = "<meta name=triptych content=nofollow><img src=a.jpg><a href=x>x</a><a href=y>y</a>"
    assert list(parsed(html).links) == []
    assert refused(html) == ["2 links are not followed: the page asks for it (nofollow)."]
    assert len(parsed(html, opt_outs=False).links) == 2


def test_g8_more_than_a_page_may_have_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_page, "PICTURES_MAX", 3)
    monkeypatch.setattr(web_page, "LINKS_MAX", 2)
    html = "".join(f"<img src={n}.jpg><a href={n}>x</a>" for n in range(10))
    assert len(urls(html)) == 3
    assert len(parsed(html).links) == 2
    assert sorted(refused(html)) == [
        "7 pictures are left out: of one page, 3 are taken.",
        "8 links are not followed: of one page, 2 are.",
    ]


def test_a_long_text_is_cut_where_one_sees_it() -> None:
    ((_, about),) = pictures(f"<img src=a.jpg alt='{'word ' * 2000}'>")
    assert len(about["alt"]) == web_page.TEXT_MAX_CHARS
    assert about["alt"].endswith("…")


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 1_000_000 + "<img src=a.jpg>",
        "<picture>" * 300_000 + "<img src=a.jpg>",
        "<a href=" * 500_000,
        "<img src=a.jpg " * 400_000,
        "<img srcset='" + "a 1x," * 1_000_000 + "'>",
        "<script type=application/ld+json>" + "[" * 5_000_000,
        "<title>" + "x" * 7_000_000 + "</title><img src=a.jpg>",
        "".join(f"<img src={n}.jpg>" for n in range(60_000)),
        "&" * 5_000_000,
        "<!--" * 1_500_000,
        "<a href='" + "x" * 7_000_000 + "'>",
        "<p a=1" + " b=2" * 1_500_000 + ">",
        "<base href='" + "a/" * 1_000_000 + "'>" + "<img src=a.jpg>" * 200,
    ],
    ids=[
        *("deep", "pictures", "open links", "open img", "srcset", "json", "title", "many"),
        *("entities", "comments", "long link", "attributes", "long base"),
    ],
)
def test_g8_a_hostile_page_is_read_in_bounds(html: str) -> None:
    begun = time.process_time()
    page = parsed(html)
    assert time.process_time() - begun < STILL_S
    assert len(list(page.records)) <= web_page.PICTURES_MAX + 10
    assert all(isinstance(record, ListRecord) for record in page.records)
