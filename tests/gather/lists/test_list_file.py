"""Lists in whatever form people have them: read right, or refused in words that help."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.list_files import packed, workbook, zipped
from triptych.errors import SourceRefused
from triptych.gather.lists.columns import choose_columns
from triptych.gather.lists.list_file import open_list
from triptych.gather.lists.record import BadRecord, ListFormat, Record

A, B, C = (f"https://cdn.example/{name}.jpg" for name in "abc")


def read(folder: Path, content: bytes, name: str = "list") -> tuple[ListFormat, list[Any]]:
    """Return a list's format, and its records as values or problems."""
    path = folder / "list"
    path.write_bytes(content)
    reader = open_list(
        lambda: path.open("rb"), name, lambda names: choose_columns(names) is not None
    )
    found = list(reader.records(0))
    for offset in range(len(found)):
        assert list(reader.records(offset)) == found[offset:]
    return reader.format, found


def values(folder: Path, content: bytes, name: str = "list") -> list[Any]:
    return [
        record.values if isinstance(record, Record) else record
        for record in read(folder, content, name)[1]
    ]


def with_password(content: bytes) -> bytes:
    """Return a zip that says that its file is encrypted: bit 0 of its flags (APPNOTE.TXT 4.4.4)."""
    marked = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        marked[content.index(mark) + offset] |= 1
    return bytes(marked)


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"url": [A, B], "title": ["a", "b"]}), sink)
    return bytes(sink.getvalue())


RSS = f"""<?xml version="1.0"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
<item><g:image_link>{A}</g:image_link><title>a</title></item>
<item><g:image_link>{B}</g:image_link><title>b</title></item></channel></rss>""".encode()
FORMS: dict[str, tuple[str, bytes]] = {
    "csv": ("CSV", f"url,title\n{A},a\n{B},b\n".encode()),
    "semicolons": ("CSV", f"url;title\n{A};a\n{B};b\n".encode()),
    "bars": ("CSV", f"url|title\n{A}|a\n{B}|b".encode()),
    "tsv": ("TSV", f"url\ttitle\r\n{A}\ta\r\n{B}\tb\r\n".encode()),
    "carriage returns": ("CSV", f"url,title\r{A},a\r{B},b\r".encode()),
    "sep": ("CSV", f"sep=;\r\nurl;title\r\n{A};a\r\n{B};b\r\n".encode()),
    "blank lines": ("CSV", f"\n  \n\nurl,title\n\n{A},a\n\n{B},b\n\n".encode()),
    "a title above": ("CSV", f"Products of May\n\nurl,title\n{A},a\n{B},b\n".encode()),
    "empty columns": ("CSV", f"url,title,,\n{A},a,,\n{B},b,,\n".encode()),
    "json lines": (
        "JSON Lines",
        f'{{"url":"{A}","title":"a"}}\n{{"url":"{B}","title":"b"}}'.encode(),
    ),
    "array": (
        "JSON array",
        f'[{{"url":"{A}","title":"a"}},\n {{"url":"{B}","title":"b"}}]'.encode(),
    ),
    "document": (
        "JSON document",
        json.dumps(
            {"next": None, "data": {"items": [{"url": A, "title": "a"}, {"url": B, "title": "b"}]}},
            indent=1,
        ).encode(),
    ),
    "parquet": ("Parquet", parquet()),
    "workbook": ("Excel workbook", workbook({"S": [["url", "title"], [A, "a"], [B, "b"]]})),
}


@pytest.mark.parametrize("how", ["plain", "gzip", "zip"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_plain_gzipped_and_zipped(tmp_path: Path, form: str, how: str) -> None:
    name, content = FORMS[form]
    found, records = read(tmp_path, packed(content, how))
    assert found.name == name
    assert [dict(record.values) for record in records] == [
        {"url": A, "title": "a"},
        {"url": B, "title": "b"},
    ]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_any_encoding_is_read_and_a_guess_is_said(
    tmp_path: Path, encoding: str, delimiter: str
) -> None:
    text = f"url{delimiter}größe\r\nhttps://cdn.example/über.jpg{delimiter}weiß\r\n"
    found, (record,) = read(tmp_path, text.encode(encoding))
    assert record.values == {"url": "https://cdn.example/über.jpg", "größe": "weiß"}
    guessed = encoding in {"utf-16-le", "utf-16-be", "cp1252"}
    assert bool(found.notes) is guessed
    if encoding == "cp1252":
        assert "line 1" in found.notes[0]
        assert "Windows-1252" in found.notes[0]


class TestDelimited:
    def test_commas_in_urls_are_no_delimiter_where_there_is_one_column(
        self, tmp_path: Path
    ) -> None:
        urls = [f"https://cdn.example/c_fill,w_400,{name}.jpg" for name in "ab"]
        for head in ("url\n", "URL \r\n", '"url"\n', ""):
            found = values(tmp_path, (head + "\n".join(urls)).encode())
            assert [next(iter(each.values())) for each in found] == urls

    def test_a_bare_list_says_that_it_has_no_header(self, tmp_path: Path) -> None:
        found, records = read(tmp_path, f"{A}\n//cdn.example/b.jpg\n\n{C}".encode())
        assert [record.values["url"] for record in records] == [A, "//cdn.example/b.jpg", C]
        assert "no header" in found.notes[0]

    @pytest.mark.parametrize(
        "broken",
        [
            'B,"27 inch monitor,M2',
            '"B,27 inch monitor,M2',
            'B,"27" monitor,M2',
            "B,one,two,three",
        ],
    )
    def test_a_broken_line_costs_itself_and_is_named(self, tmp_path: Path, broken: str) -> None:
        rows = [f"{A},Monitor,M1", broken.replace("B", B), f"{C},Cup,M3", f"{C}?4,Mug,M4"]
        found = values(tmp_path, "\n".join(["url,title,sku", *rows]).encode())
        assert [each.get("sku") for each in found if not isinstance(each, BadRecord)] == [
            "M1",
            "M3",
            "M4",
        ]
        (bad,) = [each for each in found if isinstance(each, BadRecord)]
        assert bad.place == "line 3"

    def test_two_unclosed_quotes_do_not_close_each_other(self, tmp_path: Path) -> None:
        rows = [f'{A},"27 inch,M1', f"{B},Cup,M2", f'{C},24",M3', f"{C}?4,Mug,M4"]
        found = values(tmp_path, "\n".join(["url,title,sku", *rows]).encode())
        good = [each["sku"] for each in found if not isinstance(each, BadRecord)]
        assert "M2" in good
        assert "M4" in good
        assert len(found) == len(rows)

    def test_an_unclosed_quote_in_the_last_line(self, tmp_path: Path) -> None:
        *good, bad = values(tmp_path, f'url,title\n{A},a\n{B},"b'.encode())
        assert [each["url"] for each in good] == [A]
        assert bad.place == "line 3"
        assert "column 27" in bad.problem

    def test_quoted_line_breaks_and_quotes_are_kept(self, tmp_path: Path) -> None:
        found = values(tmp_path, f'url,text\n{A},"one\ntwo, ""three"""\n{B},b\n'.encode())
        assert [each["text"] for each in found] == ['one\ntwo, "three"', "b"]

    def test_ragged_rows(self, tmp_path: Path) -> None:
        found = values(tmp_path, f"url,title,sku\n{A}\n{B},b,2,,,\n{C},c,3,extra\n".encode())
        assert found[0] == {"url": A}
        assert found[1] == {"url": B, "title": "b", "sku": "2"}
        assert "4 cells" in found[2].problem

    def test_columns_of_one_name_are_both_kept(self, tmp_path: Path) -> None:
        found, (record,) = read(tmp_path, f"image,image,note,note\n{A},{B},x,y\n".encode())
        assert list(record.values.values()) == [A, B, "x", "y"]
        assert any("numbered" in note for note in found.notes)

    def test_a_line_without_an_end_is_bounded(self, tmp_path: Path) -> None:
        found = values(tmp_path, b"url,title\nhttps://x/" + b"a" * 9_000_000 + b",t\n" + A.encode())
        assert isinstance(found[0], BadRecord)
        assert found[1] == {"url": A}

    @given(
        st.lists(
            st.tuples(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)),
            min_size=1,
            max_size=8,
        )
    )
    def test_what_the_csv_module_writes_is_read_back(
        self, tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str]]
    ) -> None:
        import csv
        import io

        buffer = io.StringIO()
        writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
        writer.writerows([["url", "text"], *([A, text] for (text,) in cells)])
        folder = tmp_path_factory.mktemp("lists", numbered=True)
        found = values(folder, buffer.getvalue().encode())
        assert [each["text"] for each in found] == [text for (text,) in cells]


class TestJson:
    def test_nan_and_infinity_do_not_cost_the_record(self, tmp_path: Path) -> None:
        record = '{"url": "%s", "price": NaN, "stock": -Infinity}'
        lines, array = f"{record % A}\n{record % B}", f"[{record % A}, {record % B}]"
        for text in (lines, array):
            assert [each["url"] for each in values(tmp_path, text.encode())] == [A, B]

    def test_a_bad_line_costs_itself(self, tmp_path: Path) -> None:
        text = f'{{"url": "{A}"}}\n{{"url": \n17\n"{B}"\n'
        first, bad, number, plain = values(tmp_path, text.encode(), "list.jsonl")
        assert (first, plain) == ({"url": A}, {"url": B})
        assert (bad.place, number.place) == ("line 2", "line 3")

    def test_arrays_of_texts_and_elements_across_reads(self, tmp_path: Path) -> None:
        urls = [f"https://cdn.example/{'x' * 900}/{n}.jpg" for n in range(300)]
        assert [each["url"] for each in values(tmp_path, json.dumps(urls).encode())] == urls
        assert values(tmp_path, b"[ ]") == []

    @pytest.mark.parametrize(
        "cut", [f'[{{"url": "{A}"}}, {{"url": ', f'[{{"url": "{A}"}}', "[1,,2]"]
    )
    def test_a_cut_array_is_refused_with_the_place(self, tmp_path: Path, cut: str) -> None:
        with pytest.raises(SourceRefused, match="Item 2"):
            values(tmp_path, cut.encode())


class TestXml:
    def test_a_merchant_feed(self, tmp_path: Path) -> None:
        found, records = read(tmp_path, RSS)
        assert found.name == "RSS feed"
        assert [record.values["url"] for record in records] == [[A], [B]]

    def test_a_sitemap_with_and_without_image_elements(self, tmp_path: Path) -> None:
        head = (
            '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" '
            'xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">'
        )
        text = (
            f"{head}<url><loc>https://shop.example/1</loc><image:image><image:loc>{A}</image:loc>"
            f"</image:image><image:image><image:loc>{B}</image:loc></image:image></url>"
            f"<url><loc>{C}</loc></url></urlset>"
        )
        first, second = values(tmp_path, text.encode())
        assert first == {"page": "https://shop.example/1", "url": [A, B]}
        assert second["url"] == [C]

    def test_atom_and_media_rss(self, tmp_path: Path) -> None:
        text = f"""<feed xmlns="http://www.w3.org/2005/Atom" xmlns:media="http://search.yahoo.com/mrss/">
        <entry><title>a</title><link rel="enclosure" type="image/jpeg" href="{A}"/></entry>
        <entry><title>b</title><media:content url="{B}" medium="image"/></entry>
        <entry><title>c</title><link href="{C}"/></entry></feed>"""
        assert [each["url"] for each in values(tmp_path, text.encode())] == [[A], [B], []]

    @pytest.mark.parametrize(
        "hostile",
        [
            '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss><item>&b;</item></rss>',
            '<!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/passwd">]><rss><item>&f;</item></rss>',
            "<rss><channel><item>",
            "<rss><channel><item></rss>",
        ],
    )
    def test_hostile_and_broken_xml_is_refused(self, tmp_path: Path, hostile: str) -> None:
        with pytest.raises(SourceRefused):
            values(tmp_path, hostile.encode())

    def test_an_entry_without_an_end_is_bounded(self, tmp_path: Path) -> None:
        with pytest.raises(SourceRefused, match="Entry 1"):
            values(tmp_path, b"<rss><channel><item><a>" + b"x" * 9_000_000)


class TestWorkbook:
    def test_the_sheet_with_urls_is_found_and_said(self, tmp_path: Path) -> None:
        book = workbook(
            {
                "Read me": [["Hello"]],
                "Products": [["Products of May"], [], ["SKU", "Image Src", "Price"], ["1", A, 9.5]],
            }
        )
        found, (record,) = read(tmp_path, book)
        assert record == Record("row 4", {"SKU": "1", "Image Src": A, "Price": 9.5})
        assert any("Products" in note for note in found.notes)
        assert any("Read me" in note for note in found.notes)

    def test_no_sheet_with_urls(self, tmp_path: Path) -> None:
        with pytest.raises(SourceRefused, match="No sheet"):
            values(tmp_path, workbook({"S": [["name"], ["a"]]}))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"name,title\n1,2\n", "name, title"),
        pytest.param(b"\x00\x01\x02\x03" * 100, "NUL", id="binary"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"BZh91AY", "bzip2"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "root svg"),
        (b"<sitemapindex><sitemap/></sitemapindex>", "index of sitemaps"),
        ("url,t\nhttps://x/1,\u00e9".encode()[:-1], "cut"),
        (b"url,t\nhttps://x/1,\x81\xff", "0x81"),
        (zipped({"a.csv": b"url\n", "b.csv": b"url\n"}), "2 files"),
        (zipped({"xl/worksheets/sheet1.xml": b"<worksheet/>"}), "workbook"),
        (b"\x1f\x8b\x08\x00cut", "cannot be read"),
        pytest.param(with_password(zipped({"a.csv": b"url\n"})), "encrypted", id="password"),
        (b'{"a": [{"name": "x"}]}', "without an array"),
    ],
)
def test_what_is_no_list_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceRefused) as refused:
        values(tmp_path, content)
    assert said in str(refused.value)
    assert refused.value.remedy or "cannot be read" in str(refused.value)
