"""Printing what the AI phase found: a line for each step, or everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import orjson

from triptych.ai.step_results import LOST, RESERVED
from triptych.cli.tables import console, shown
from triptych.model import AiState, Insight

FIGURES: Mapping[str, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "duplicates": {
            "group_count": ("group of duplicates", "groups of duplicates"),
            "redundant": ("asset that repeats another", "assets that repeat another"),
            "placeholder_assets": ("probable placeholder", "probable placeholders"),
        },
        "clusters": {
            "cluster_count": ("cluster", "clusters"),
            "clustered": ("asset in a cluster", "assets in a cluster"),
            "noise": ("asset in none", "assets in none"),
        },
        "look": {"outlier_count": ("asset that stands out", "assets that stand out")},
        "across": {},
        "map": {"placed": ("asset placed", "assets placed")},
        "tags": {
            "tagged": ("asset with tags", "assets with tags"),
            "untagged": ("asset without", "assets without"),
        },
        "quality": {
            "with_faults": ("picture with faults", "pictures with faults"),
            "not_read_yet": ("that was not read yet", "that were not read yet"),
        },
        "origin": {
            "silent": ("picture without rights", "pictures without rights"),
            "not_read_yet": ("that was not read yet", "that were not read yet"),
        },
        "alt_text": {"with_text": ("picture with an alt text", "pictures with an alt text")},
        "text": {
            "with_text": ("picture with text", "pictures with text"),
            "unreadable": ("that cannot be read", "that cannot be read"),
            "not_read_yet": ("that was not read yet", "that were not read yet"),
            "rare_words_dropped": ("rare word left out", "rare words left out"),
        },
        "people": {
            "none": ("picture without people", "pictures without people"),
            "one": ("with one person", "with one person"),
            "group": ("with a group", "with a group"),
            "close_up": ("close-up", "close-ups"),
            "unreadable": ("that cannot be read", "that cannot be read"),
            "not_looked_at_yet": ("not looked at yet", "not looked at yet"),
        },
    }
)
"""The figures of Triptych's own steps that say something about a brand, as one and as several.

Their other fields, such as models, thresholds and what was compared, are about the step.
"""
OFF = MappingProxyType(
    {
        "text": "off (TRIPTYCH_OCR)",
        "people": "off (TRIPTYCH_PEOPLE)",
        "alt_text": "the list has no alt texts",
        "quality": "files are not read here",
        "origin": "files are not read here",
    }
)
"""What is said of each step that has nothing to look at."""
LOST_FIGURE = {LOST: ("picture that could not be read", "pictures that could not be read")}
MOST = MappingProxyType(
    {"look": ("palette", "word"), "tags": ("tags", "tag"), "text": ("words", "word")}
)
"""Steps whose result has a list, the most frequent first, and the field with each one's name."""
MOST_SHOWN = 3
SCALARS_MAX = 4
"""Values that are shown on the line of a step that is not Triptych's own."""
TEXT_MAX_CHARS = 30


def print_insights(
    brand: str, state: AiState, insights: Sequence[Insight], *, verbose: bool
) -> None:
    """Print a line for each insight; with ``verbose``, all of its result and its time, too."""
    console.print(f"[bold]{shown(brand)}[/]  AI {state.value}", soft_wrap=True)
    for insight in insights:
        if insight.error is not None:
            console.print(f"  {shown(insight.kind)}  [red]{shown(insight.error)}[/]")
            continue
        line = " · ".join(_said(insight.kind, insight.result or {})) or "done"
        seconds = f" · {insight.seconds:.1f} seconds" if verbose else ""
        console.print(f"  {shown(insight.kind)}  {line}{seconds}", soft_wrap=True)
        if verbose:
            text = orjson.dumps(insight.result, option=orjson.OPT_INDENT_2).decode()
            console.print(shown(text, lines=True), soft_wrap=True)


def _said(kind: str, result: Mapping[str, object]) -> Iterator[str]:
    """Yield what a result says about the brand, in words."""
    if kind not in FIGURES:
        yield from _scalars(result)
        return
    if result.get("on") is False:
        yield OFF[kind]
    for name, (one, several) in {**FIGURES[kind], **LOST_FIGURE}.items():
        if isinstance(count := result.get(name), int):
            yield f"{count:,} {one if count == 1 else several}"
    field, name = MOST.get(kind, ("", ""))
    listed = result.get(field)
    if isinstance(listed, list) and listed:
        yield f"mostly {', '.join(shown(str(each[name])) for each in listed[:MOST_SHOWN])}"


def _scalars(result: Mapping[str, object]) -> list[str]:
    """Return the first numbers and short texts of the result of a step of somebody else."""
    found = [
        f"{shown(_plain(value))} {shown(name.replace('_', ' '))}"
        for name, value in result.items()
        if name not in RESERVED
        and isinstance(value, int | float | str)
        and not isinstance(value, bool)
        and len(_plain(value)) <= TEXT_MAX_CHARS
    ]
    return found[:SCALARS_MAX]


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
