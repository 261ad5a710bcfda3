"""What the chart's pods run, run here in the chart's order with the environment that it gives."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.helm import CHART, ROOT, Document, of_kind, render
from triptych.access.identity import TOKEN_MIN_CHARS

pytestmark = [pytest.mark.aws, pytest.mark.xdist_group("chart")]

PATIENCE_S = 120.0
TOKEN = "the-first-operators-token-of-48-characters-00000"
SECRETS = {"sealing-key": "for-trying-things-32-characters-or-more", "first-key": TOKEN}


def environment(container: Document, dsn: str, folder: Path) -> dict[str, str]:
    """What a container is given, secrets among it; only the store is a folder in place of S3."""
    secrets = SECRETS | {"database-url": dsn}
    given: dict[str, str] = {}
    for each in container["env"]:
        named: Any = each.get("valueFrom", {}).get("secretKeyRef")
        given[each["name"]] = each["value"] if named is None else secrets[named["key"]]
    ours = {"TRIPTYCH_STORE_URL": f"file://{folder}/objects", "TRIPTYCH_DATA": str(folder)}
    return {"PATH": os.environ["PATH"], "HOME": str(folder), **given, **ours}


def test_a_token_as_the_guide_makes_it_is_long_enough() -> None:
    guide = (ROOT / "docs" / "guides" / "kubernetes.md").read_text()
    made = re.search(r'first-key="\$\(openssl rand -hex (\d+)\)"', guide)
    assert made is not None
    assert 2 * int(made[1]) >= TOKEN_MIN_CHARS
    assert f"at least {TOKEN_MIN_CHARS} letters" in (CHART / "values.yaml").read_text()


async def run(container: Document, env: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "triptych", *container["args"]), env=env, stdout=PIPE, stderr=PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, (container["args"], out, err)
    return (out + err).decode()


async def test_the_job_makes_a_schema_and_a_key_with_which_the_api_serves(
    fresh_dsn: str, tmp_path: Path
) -> None:
    documents = render()
    (job,) = of_kind(documents, "Job").values()
    pod = job["spec"]["template"]["spec"]
    steps = [*pod["initContainers"], *pod["containers"]]
    # As a first installation does it, and then an upgrade.
    for _ in range(2):
        for container in steps:
            said = await run(container, environment(container, fresh_dsn, tmp_path))
            assert TOKEN not in said, "it would be in the pod's log"
    deployment = of_kind(documents, "Deployment")["triptych-api"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    env = environment(container, fresh_dsn, tmp_path) | {"TRIPTYCH_API_PORT": "0"}
    api = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "triptych", *container["args"]), env=env, stderr=PIPE
    )
    try:
        port = await listening(api)
        async with aiohttp.ClientSession() as session:
            # As the kubelet asks: at the pod's address, without a key.
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                path = container[probe]["httpGet"]["path"]
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    assert answer.status == 200, (probe, await answer.text())
            me = f"http://127.0.0.1:{port}/api/v1/me"
            async with session.get(me) as nobody:
                assert nobody.status == 401
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            async with session.get(me, headers=bearer) as operator:
                assert operator.status == 200
                assert (await operator.json())["scope"] == "operator"
    finally:
        if api.returncode is None:
            api.send_signal(signal.SIGTERM)
        await asyncio.wait_for(api.communicate(), PATIENCE_S)


async def listening(process: asyncio.subprocess.Process) -> str:
    """Return the port that a server says that it listens on."""
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_S):
        while line := (await process.stderr.readline()).decode():
            if found := re.search(r"http://[^/\s]+:(\d+)", line):
                return found[1]
    raise AssertionError("it ended before it listened")
