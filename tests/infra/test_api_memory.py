"""The template gives the API the memory that its decoders may take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from triptych.wiring import server_decoders
from triptych.wiring.server_decoders import POOLS, SERVER_BYTES, SERVER_DECODER_MAX_BYTES

SERVICES = Path(__file__).resolve().parents[2] / "infra" / "services.py"
MIB = 1024**2


def constant(name: str) -> int:
    found = re.search(rf"^{name} = (\d+)$", SERVICES.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_the_template_knows_what_decoders_may_take() -> None:
    assert constant("DECODER_POOLS") == POOLS
    assert constant("DECODER_MIB") * MIB == SERVER_DECODER_MAX_BYTES
    assert constant("SERVER_MIB") * MIB == SERVER_BYTES


@pytest.mark.parametrize("cores", [1, 2, 8, 64])
@pytest.mark.parametrize("mib", [4096, 8192, 16_384, 200_000])
def test_g8_whatever_the_machine_has_all_pools_fit(
    monkeypatch: pytest.MonkeyPatch, cores: int, mib: int
) -> None:
    monkeypatch.setattr(server_decoders, "available_cores", lambda: cores)
    monkeypatch.setattr(server_decoders, "available_memory", lambda: mib * MIB)
    count = server_decoders.server_decoder_count()
    assert 1 <= count <= cores
    assert SERVER_BYTES + POOLS * count * SERVER_DECODER_MAX_BYTES <= mib * MIB


def test_with_less_there_is_one_decoder_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_decoders, "available_memory", lambda: 512 * MIB)
    assert server_decoders.server_decoder_count() == 1
