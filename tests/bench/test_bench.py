"""The bench's own arithmetic, its file of results, and its page."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bench.lanes import Contender, LaneFailed, running
from bench.program import Given, Ready
from bench.results import Aim, Book, Entry, alone, compared, each_compared
from bench.spending import STEP_S

from bench import lanes, report, results

MACHINE = {"cores": 2, "machine": "x86_64", "load": 0.5}


def entry(row: int, ours: list[float], aim: Aim) -> Entry:
    return compared(row, "work <&>", "a peer", "items/s", ours, [10.0] * len(ours), aim)


def test_ratios_are_taken_round_by_round() -> None:
    found = compared(1, "w", "p", "u", [10, 40, 90], [10, 20, 100], Aim("≥ 1", least=1), note="n")
    assert (found["ours"], found["beside"], found["ratio"]) == (40, 20, 1)
    assert (found["spread"], found["met"], found["note"]) == ([0.9, 2], True, "n")


def test_each_peer_is_compared_with_ours_and_told_what_is_of_the_two() -> None:
    found = {"ours": [4.0], "one": [2.0], "other": [8.0]}
    peers = {"one": ("first", Aim("≥ 1", least=1)), "other": ("second", Aim("≥ 1", least=1))}
    first, second = each_compared(1, "w", "u", found, peers, wall={"ours": 1, "other": 2})
    assert (first["against"], first["ratio"], first["met"]) == ("first", 2, True)
    assert (second["against"], second["ratio"], second["met"]) == ("second", 0.5, False)
    assert (first["wall"], second["wall"]) == ({"ours": 1}, {"ours": 1, "other": 2})


@pytest.mark.parametrize(
    ("aim", "ratio", "met"),
    [
        (Aim("≥ 1.5", least=1.5), 1.5, True),
        (Aim("≥ 1.5", least=1.5), 1.49, False),
        (Aim("≤ 1.1", most=1.1), 1.1, True),
        (Aim("≤ 1.1", most=1.1), 1.2, False),
    ],
)
def test_aims(aim: Aim, ratio: float, met: bool) -> None:
    assert aim.met(ratio) is met


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Book:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    return Book("full")


@pytest.mark.integration
def test_a_row_takes_the_place_of_what_it_was(book: Book, tmp_path: Path) -> None:
    book.write(2, [entry(2, [10.0], Aim("≥ 1", least=1))], MACHINE)
    book.write(1, [entry(1, [10.0], Aim("≥ 1", least=1))], MACHINE)
    book.write(2, [entry(2, [20.0], Aim("≥ 1", least=1))], MACHINE)
    written = json.loads((tmp_path / "latest.json").read_text())
    assert [(each["id"], each["ratio"]) for each in written] == [(1, 1), (2, 2)]
    wanted = {"id", "work", "ours", "beside", "unit", "ratio", "aim", "met", "rounds"}
    assert all(wanted <= each.keys() for each in written)


@pytest.mark.integration
def test_an_interrupted_bench_goes_on_and_a_finished_one_begins_anew(book: Book) -> None:
    book.write(1, [entry(1, [10.0], Aim("≥ 1", least=1))], MACHINE)
    assert Book("full").done() == {1}
    assert Book("reduced").done() == set()
    book.finish()
    assert Book("full").done() == set()
    assert len(Book("full").entries()) == 1


@pytest.mark.integration
def test_results_of_another_commit_are_not_gone_on_from(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.write(1, [entry(1, [10.0], Aim("≥ 1", least=1))], MACHINE)
    monkeypatch.setattr(results, "_commit", lambda: "other")
    assert Book("full").done() == set()


def test_the_page_and_its_charts_are_written_from_the_results(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- figures -->\nold\n<!-- end -->\nafter\n")
    run = {"run": {"commit": "abc", "at": "now", **MACHINE}}
    entries = [
        {**entry(1, [20.0, 30.0], Aim("≥ 1.5", least=1.5)), **run},
        {
            **entry(3, [1.0], Aim("≤ 0.05", most=0.05)),
            "callbacks_when_a_worker_is_killed": {"triptych": [1, 1], "celery": [0, 2]},
            **run,
        },
        {**alone(10, "up", "s", [3.0], Aim("≤ 5 s", most=5)), **run},
        {**alone(11, "CPU", "µs", [3.0], Aim("–")), "stages": {"a": 1.0, "b": 2.0}, **run},
    ]
    report.write(page, tmp_path / "images", entries)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    assert "| **2.50** (2.00–3.00) | ≥ 1.5 | met |" in text
    assert "| celery | never, twice |" in text
    images = sorted((tmp_path / "images").iterdir())
    assert [image.name for image in images] == ["performance-ratios.svg", "performance-stages.svg"]
    assert all(ElementTree.parse(image).getroot().tag.endswith("svg") for image in images)
    before = [image.read_bytes() for image in images]
    report.write(page, tmp_path / "images", entries)
    assert page.read_text() == text
    assert [image.read_bytes() for image in images] == before


def test_a_page_of_few_figures_has_no_empty_charts(tmp_path: Path) -> None:
    report.write_charts(tmp_path, [alone(10, "up", "s", [3.0], Aim("≤ 5 s", most=5))])
    assert not list(tmp_path.iterdir())


@pytest.mark.integration
def test_cpu_of_ended_children_is_counted_and_reports_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "WORK", tmp_path)
    contender = Contender("test", "tests.bench.test_bench:program", {"seconds": 0.2})
    with running(contender) as lane:
        assert lane.told == {"ready": True}
        spent = lane.run(times=2)
        assert spent.told == {"times": 2}
        assert 0.4 - 3 * STEP_S < spent.cpu_s < 10
        assert spent.peak_bytes > 0
        with pytest.raises(LaneFailed, match="test ended"):
            lane.run(times="many")


@contextmanager
def program(arguments: Given) -> Iterator[Ready]:
    """Be a contender that has children burn so many CPU-seconds each."""
    burn = f"import time\nwhile time.process_time() < {arguments['seconds']}: pass"

    def work(order: Given) -> Given:
        for _ in range(order["times"]):
            subprocess.run([sys.executable, "-c", burn], check=True)
        return order

    yield Ready(work, {"ready": True})
