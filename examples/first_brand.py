"""Start a brand from URLs, follow its run, and see its assets and what could not be fetched.

Run it with the address of a server and some URLs:

    python examples/first_brand.py http://127.0.0.1:8321 https://example.com/1.jpg …
"""

import asyncio
import sys

import triptych


async def main(server: str, urls: list[str]) -> None:
    async with triptych.open_client(server) as client:
        run = await client.start("acme", urls=urls)
        async for state in client.watch(run.id):
            print(f"{state.state.value}: {state.settled} of {state.expected} items")
        async for asset in client.assets("acme", media_type="image/*"):
            print(f"asset: {asset.url} {asset.width}×{asset.height}")
        for failure in await client.failures(run.id, examples=3):
            print(f"failed: {failure.count} {failure.reason.value}. {failure.meaning}")


asyncio.run(main(sys.argv[1], sys.argv[2:]))
