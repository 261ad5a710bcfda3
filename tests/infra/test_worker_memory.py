"""Templates give acquire the memory for as many decoders as it is given processors."""

from __future__ import annotations

import re
from pathlib import Path

from triptych.settings.settings import Settings
from triptych.wiring.worker_decoders import DECODER_BYTES, WORKER_BYTES

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024**2


def needed(cores: int) -> int:
    return WORKER_BYTES + Settings().fetch_memory_bytes + cores * DECODER_BYTES


def test_g8_a_task_on_ecs() -> None:
    infra = "".join(path.read_text() for path in (ROOT / "infra").glob("*.py"))
    found = re.findall(r'Size\(\s*"acquire", "[\w-]+", (\d+), (\d+),', infra)
    assert len(found) == 2, "with a GPU and without"
    for cpu, mib in found:
        assert needed(int(cpu) // 1024) <= int(mib) * MIB


def test_g8_a_pod_on_kubernetes() -> None:
    values = (ROOT / "deploy" / "helm" / "triptych" / "values.yaml").read_text()
    acquire = values[values.index("  acquire:") : values.index("  ai:")]
    cpu = re.search(r'requests: { cpu: "(\d+)"', acquire)
    memory = re.search(r"limits: { memory: (\d+)Gi }", acquire)
    assert cpu is not None
    assert memory is not None
    assert needed(int(cpu[1])) <= int(memory[1]) * 1024 * MIB
