"""A worker has as many decoders as the cores and the memory of its container allow."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from triptych.runtime.cpu import available_cores
from triptych.runtime.memory import available_memory
from triptych.settings.settings import Settings
from triptych.wiring import worker_decoders
from triptych.wiring.worker_decoders import DECODER_BYTES, WORKER_BYTES, worker_decoder_count

MIB = 1024**2
GIB = 1024 * MIB


def machine(monkeypatch: pytest.MonkeyPatch, cores: int, memory: int) -> None:
    monkeypatch.setattr(worker_decoders, "available_cores", lambda: cores)
    monkeypatch.setattr(worker_decoders, "available_memory", lambda: memory)


@pytest.mark.parametrize(
    ("cores", "memory", "told", "count"),
    [
        (16, 4 * GIB, {}, 6),
        (2, 4 * GIB, {}, 2),
        (16, 64 * GIB, {}, 16),
        (16, 512 * MIB, {}, 1),
        (16, 8 * GIB, {"workers": 4}, 2),
        (16, 4 * GIB, {"fetch_memory_bytes": 2 * GIB}, 2),
        (16, 4 * GIB, {"decoders": 9}, 9),
    ],
)
def test_g8_cores_and_memory_and_what_is_told(
    monkeypatch: pytest.MonkeyPatch, cores: int, memory: int, told: dict[str, int], count: int
) -> None:
    machine(monkeypatch, cores, memory)
    assert worker_decoder_count(Settings.load(**told)) == count


@pytest.mark.parametrize("cores", [1, 2, 8, 64])
@pytest.mark.parametrize("mib", [2048, 4096, 8192, 200_000])
def test_g8_whatever_there_is_all_fit(
    monkeypatch: pytest.MonkeyPatch, cores: int, mib: int
) -> None:
    machine(monkeypatch, cores, mib * MIB)
    settings = Settings.load()
    count = worker_decoder_count(settings)
    assert 1 <= count <= cores
    taken = WORKER_BYTES + settings.fetch_memory_bytes + count * DECODER_BYTES
    assert taken <= mib * MIB


def test_the_limits_of_a_container_are_read_from_its_control_group(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # As in a container: the path is the host's, and the limits are at the root that it sees.
    own = tmp_path / "own"
    own.write_text("0::/kubepods.slice/pod1/container\n")
    (tmp_path / "cpu.max").write_text("400000 100000\n")
    (tmp_path / "memory.max").write_text(f"{2 * GIB}\n")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    cores, memory = available_cores(own, tmp_path), available_memory(own, tmp_path)
    assert (cores, memory) == (4, 2 * GIB)
    machine(monkeypatch, cores, memory)
    assert worker_decoder_count(Settings.load()) == 2


def test_a_worker_says_if_memory_holds_fewer_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, told in ((16, ["decoders_held_by_memory"]), (2, [])):
        machine(monkeypatch, cores, 4 * GIB)
        with capture_logs() as lines:
            decoders, count = worker_decoders.worker_decoders(Settings.load())
        decoders.close()
        assert count == min(cores, 6)
        assert [line["event"] for line in lines] == told
