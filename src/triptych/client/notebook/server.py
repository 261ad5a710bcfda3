"""A server in a notebook: brands, searches and runs without `await`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack
from uuid import UUID

from triptych.client.asset_filters import ListingOptions, SearchOptions
from triptych.client.client import Client, open_client
from triptych.client.notebook.asset_table import AssetListing, FoundAssets
from triptych.client.notebook.event_loop import EventLoop
from triptych.model import Insight
from triptych.runs.run_shown import BrandShown, RunShown

T = TypeVar("T")


class RunView:
    """A run: its state when it was read, and what follows."""

    def __init__(self, loop: EventLoop, client: Client, state: RunShown) -> None:
        self._loop = loop
        self._client = client
        self.state = state
        """The newest state that was read."""

    @property
    def id(self) -> UUID:
        """The run's id."""
        return self.state.id

    def states(self) -> Iterator[RunShown]:
        """Yield the run's states as they come, until it and its AI phase are over."""
        for state in self._loop.each(self._client.watch(self.id)):
            self.state = state
            yield state

    def follow(self, show: Callable[[str], None] = print) -> RunShown:
        """Wait until the run is over, and return its last state; ``show`` gets a line a state."""
        for state in self.states():
            show(_line(state))
        return self.state

    def __repr__(self) -> str:
        return f"<run {self.id} of {self.state.brand!r}: {self.state.state.value}>"


def _line(run: RunShown) -> str:
    expected = f"{run.expected:,}" if run.sealed else f"{run.expected:,} or more"
    return (
        f"{run.brand}: {run.state.value}, {run.settled:,} of {expected} items, "
        f"{run.failed:,} failed, AI {run.ai_state.value}"
    )


class BrandView:
    """A brand, by its name. Nothing is asked before a method is called."""

    def __init__(self, loop: EventLoop, client: Client, name: str) -> None:
        self._loop = loop
        self._client = client
        self.name = name

    def state(self) -> BrandShown:
        """Return the brand with its newest run.

        Raises:
            BrandNotFound: there is no brand with that name.
        """
        return self._loop.wait(self._client.brand(self.name))

    def assets(self, **options: Unpack[ListingOptions]) -> AssetListing:
        """Return the assets of its snapshot that fulfil the filters.

        Raises:
            BadInput: a filter is not there.
        """
        return AssetListing(self._loop, self._client, self.name, options)

    def search(self, text: str, /, **options: Unpack[SearchOptions]) -> FoundAssets:
        """Return its assets that show what a text describes."""
        wanted: SearchOptions = {**options, "brand": self.name}
        found = self._loop.wait(self._client.search(text, **wanted))
        return FoundAssets(self._loop, self._client, found)

    def insights(self) -> Mapping[str, Insight]:
        """Return what the AI phase found, by step."""
        *_, found = self._loop.wait(self._client.insights(self.name))
        return {each.kind: each for each in found}

    def start(
        self,
        *,
        source: str | None = None,
        urls: Sequence[str | Mapping[str, Any]] | None = None,
        replace: bool = False,
    ) -> RunView:
        """Start a run, or return the active one; see `Client.start`."""
        started = self._client.start(self.name, source=source, urls=urls, replace=replace)
        return RunView(self._loop, self._client, self._loop.wait(started))

    def export(self, kind: str, to: Path | str) -> Sequence[Path]:
        """Write its snapshot to files in a folder; return their paths."""
        return self._loop.wait(self._exported(kind, Path(to)))

    async def _exported(self, kind: str, folder: Path) -> Sequence[Path]:
        task = await self._client.export(self.name, kind)
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        paths = []
        for file in task.result["files"]:
            # The server chooses the names, so only their last part is used.
            paths.append(folder / Path(file["name"]).name)
            await self._client.fetch_file(task.id, file["name"], paths[-1])
        return paths

    def __repr__(self) -> str:
        return f"<brand {self.name!r}>"


class Server:
    """A server, asked without `await`. As a context manager, or with `close`, it is closed.

    What has no method here is asked of `client`: ``server.wait(server.client.compare(a, b))``.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self._loop = EventLoop()
        self._stack = AsyncExitStack()
        self.url = url
        try:
            self.client: Client = self._loop.wait(
                self._stack.enter_async_context(open_client(url, key))
            )
        except BaseException:
            self._loop.close()
            raise

    def brands(self) -> Sequence[BrandShown]:
        """Return all brands with their newest runs, by name."""
        return self.wait(self.client.brands())

    def brand(self, name: str) -> BrandView:
        """Return the brand of that name, which a first run makes."""
        return BrandView(self._loop, self.client, name)

    def search(self, text: str, /, **options: Unpack[SearchOptions]) -> FoundAssets:
        """Return the assets of all brands that show what a text describes."""
        found = self.wait(self.client.search(text, **options))
        return FoundAssets(self._loop, self.client, found)

    def similar(self, asset: str, /, **options: Unpack[SearchOptions]) -> FoundAssets:
        """Return the assets of all brands, or of one, that look like an asset."""
        found = self.wait(self.client.search_by_asset(asset, **options))
        return FoundAssets(self._loop, self.client, found)

    def run(self, run_id: UUID | str) -> RunView:
        """Return a run.

        Raises:
            RunNotFound: there is no run with that id.
        """
        state = self.wait(self.client.run(UUID(str(run_id))))
        return RunView(self._loop, self.client, state)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a method of `client` returns."""
        return self._loop.wait(work)

    def close(self) -> None:
        """Close the connections. It may be called again."""
        if not self._loop.closed:
            self._loop.wait(self._stack.aclose())
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Triptych at {self.url}>"


def connect(url: str = "http://127.0.0.1:8321", key: str | None = None) -> Server:
    """Connect to a server, for notebooks and other programs without `await`.

    Args:
        url: ``https://host[:port]``.
        key: an API key; a server on this machine needs none.

    Raises:
        SettingsError: the address is not valid.
    """
    return Server(url, key)
