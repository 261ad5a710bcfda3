"""A report's text: Markdown, and the same as one self-contained HTML file."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markdown_it import MarkdownIt

from triptych.snapshots.reports.contents import TAGS_MAX, Contents

STYLE = """
:root { color-scheme: light dark; --ink: #181a20; --faint: #5f6470; --line: #d9dce3; --paper: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaf0; --faint: #9aa0ad; --line: #32363f; --paper: #14161b }
}
body { font: 16px/1.6 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 66rem; margin: 3rem auto; padding: 0 1.5rem }
h1 { font-size: 2.2rem; line-height: 1.2; margin-bottom: .2rem }
h2 { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1.5rem }
img { max-width: 100%; border: 1px solid var(--line); border-radius: 8px; background: #fff }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .35rem 1rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left }
em { color: var(--faint) } code { overflow-wrap: anywhere }
"""

PLACEHOLDERS_SHOWN = 5
"""The most probable placeholders in a report, those of most URLs first."""
KIND_GAIN_MIN = 0.01
"""Least change of a kind's share that is mentioned."""

Pictures = Mapping[str, bytes]
"""PNGs by file name."""


def markdown(contents: Contents, pictures: Pictures, summary: str | None) -> str:
    """Return the report as Markdown that refers to its pictures by file name.

    Text from a source, a URL or a model never becomes markup.
    """
    run, brand = contents.run, contents.brand
    taken = _date(run.ended_at or run.created_at)
    parts = [
        f"# {_text(brand.name)}",
        f"*{brand.assets:,} assets · snapshot of {taken} · report of {_date(contents.at)}*",
    ]
    if summary:
        parts.append("\n\n".join(_text(line) for line in summary.splitlines() if line.strip()))
    parts += [
        _commit(contents),
        *_look(contents, pictures),
        *_clusters(contents, pictures),
        *_duplicates(contents, pictures),
        *_map(pictures),
        *_tags(contents),
        *_outliers(contents, pictures),
        *_near(contents),
        *_failed(contents),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def page(text: str, title: str, pictures: Pictures) -> str:
    """Return the Markdown as one HTML file with its pictures inside; no script, no request."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)

    def inline(found: re.Match[str]) -> str:
        encoded = base64.b64encode(pictures[found[1]]).decode()
        return f'src="data:image/png;base64,{encoded}"'

    names = "|".join(re.escape(name) for name in pictures) or "(?!)"
    body = re.sub(f'src="({names})"', inline, body)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    )


def _commit(contents: Contents) -> str:
    run = contents.run
    failed = ", ".join(f"{count:,} {_text(name)}" for name, count in run.reasons.items())
    restored = f"restored an older snapshot (`{run.restores}`): it " if run.restores else ""
    return (
        f"The last run {restored}brought {run.added or 0:,} new and {run.changed or 0:,} changed "
        f"assets, kept {run.kept or 0:,} and dropped {run.removed or 0:,}."
        + (f" {run.failed:,} URLs failed ({failed})." if run.failed else "")
    )


def _look(contents: Contents, pictures: Pictures) -> list[str]:
    look = contents.result("look")
    if not look:
        return []
    parts = ["## Look", _image("palette.png", "Palette", pictures)]
    colours = look.get("palette") or []
    if colours:
        shown = ", ".join(
            f"{_text(str(c.get('word') or ''))} `{c['colour']}` {c['share']:.0%}" for c in colours
        )
        parts.append(f"Palette: {shown}.")
    kinds = look.get("kinds") or {}
    if kinds:
        rows = [(name, entry["count"], f"{entry['share']:.0%}") for name, entry in kinds.items()]
        parts.append(_table(("kind", "assets", "share"), rows))
    coherence = look.get("coherence")
    if coherence:
        figure = (
            f"Coherence {coherence['score']:.2f} (0: like unrelated pictures, 1: all the same)."
        )
        # Insights of older releases have no sentence.
        parts.append(" ".join(filter(None, (figure, _text(coherence.get("sentence") or "")))))
    if treated := look.get("treatment_count"):
        noun = "picture is" if treated == 1 else "pictures are"
        parts.append(f"{treated} {noun} treated in another way than the rest.")
    shapes = look.get("shapes") or {}
    if shapes:
        told = ", ".join(f"{entry['share']:.0%} {name}" for name, entry in shapes.items())
        parts.append(f"Shapes: {told}.")
    return [*parts, _change(look.get("change"))]


def _change(change: Mapping[str, Any] | None) -> str:
    if not change:
        return ""
    told = []
    if "added" in change:
        told.append(f"{change['added']:,} assets added, {change['removed']:,} removed")
    if "palette" in change:
        told.append(f"the palette changed by {change['palette']:.2f} (from black to white is 1)")
    kinds = change.get("kinds") or {}
    told += [f"{name}s {gain:+.0%}" for name, gain in kinds.items() if abs(gain) >= KIND_GAIN_MIN]
    if "coherence" in change:
        told.append(f"coherence {change['coherence']:+.2f}")
    return f"Since the previous snapshot: {'; '.join(told)}." if told else ""


def _clusters(contents: Contents, pictures: Pictures) -> list[str]:
    found = contents.result("clusters")
    if not found:
        return []
    told = (
        f"{found['cluster_count']:,} clusters hold {found['clustered']:,} assets; "
        f"{found['noise']:,} belong to none."
    )
    rows = [(family.label, family.size) for family in contents.clusters]
    table = _table(("cluster", "assets"), rows) if rows else ""
    return ["## Clusters", told, _image("clusters.png", "The largest clusters", pictures), table]


def _duplicates(contents: Contents, pictures: Pictures) -> list[str]:
    found = contents.result("duplicates")
    if not found:
        return []
    told = (
        f"{found['group_count']:,} groups, {found['exact_groups']:,} of identical files and "
        f"{found['near_groups']:,} of edited copies. {found['redundant']:,} assets are not the "
        "best copy of their group."
    )
    doubtful = [
        f"{one['paths']:,} URLs give the same picture: probably a placeholder, such as "
        f"{_url(one['urls'][0])}."
        for one in found.get("placeholders", [])[:PLACEHOLDERS_SHOWN]
    ]
    return [
        "## Duplicates",
        told,
        *doubtful,
        _image("duplicates.png", "Groups, best copy first", pictures),
    ]


def _map(pictures: Pictures) -> list[str]:
    if "map.png" not in pictures:
        return []
    return [
        "## Map",
        "Similar pictures are close together; colours are clusters.",
        _image("map.png", "Map", pictures),
    ]


def _tags(contents: Contents) -> list[str]:
    tags = contents.result("tags").get("tags") or []
    if not tags:
        return []
    rows = [(str(entry["tag"]), entry["count"]) for entry in tags[:TAGS_MAX]]
    return ["## Tags", _table(("tag", "assets"), rows)]


def _outliers(contents: Contents, pictures: Pictures) -> list[str]:
    if not contents.outliers:
        return []
    lines = [f"- <{_url(one.asset.url)}> {_text(one.why)}" for one in contents.outliers]
    sheet = _image("outliers.png", "Assets that do not look like the brand", pictures)
    return ["## Off brand", sheet, "\n".join(lines)]


def _near(contents: Contents) -> list[str]:
    if not contents.near:
        return []
    rows = [
        (one.brand, f"{one.similarity:.3f}", _counted(one.shared), _counted(one.lookalikes))
        for one in contents.near
    ]
    head = ("brand", "similarity", "identical files in both", "look-alikes")
    parts = ["## Nearest brands", _table(head, rows)]
    if contents.both:
        lines = [f"- {_text(one.brand)}: <{_url(one.url)}>" for one in contents.both]
        parts += ["Some of the pictures that both have:", "\n".join(lines)]
    return parts


def _counted(count: int | None) -> str:
    return "not counted" if count is None else f"{count:,}"


def _failed(contents: Contents) -> list[str]:
    if not contents.errors:
        return []
    lines = [f"- {_text(step)}: {_text(error)}" for step, error in contents.errors.items()]
    return ["## Steps that failed", "\n".join(lines)]


def _image(name: str, what: str, pictures: Pictures) -> str:
    return f"![{what}]({name})" if name in pictures else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else _text(str(cell)) for cell in row)
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


def _text(text: str) -> str:
    """Return text from outside with Markdown escaped."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&])", r"\\\1", plain)


def _url(url: str) -> str:
    return re.sub(r"[<>\s]", "", url)


def _date(moment: object) -> str:
    return f"{moment:%Y-%m-%d}"
