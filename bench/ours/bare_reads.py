"""A bare Starlette app: the statements that our reads take, and their rows as JSON, nothing else.

``python -m bench.ours.bare_reads DSN PORT``, on the same uvicorn, loop, parser and driver as ours.
"""

from __future__ import annotations

import asyncio
import base64
import sys
from typing import Any

import asyncpg
import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from triptych.database.rds import connection_arguments
from triptych.database.statements import statements
from triptych.snapshots.snapshot_store import ASSETS_SCAN

POOL = 10


async def prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda binary: orjson.loads(memoryview(binary)[1:]),
        format="binary",
    )


def shown(row: asyncpg.Record) -> dict[str, Any]:
    """Return a row as JSON can hold it."""
    return {
        "id": base64.urlsafe_b64encode(row["brand"].encode() + row["key"]).decode(),
        "brand": row["brand"],
        "run": str(row["run_id"]),
        "url": row["url"],
        "sha256": row["sha256"].hex(),
        "media_type": row["media_type"],
        "size_bytes": row["size_bytes"],
        "width": row["width"],
        "height": row["height"],
        "phash": row["phash"],
        "colours": row["colours"],
        "model": row["model"],
        "metadata": row["metadata"],
    }


def answer(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


async def main(dsn: str, port: int) -> None:
    known = statements()
    pool = await asyncpg.create_pool(
        **connection_arguments(dsn), min_size=POOL, max_size=POOL, init=prepare
    )

    async def page(request: Request) -> Response:
        limit = int(request.query_params["limit"])
        brand = request.path_params["brand"]
        run_id = (await pool.fetch(known["current_run_of"], brand))[0]["current_run"]
        rows = await pool.fetch(
            known["assets_page"].replace(":matching", "true"), run_id, b"", ASSETS_SCAN, limit + 1
        )
        following = rows[limit - 1]["key"].hex() if len(rows) > limit else None
        return answer({"items": [shown(row) for row in rows[:limit]], "next": following})

    async def asset(request: Request) -> Response:
        brand, key = request.path_params["brand"], bytes.fromhex(request.path_params["key"])
        row = (await pool.fetch(known["asset"], brand, key))[0]
        marks = await pool.fetch(known["marks_by_key"], row["run_id"], [key])
        return answer({**shown(row), "marks": dict(marks[0]) if marks else {}})

    routes = [Route("/brands/{brand}/assets", page), Route("/brands/{brand}/assets/{key}", asset)]
    config = uvicorn.Config(
        Starlette(routes=routes),
        port=port,
        http="httptools",
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2])))
