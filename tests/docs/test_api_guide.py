"""The guide's examples, run as they stand."""

from __future__ import annotations

import asyncio
import re
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from PIL import Image

from tests.support import tiny_clip
from tests.support.api_server import serving
from tests.support.contracts.search_contract import commit_vectors, drawn
from triptych.wiring.models import open_embedder

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "api.md"
PATIENCE_S = 60.0


async def test_the_examples_of_the_guide_work(migrated_dsn: str, tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 6
    script = "\n".join(["set -eu", *blocks])
    picture = tmp_path / "picture.png"
    Image.new("RGB", (40, 40), (200, 20, 20)).save(picture)
    (tmp_path / "shoes.csv").write_text("url\nhttps://example.com/1.jpg\n")
    model = str(tiny_clip.clip(tmp_path / "clip"))
    async with serving(migrated_dsn, tmp_path, embedder=model) as api:
        embedder = open_embedder(api.services.settings, 1)
        assert embedder is not None
        vectors = drawn(4, 1, dimension=embedder.dimension)
        for brand in ("adidas", "puma"):
            await commit_vectors(api.stores, brand, vectors, model=embedder.model)
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", script),
            cwd=tmp_path,
            env={
                "API": f"{api.url}/api/v1",
                "PICTURE": str(picture),
                "SOURCE": f"manifest:{tmp_path}/nike.csv",
                "PATH": "/usr/bin:/bin",
            },
            stdout=PIPE,
            stderr=PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    if b"curl: not found" in err:  # pragma: no cover
        pytest.fail("curl is needed: it comes with every system that has git")
    assert process.returncode == 0, err.decode()
    assert b'"reason":"invalid-request"' in out
    assert b'"similarity":' in out
    assert b'"lookalikes":' in out
    assert b'"schedule":"0 3 * * 1"' in out or b'"kind":"put_brand"' in out
