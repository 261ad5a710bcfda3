"""Write the figures and charts of docs/performance.md from bench/results/latest.json.

``python -m bench.report``. The text between the page's markers is generated; the rest, which says
why an aim was missed and what would close it, is written by hand. The same results give the same
files, byte by byte.
"""

from __future__ import annotations

import math
import re
import statistics
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.paths import ROOT
from bench.results import Book, Entry

PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"
MARKED = re.compile(r"(<!-- figures -->\n).*?(<!-- end -->)", re.DOTALL)
STAGES = 11
MET, MISSED = "#059669", "#d97706"
WIDTH_IN = 10
LABEL_COLUMNS = 84
"""Characters of a line of text beside a bar."""
WRITTEN_SHARE = 0.06
"""A part of a bar that is smaller has no room for its figure."""
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "triptych",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}


def figure(value: float | None) -> str:
    """Return a figure as people write it."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def table(heads: str, right: str, rows: Iterable[Sequence[object]]) -> str:
    """Return rows in Markdown, the columns marked ``>`` in ``right`` to the right; "" for none."""
    marks = "|".join("---:" if mark == ">" else "---" for mark in right)
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([f"| {heads} |", f"|{marks}|", *lines]) if lines else ""


def comparison(entry: Entry) -> list[object]:
    """Return an entry as a row of the table."""
    ratio = "–"
    if entry["ratio"] is not None:
        least, most = entry["spread"]
        ratio = f"**{entry['ratio']:.2f}** ({least:.2f}–{most:.2f})"
    figures = [figure(entry["ours"]), figure(entry["beside"]), entry["unit"], ratio, entry["aim"]]
    met = "met" if entry["met"] else "**missed**"
    return [entry["id"], entry["work"], entry["against"] or "–", *figures, met]


def comparisons(entries: Sequence[Entry]) -> str:
    """Return the comparisons as a table."""
    heads = "# | work | beside | ours | theirs | unit | ratio (least–most) | aim |"
    rows = [comparison(each) for each in entries if each["id"] != STAGES]
    return table(heads, "<<<>><><<", rows)


def killed(entries: Sequence[Entry]) -> str:
    """Return how often each callback came when a worker was killed."""
    found: dict[str, list[int]] = {}
    for each in entries:
        found |= each.get("callbacks_when_a_worker_is_killed", {})
    words = {0: "never", 1: "once", 2: "twice"}
    rows = [
        (name, ", ".join(words.get(n, f"{n} times") for n in times))
        for name, times in found.items()
    ]
    return table("when a worker is killed | its callback came, each time", "<<", rows)


def growth(entries: Sequence[Entry]) -> str:
    """Return what a URL costs by the size of its brand."""
    every: dict[str, Any] = next((each["every"] for each in entries if "every" in each), {})
    units = {"cpu_us_a_url": " µs", "urls_a_s": "", "worker_MB": " MB"}
    rows = [
        (name, *(f"{statistics.median_high(told[key]):,}{unit}" for key, unit in units.items()))
        for name, told in every.items()
    ]
    return table("one brand of | CPU a URL | URLs/s | memory of the workers", "<>>>", rows)


def reach(entry: Entry) -> float:
    """Return the ratio over its aim, so that more is better, from half to twice."""
    least = re.search(r"[\d.]+", entry["aim"])
    ahead = float(entry["ratio"]) / (float(least[0]) if least else 1.0)
    ahead = ahead if entry["aim"].startswith(("≥", ">")) else 1 / ahead
    return min(max(ahead, 0.5), 2.0)


def labelled(entry: Entry) -> str:
    """Return what stands beside an entry's bar."""
    work = textwrap.fill(f"{entry['id']}. {entry['work']}", LABEL_COLUMNS)
    return f"{work}\nbeside {entry['against']}"


def draw_ratios(axes: Axes, entries: Sequence[Entry]) -> None:
    """Draw how far each comparison is from its aim: a bar each, to the right is better."""
    places = range(len(entries))
    colours = [MET if each["met"] else MISSED for each in entries]
    widths = [math.log2(reach(each)) for each in entries]
    axes.barh(places, widths, height=0.5, color=colours)
    for place, entry in zip(places, entries, strict=True):
        axes.text(1.05, place, f"{entry['ratio']:.2f}", va="center")
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(places, [labelled(each) for each in entries])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(-1, 1)
    axes.set_xticks([-1, 0, 1], ["half", "the aim", "twice"])
    axes.set_ylim(len(entries) - 0.5, -0.5)


def draw_stages(axes: Axes, entries: Sequence[Entry]) -> None:
    """Draw where a URL's processor time goes: a bar for each kind of run, a part for each stage."""
    names = list(dict.fromkeys(name for each in entries for name in each["stages"]))
    wholes = [sum(each["stages"].values()) for each in entries]
    lefts = [0.0] * len(entries)
    for name, colour in zip(names, mpl.color_sequences["tab20"], strict=False):
        taken = [each["stages"].get(name, 0.0) for each in entries]
        shares = [part / whole for part, whole in zip(taken, wholes, strict=True)]
        bars = axes.barh(range(len(entries)), shares, 0.4, lefts, label=name, color=colour)
        pairs = zip(taken, shares, strict=True)
        told = [f"{part:,.0f}" if share > WRITTEN_SHARE else "" for part, share in pairs]
        axes.bar_label(bars, told, label_type="center")
        lefts = [left + share for left, share in zip(lefts, shares, strict=True)]
    for place, (entry, whole) in enumerate(zip(entries, wholes, strict=True)):
        axes.text(0, place - 0.3, f"{entry['work']}: {whole:,.0f} µs")
    axes.set_xlim(0, 1)
    axes.set_ylim(len(entries) - 0.5, -0.6)
    axes.set_axis_off()
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=5, frameon=False)


def save(drawn: Figure, path: Path, title: str) -> None:
    """Write a chart as SVG, without anything that changes from time to time."""
    told = {"Date": None, "Creator": None, "Title": title}
    drawn.savefig(path, metadata=told, bbox_inches="tight", facecolor="white")


def write_charts(folder: Path, entries: Sequence[Entry]) -> None:
    """Write the charts that there are figures for."""
    folder.mkdir(parents=True, exist_ok=True)
    stages = [each for each in entries if each["id"] == STAGES]
    ratios = [each for each in entries if each["ratio"] is not None]
    with mpl.rc_context(STYLE):
        if ratios:
            drawn = Figure(figsize=(WIDTH_IN / 2, 1 + 0.55 * len(ratios)))
            draw_ratios(drawn.subplots(), ratios)
            save(drawn, folder / "performance-ratios.svg", "Each comparison and its aim")
        if stages:
            drawn = Figure(figsize=(WIDTH_IN, 1 + 0.8 * len(stages)))
            draw_stages(drawn.subplots(), stages)
            save(drawn, folder / "performance-stages.svg", "CPU of a URL by stage")


def machine(entries: Sequence[Entry]) -> str:
    """Return what the figures were taken on."""
    runs = {(run["cores"], run["machine"], run["commit"]) for run in (e["run"] for e in entries)}
    told = "; ".join(f"{cores} cores, {kind}, commit {at}" for cores, kind, at in sorted(runs))
    load = max(each["run"]["load"] for each in entries)
    return f"Measured on: {told}. Load when rows ended: up to {load}."


def write(page: Path, images: Path, entries: Sequence[Entry]) -> None:
    """Write the page's figures, and the charts."""
    write_charts(images, entries)
    parts = [
        machine(entries),
        comparisons(entries),
        "![Each comparison and its aim](images/performance-ratios.svg)",
        killed(entries),
        growth(entries),
        "![CPU of a URL by stage](images/performance-stages.svg)",
    ]
    body = "\n\n".join(part for part in parts if part)
    after, found = MARKED.subn(lambda m: f"{m[1]}\n{body}\n\n{m[2]}", page.read_text())
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
