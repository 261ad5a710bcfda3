"""Say why items of a run wait, and try those of one host now.

python examples/why_waiting.py http://127.0.0.1:8321 RUN [HOST]
"""

import asyncio
import sys
from uuid import UUID

import triptych
from triptych.runs.item_store import ItemStanding


async def main(server: str, run: UUID, host: str | None = None) -> None:
    async with triptych.open_client(server) as client:
        counts = await client.item_counts(run)
        print(f"{counts.delayed} delayed, {counts.sent} sent, {counts.failed} failed")
        waiting = []
        async for item in client.items(run, state=ItemStanding.DELAYED):
            print(f"{item.url}: {item.attempts} of {item.max_attempts} attempts, {item.detail}")
            if item.host == host:
                waiting.append(item.key)
        if waiting:
            task = await client.retry_items(run, waiting[:1000])
            print(f"retried: {task.result['retried']}")


asyncio.run(main(sys.argv[1], UUID(sys.argv[2]), *sys.argv[3:]))
