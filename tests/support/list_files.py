"""Lists in the forms that people have them, made for tests."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

FORMATS = "http://schemas.openxmlformats.org"
VND = "application/vnd.openxmlformats"
CONTENT_TYPES = (
    f'<Types xmlns="{FORMATS}/package/2006/content-types">'
    f'<Default Extension="rels" ContentType="{VND}-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" '
    f'ContentType="{VND}-officedocument.spreadsheetml.sheet.main+xml"/></Types>'
)
RELATIONS = f"{FORMATS}/officeDocument/2006/relationships"
PACKAGE = f"{FORMATS}/package/2006/relationships"
SHEETS = f"{FORMATS}/spreadsheetml/2006/main"


def workbook(sheets: dict[str, Sequence[Sequence[object]]]) -> bytes:
    """Return a workbook with inline texts (ECMA-376, Office Open XML)."""
    names = list(sheets)
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{n}" r:id="rId{n}"/>'
        for n, name in enumerate(names, 1)
    )
    related = "".join(
        f'<Relationship Id="rId{n}" Type="{RELATIONS}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(names) + 1)
    )
    parts = {
        "[Content_Types].xml": CONTENT_TYPES,
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}"><Relationship Id="rId1" '
        f'Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{SHEETS}" xmlns:r="{RELATIONS}">'
        f"<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}">{related}</Relationships>',
    }
    for n, name in enumerate(names, 1):
        parts[f"xl/worksheets/sheet{n}.xml"] = _sheet(sheets[name])
    return zipped({name: text.encode() for name, text in parts.items()})


def _sheet(rows: Sequence[Sequence[object]]) -> str:
    lines = "".join(
        f'<row r="{r}">' + "".join(_cell(value, r, c) for c, value in enumerate(row)) + "</row>"
        for r, row in enumerate(rows, 1)
    )
    return f'<worksheet xmlns="{SHEETS}"><sheetData>{lines}</sheetData></worksheet>'


def _cell(value: object, row: int, column: int) -> str:
    place = f"{chr(ord('A') + column)}{row}"
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip of files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            # Of no time: its bytes are part of tests' names, which all workers must agree on.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def packed(content: bytes, how: str) -> bytes:
    """Return content plain, gzipped, or as the only file of a zip."""
    if how == "gzip":
        return gzip.compress(content, mtime=0)
    return zipped({"list/": b"", "list/urls": content}) if how == "zip" else content
