"""Write the figures and charts of docs/performance.md from bench/results/latest.json.

``python -m bench.report``. What stands between the page's markers is written anew; the rest, which
says why an aim was missed and what would close it, is by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

from bench.lanes import ROOT
from bench.results import Book, Entry

PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"
MARKED = re.compile(r"(<!-- figures -->\n).*?(<!-- end -->)", re.DOTALL)
STAGES = 11
COLOURS = (
    *("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed"),
    *("#0891b2", "#ca8a04", "#be185d", "#4b5563", "#65a30d"),
)
INK, FAINT, GROUND = "#374151", "#9ca3af", "#ffffff"
WIDTH = 760
LEFT = 20
BAR = 26
MET, MISSED = "#059669", "#d97706"


def figure(value: float | None) -> str:
    """Return a figure as people write it."""
    if value is None:
        return "–"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:,.3g}"


def table(entries: Sequence[Entry]) -> str:
    """Return the comparisons as a table."""
    lines = [
        "| # | work | beside | ours | theirs | unit | ratio (least–most) | aim | |",
        "|---|---|---|---:|---:|---|---:|---|---|",
    ]
    for each in entries:
        if each["id"] == STAGES:
            continue
        spread = each.get("spread", [])
        ratio = "–"
        if each["ratio"] is not None:
            ratio = f"**{each['ratio']:.2f}** ({spread[0]:.2f}–{spread[1]:.2f})"
        lines.append(
            f"| {each['id']} | {each['work']} | {each['against'] or '–'} | {figure(each['ours'])} "
            f"| {figure(each['beside'])} | {each['unit']} | {ratio} | {each['aim']} "
            f"| {'met' if each['met'] else '**missed**'} |"
        )
    return "\n".join(lines)


def killed(entries: Sequence[Entry]) -> str:
    """Return how often each callback came when a worker was killed."""
    found: dict[str, list[int]] = {}
    for each in entries:
        found |= each.get("callbacks_when_a_worker_is_killed", {})
    if not found:
        return ""
    lines = ["| when a worker is killed | its callback came, each time |", "|---|---|"]
    for name, times in found.items():
        told = ", ".join({0: "never", 1: "once", 2: "twice"}.get(n, f"{n} times") for n in times)
        lines.append(f"| {name} | {told} |")
    return "\n".join(lines)


def growth(entries: Sequence[Entry]) -> str:
    """Return what a URL costs by the size of its brand."""
    every = next((each["every"] for each in entries if "every" in each), None)
    if every is None:
        return ""
    lines = [
        "| one brand of | CPU a URL | URLs/s | memory of the workers |",
        "|---|---:|---:|---:|",
    ]
    for name, told in every.items():
        middle = {key: sorted(values)[len(values) // 2] for key, values in told.items()}
        lines.append(
            f"| {name} | {middle['cpu_us_a_url']:,} µs | {middle['urls_a_s']:,} "
            f"| {middle['worker_MB']:,} MB |"
        )
    return "\n".join(lines)


def svg(height: int, title: str, body: Sequence[str]) -> str:
    """Return a picture that reads on light and on dark pages."""
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
                f'role="img" font-family="system-ui, sans-serif" font-size="13">'
            ),
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="{GROUND}"/>',
            *body,
            "</svg>\n",
        ]
    )


def text(x: float, y: float, content: str, *, anchor: str = "start", fill: str = INK) -> str:
    """Return a line of text."""
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{fill}">'
        f"{escape(content)}</text>"
    )


def ratios(entries: Sequence[Entry]) -> str:
    """Return how far each comparison is from its aim: a bar each, to the right is better."""
    compared = [each for each in entries if each["ratio"] is not None and each["id"] != STAGES]
    body = []
    middle, span = 560, 150
    for number, each in enumerate(compared):
        y = 30 + number * 50
        least = re.search(r"[\d.]+", each["aim"])
        aim = float(least[0]) if least else 1.0
        ahead = each["ratio"] / aim if each["aim"].startswith(("≥", ">")) else aim / each["ratio"]
        # Twice as good as wanted ends at the edge, half as good at the other.
        reach = max(-1.0, min(1.0, ahead - 1 if ahead >= 1 else 1 - 1 / ahead)) * span
        x, width = (middle, reach) if reach >= 0 else (middle + reach, -reach)
        fill = MET if each["met"] else MISSED
        body += [
            text(LEFT, y, f"{each['id']}. {each['work']}"),
            text(LEFT, y + 18, f"beside {each['against']}", fill=FAINT),
            (
                f'<rect x="{x:.0f}" y="{y + 6}" width="{max(width, 1):.0f}" height="16" '
                f'fill="{fill}"/>'
            ),
            text(WIDTH - 10, y + 18, f"{each['ratio']:.2f}", anchor="end"),
            f'<line x1="{middle}" x2="{middle}" y1="{y + 3}" y2="{y + 25}" stroke="{INK}"/>',
        ]
    height = 40 + len(compared) * 50
    body.append(text(middle, height - 5, "the aim", anchor="middle", fill=FAINT))
    return svg(height, "Each comparison and its aim", body)


def stages(entries: Sequence[Entry]) -> str:
    """Return where a URL's processor time goes: a stacked bar for each kind of run."""
    kinds = [each for each in entries if each["id"] == STAGES]
    names = list(dict.fromkeys(name for each in kinds for name in each["stages"]))
    colour = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(names)}
    body = []
    y = 30
    for each in kinds:
        whole = sum(each["stages"].values())
        body.append(text(LEFT, y, f"{each['work']}: {whole:,.0f} µs"))
        x = float(LEFT)
        for name, taken in each["stages"].items():
            width = (WIDTH - 2 * LEFT) * taken / whole
            body.append(
                f'<rect x="{x:.1f}" y="{y + 8}" width="{width:.1f}" height="{BAR}" '
                f'fill="{colour[name]}"><title>{escape(name)}: {taken:,.0f} µs</title></rect>'
            )
            if width > 45:
                body.append(
                    text(x + width / 2, y + 26, f"{taken:,.0f}", anchor="middle", fill=GROUND)
                )
            x += width
        y += BAR + 36
    for at, name in enumerate(names):
        column, row = at % 4, at // 4
        x, below = LEFT + column * 180, y + row * 22
        body.append(
            f'<rect x="{x}" y="{below - 11}" width="12" height="12" fill="{colour[name]}"/>'
        )
        body.append(text(x + 18, below, name))
    height = y + (len(names) + 3) // 4 * 22 + 10
    return svg(height, "CPU of a URL by stage", body)


def machine(entries: Sequence[Entry]) -> str:
    """Return what the figures were taken on."""
    runs = {(run["cores"], run["machine"], run["commit"]) for run in (e["run"] for e in entries)}
    told = "; ".join(f"{cores} cores, {kind}, commit {at}" for cores, kind, at in sorted(runs))
    load = max(each["run"]["load"] for each in entries)
    return f"Measured on: {told}. Load when rows ended: up to {load}."


def write(page: Path, images: Path, entries: Sequence[Entry]) -> None:
    """Write the page's figures, and the charts."""
    images.mkdir(parents=True, exist_ok=True)
    (images / "performance-ratios.svg").write_text(ratios(entries))
    (images / "performance-stages.svg").write_text(stages(entries))
    parts = [
        machine(entries),
        table(entries),
        "![Each comparison and its aim](images/performance-ratios.svg)",
        killed(entries),
        growth(entries),
        "![CPU of a URL by stage](images/performance-stages.svg)",
    ]
    body = "\n\n".join(part for part in parts if part)
    before = page.read_text()
    after, found = MARKED.subn(lambda m: f"{m[1]}\n{body}\n\n{m[2]}", before)
    if not found:
        raise ValueError(f"{page} has no place for figures: <!-- figures --> … <!-- end -->.")
    page.write_text(after)


def main() -> int:
    """Write both."""
    entries = Book("full").entries()
    if not entries:
        print("There are no results: run `make bench`.", file=sys.stderr)
        return 1
    write(PAGE, IMAGES, entries)
    return 0


if __name__ == "__main__":
    sys.exit(main())
