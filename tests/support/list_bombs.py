"""Lists that are small and ask for much, of memory or of time, in each format."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.list_files import SHEETS, workbook, zipped

A = "https://cdn.example/a.jpg"
MIB = 1024 * 1024
HUGE = 200 * MIB
"""What a bomb unpacks to, if nobody stops it."""
BLOCK = MIB
GZIP_HEAD_BYTES = 10


def repeated(head: bytes, block: bytes, times: int) -> tuple[bytes, int, int]:
    """Return ``head`` and many equal blocks, deflated, and their CRC and length; never holds them.

    The block is packed once: after a full flush, the same bytes stand for it wherever it comes.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    first, each = (
        packer.compress(part) + packer.flush(zlib.Z_FULL_FLUSH) for part in (head, block)
    )
    crc = zlib.crc32(head)
    for _ in range(times):
        crc = zlib.crc32(block, crc)
    return first + each * times + packer.flush(), crc, len(head) + times * len(block)


def gzipped(head: bytes, block: bytes, times: int) -> bytes:
    """Return a gzip of ``head`` and many equal blocks."""
    packed, crc, length = repeated(head, block, times)
    return gzip.compress(b"", mtime=0)[:GZIP_HEAD_BYTES] + packed + struct.pack("<2L", crc, length)


def zip_of(name: str, head: bytes, block: bytes, times: int, others: Mapping[str, bytes]) -> bytes:
    """Return a zip with a member of ``head`` and many equal blocks."""
    buffer = io.BytesIO()
    packed, crc, length = repeated(head, block, times)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, content in others.items():
            archive.writestr(other, content)
        # Written as it is, then described as what it is, in both of its headers.
        member = zipfile.ZipInfo(name)
        archive.writestr(member, packed, zipfile.ZIP_STORED)
        member.compress_type, member.CRC, member.file_size = zipfile.ZIP_DEFLATED, crc, length
        buffer.seek(member.header_offset)
        buffer.write(member.FileHeader(zip64=False))
    return buffer.getvalue()


def book_members() -> dict[str, bytes]:
    """Return the members of a small workbook."""
    with zipfile.ZipFile(io.BytesIO(workbook({"S": [["url"], [A]]}))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def book_with(sheet: bytes, texts: bytes = b"") -> bytes:
    """Return a workbook with this sheet, and these shared texts."""
    members = {**book_members(), "xl/worksheets/sheet1.xml": sheet}
    if texts:
        members["xl/sharedStrings.xml"] = texts
        name = "xl/_rels/workbook.xml.rels"
        related = members[name].decode()
        kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"
        members[name] = related.replace(
            "</Relationships>",
            f'<Relationship Id="rId99" Type="{kind}" Target="sharedStrings.xml"/></Relationships>',
        ).encode()
    return zipped(members)


def sheet(cells: str) -> bytes:
    """Return a sheet with a header and these rows."""
    head = '<row r="1"><c r="A1" t="inlineStr"><is><t>url</t></is></c></row>'
    return f'<worksheet xmlns="{SHEETS}"><sheetData>{head}{cells}</sheetData></worksheet>'.encode()


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return bytes(sink.getvalue())


def one_value(count: int, size: int) -> pa.Array:
    """Return one long text many times, as a dictionary."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), ["x" * size])


def parquet_dictionary() -> bytes:
    """A dictionary page with one value of 8 MB, for a thousand rows: 8 GB in 2.6 kB."""
    urls = [f"https://cdn.example/{n}.jpg" for n in range(1000)]
    table = pa.table({"url": urls, "note": one_value(1000, 8_000_000)})
    return parquet(table, compression="zstd", dictionary_pagesize_limit=9_000_000)


def parquet_urls() -> bytes:
    """The same in the column of URLs."""
    table = pa.table({"url": one_value(1000, 8_000_000)})
    return parquet(table, compression="zstd", dictionary_pagesize_limit=9_000_000)


def parquet_lists() -> bytes:
    """The same in lists, whose dictionaries are not kept as such."""
    offsets = pa.array(range(1001), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, one_value(1000, 8_000_000))
    table = pa.table({"url": [A] * 1000, "tags": lists})
    return parquet(table, compression="zstd", dictionary_pagesize_limit=9_000_000)


def parquet_plain() -> bytes:
    """Twenty values of 8 MB, packed by Zstandard: 160 MB in some kilobytes."""
    sink = pa.BufferOutputStream()
    schema = pa.schema([("url", pa.string()), ("note", pa.string())])
    rows = pa.table({"url": [A] * 20, "note": ["x" * 8_000_000] * 20}, schema)
    with pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=False) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())


def parquet_values() -> bytes:
    """A row with a list of thirty million nulls."""
    lists = pa.array([[None] * 30_000_000], pa.list_(pa.int8()))
    return parquet(pa.table({"url": [A], "tags": lists}), compression="zstd")


def deep_parquet() -> bytes:
    """A value that is nested in eighty levels."""
    value: Any = 1
    for _ in range(80):
        value = [value]
    return parquet(pa.table({"url": [A], "deep": [value]}))


RSS = b"<rss><channel>"
LINE = b"https://x/aaaaaaaaaaaaaaaaaaaaaaa\n"
ENTRY = f"<item><image_link>{A}</image_link>".encode()
BOMBS: Mapping[str, Callable[[], bytes]] = {
    "gzip of a CSV": lambda: gzipped(b"url\n", b"https://x/a.jpg\n" * 65_536, HUGE // BLOCK),
    "gzip of one line": lambda: gzipped(b"url,t\n", b"x" * BLOCK, HUGE // BLOCK),
    "gzip of long lines": lambda: gzipped(
        b"url,t\n", b"https://x/a.jpg," + b"x" * 1_000_000 + b"\n", 60
    ),
    "gzip of JSON": lambda: gzipped(b'[{"url": "', b"x" * BLOCK, HUGE // BLOCK),
    "gzip of Parquet": lambda: gzipped(b"PAR1", bytes(BLOCK), HUGE // BLOCK),
    "gzip of XML": lambda: gzipped(RSS, b"<a/>" * (BLOCK // 4), HUGE // BLOCK),
    "gzip in gzip": lambda: gzip.compress(gzipped(b"url\n", b"x" * BLOCK, HUGE // BLOCK)),
    "zip": lambda: zip_of("a.csv", b"url\n", b"https://x/a.jpg\n" * 65_536, HUGE // BLOCK, {}),
    "zip of many": lambda: zipped({f"{n}.csv": b"url\n" for n in range(20_000)}),
    "workbook, huge sheet": lambda: zip_of(
        "xl/worksheets/sheet2.xml", b"", b" " * BLOCK, HUGE // BLOCK, book_members()
    ),
    "workbook, far cell": lambda: book_with(
        sheet('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')
    ),
    "workbook, shared text": lambda: book_with(
        sheet(
            "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(2, 20_000))
        ),
        f'<sst xmlns="{SHEETS}"><si><t>{"x" * 1_000_000}</t></si></sst>'.encode(),
    ),
    "Parquet, dictionary": parquet_dictionary,
    "Parquet, dictionary of URLs": parquet_urls,
    "Parquet, dictionary in lists": parquet_lists,
    "Parquet, plain": parquet_plain,
    "Parquet, values": parquet_values,
    "Parquet, deep": deep_parquet,
    "JSON array, long text": lambda: b'[{"url": "' + b"x" * 50 * MIB + b'"}]',
    "JSON array, deep": lambda: b"[" * 5_000_000,
    "JSON array, deep item": lambda: b'[{"url": "u", "a": ' + b"[" * 900 + b"]" * 900 + b"}]",
    "JSON Lines, long line": lambda: (
        b'{"url": "u"}\n{"url": "' + b"x" * 50 * MIB + b'"}\n{"url": "v"}\n'
    ),
    "JSON Lines, deep": lambda: (
        b'{"url": "u"}\n{"url": ' + b"[" * 500_000 + b"]" * 500_000 + b'}\n{"url": "v"}\n'
    ),
    "JSON Lines, deep URL": lambda: (
        b'{"url": "u"}\n{"url": ' + b"[" * 500 + b'"v"' + b"]" * 500 + b"}\n"
    ),
    "JSON Lines, large number": lambda: b'{"url": "u", "n": 1' + b"0" * 4_000 + b"}\n",
    "JSON Lines, many URLs": lambda: b'{"url": "u"}\n{"url": ["u"' + b',"v"' * 200_000 + b"]}\n",
    "JSON document, empty lists": lambda: (
        b'{"a":\n[' + b"[]," * (20 * MIB) + b'[]], "b": [{"url": "u"}]}'
    ),
    "CSV, long field": lambda: b'url,t\nu,"' + b"x" * 50 * MIB + b'"\nv,w\n',
    "CSV, quote over many lines": lambda: b'url,t\nu,"' + LINE * 50_000 + b'"\n',
    "CSV, quotes for ever": lambda: b"url,t\n" + b'x","\n' * 2_000_000,
    "CSV, columns": lambda: b"url" + b",a" * 400_000 + b"\n" + b"u\n" * 1000,
    "CSV, white space": lambda: b"url\n//a" + b" " * 900_000 + b"//b\n//c\n",
    "CSV, many URLs": lambda: b"url\n" + b"//a " * 200_000 + b"\nhttps://x/1\n",
    "XML, long text": lambda: RSS + ENTRY + b"<t>" + b"x" * 100 * MIB + b"</t></item>",
    "XML, attributes": lambda: (
        RSS + ENTRY + b"<t " + b"".join(b"a%d='' " % n for n in range(100_000)) + b"/></item>"
    ),
    "XML, elements": lambda: RSS + ENTRY + b"<a/>" * 2_000_000 + b"</item>",
    "XML, deep": lambda: RSS + ENTRY + b"<a>" * 2_000_000,
    "XML, namespace": lambda: (
        b"<rss xmlns='"
        + b"x" * 1_000_000
        + b"'><channel><item>"
        + b"".join(b"<a%d/>" % n for n in range(30_000))
        + b"</item></channel></rss>"
    ),
    "Parquet, columns": lambda: parquet(
        pa.table({"url": [A] * 400, **{f"c{n}": pa.nulls(400, pa.string()) for n in range(2000)}})
    ),
    "XML, entry of 2 MB": lambda: (
        RSS
        + ENTRY
        + b"<t>"
        + b"x" * 2_000_000
        + b"</t></item>"
        + ENTRY
        + b"</item></channel></rss>"
    ),
}
