"""Results on disk: a list of comparisons, replaced row by row, whole at every moment."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.paths import ROOT

FOLDER = Path(__file__).parent / "results"

Entry = dict[str, Any]


@dataclass(frozen=True)
class Aim:
    """What a ratio must be."""

    text: str
    least: float = -math.inf
    most: float = math.inf

    def met(self, ratio: float) -> bool:
        """Tell whether a ratio is as it must be."""
        return self.least <= ratio <= self.most


def compared(
    row: int,
    work: str,
    against: str,
    unit: str,
    ours: Sequence[float],
    beside: Sequence[float],
    aim: Aim,
    **more: object,
) -> Entry:
    """Return a comparison: medians, and the median of the ratios round by round."""
    ratios = [mine / other for mine, other in zip(ours, beside, strict=True)]
    return {
        **alone(row, work, unit, ours, aim),
        "against": against,
        "beside": rounded(statistics.median(beside)),
        "ratio": rounded(statistics.median(ratios)),
        "met": aim.met(statistics.median(ratios)),
        "rounds": [list(map(rounded, pair)) for pair in zip(ours, beside, strict=True)],
        "spread": [rounded(min(ratios)), rounded(max(ratios))],
        **more,
    }


def each_compared(
    row: int,
    work: str,
    unit: str,
    found: Mapping[str, Sequence[float]],
    peers: Mapping[str, tuple[str, Aim]],
    **more: Mapping[str, object],
) -> list[Entry]:
    """Return a comparison of ours, which was found first, with each peer.

    ``more`` has something by the name of each contender: an entry gets what is of the two in it.
    """
    ours = next(iter(found))
    return [
        compared(row, work, text, unit, found[ours], found[name], aim)
        | {
            key: {each: told[each] for each in (ours, name) if each in told}
            for key, told in more.items()
        }
        for name, (text, aim) in peers.items()
    ]


def alone(row: int, work: str, unit: str, ours: Sequence[float], aim: Aim, **more: object) -> Entry:
    """Return what is measured beside nothing: its median is held to the aim itself."""
    median = statistics.median(ours)
    return {
        "id": row,
        "work": work,
        "against": None,
        "ours": rounded(median),
        "beside": None,
        "unit": unit,
        "ratio": None,
        "aim": aim.text,
        "met": aim.met(median),
        "rounds": [rounded(value) for value in ours],
        "spread": [rounded(min(ours)), rounded(max(ours))],
        **more,
    }


def rounded(value: float) -> float:
    """Return four digits that count."""
    return float(f"{value:.4g}")


class Book:
    """The file of results of one size, and which rows of an unfinished run are in it already."""

    def __init__(self, size: str) -> None:
        self._path = FOLDER / ("latest.json" if size == "full" else f"{size}.json")
        self._unfinished = FOLDER / f".{size}.unfinished.json"
        self._run = {"commit": _commit(), "size": size}

    def done(self) -> set[int]:
        """Return the rows that an interrupted run of the same commit has written."""
        if not self._unfinished.exists():
            return set()
        found = json.loads(self._unfinished.read_text())
        return set(found["done"]) if found["run"] == self._run else set()

    def write(self, row: int, entries: Sequence[Entry], machine: Mapping[str, object]) -> None:
        """Put a row's entries in the place of those that it had."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        new = [{**entry, "run": {**self._run, "at": at, **machine}} for entry in entries]
        kept = [entry for entry in self.entries() if entry["id"] != row]
        _write(self._path, sorted([*kept, *new], key=lambda entry: int(entry["id"])))
        _write(self._unfinished, {"run": self._run, "done": sorted({*self.done(), row})})

    def finish(self) -> None:
        """Note that every row is done: the next run starts from the beginning."""
        self._unfinished.unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """Return all that is written."""
        found: list[Entry] = json.loads(self._path.read_text()) if self._path.exists() else []
        return found


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with new.open("w") as file:
        file.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    return done.stdout.decode().strip() or "unknown"
