"""Models by URL: downloaded once into the data folder, completely or not at all.

``https://host/folder/model.onnx`` or ``s3://bucket/folder/model.onnx``; ``#sha256=…`` after it pins
the model file's content. The description is downloaded from ``model.onnx.json`` next to it, then
the files that it names. A model of `triptych.embedders.known_models` has its description there, and
a pin for every file. Files that exist already are used without asking the server again.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    aclosing,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url
from yarl import URL

from triptych.embedders.description import (
    DESCRIPTION_MAX_BYTES,
    FILE_NAME,
    description_path,
    read_description,
)
from triptych.embedders.known_models import KnownFile, KnownModel
from triptych.errors import ItemError, ModelError
from triptych.fetch.guard import REFUSED_REMEDY, AddressGuard, refusal
from triptych.fetch.redirects import follow_redirects
from triptych.fetch.transport import open_session
from triptych.fetch.web_url import parse_web_url
from triptych.model import Reason
from triptych.runtime.file_flush import flush_folder
from triptych.shown_url import shown_url

DEADLINE_S = 3600.0
"""For one model with all its files."""
CONNECT_S = 15.0
SILENCE_S = 60.0
CHUNK_BYTES = 1024 * 1024
REDIRECTS_MAX = 5
ABSENT = frozenset({404, 410})
CONNECTIONS = 2
TURN_RETRY_S = 0.2
"""Between two checks whether another process has finished downloading the same model."""
KEY_CHARS = 12
PIN = re.compile(r"sha256=([0-9a-fA-F]{64})")
SCHEMES = frozenset({"https", "http", "s3"})
FIELD = "TRIPTYCH_EMBEDDER"
MIRROR_FIELD = "TRIPTYCH_MODELS_URL"
SAY_EVERY_S = 5.0
"""Between two lines on how far a download is."""
MEGABYTE = 1_000_000

Say = Callable[[str], None]
"""Shows the user one line; called from any thread."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model is downloaded from."""

    url: URL
    """Without fragment; otherwise as browsers send it, so that a signature stays valid."""
    sha256: str | None

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read a model's URL.

        Raises:
            ModelError: it names no ONNX file, its pin is invalid, or a pin is required.
        """
        plain, _, fragment = text.partition("#")
        try:
            # The address of an object store is no web URL.
            url = URL(plain) if plain.startswith("s3:") else parse_web_url(plain)
        except ValueError as error:
            raise ModelError(f"{FIELD} is not a URL ({error}).") from error
        pin = PIN.fullmatch(fragment)
        if fragment and pin is None:
            raise ModelError(
                f"{FIELD}: the text after # is not a hash.",
                remedy="Write #sha256=<64 hexadecimal digits>.",
            )
        if url.scheme not in SCHEMES or not url.host or not _is_model(_name(url)):
            raise ModelError(
                f"{FIELD}: {_shown(url)} names no ONNX file.",
                remedy="Write https://host/…/model.onnx or s3://bucket/…/model.onnx.",
            )
        if url.scheme == "http" and pin is None:
            raise ModelError(
                f"{FIELD}: http:// does not protect the content.",
                remedy="Use https://, or pin the content: …/model.onnx#sha256=<hash>.",
            )
        return cls(url, pin.group(1).lower() if pin else None)

    @property
    def name(self) -> str:
        """The name of the model's file."""
        return _name(self.url)

    @property
    def folder(self) -> str:
        """The name of the model's folder, derived from URL and pin."""
        key = hashlib.sha256(f"{self.url} {self.sha256}".encode()).hexdigest()
        return f"{self.name.removesuffix('.onnx')}-{key[:KEY_CHARS]}"

    def beside(self, name: str) -> URL:
        """Return the URL of another file of the model, whose query has the same text."""
        beside = self.url.with_name(name, keep_query=True)
        return parse_web_url(f"{beside}?") if self.url.name.endswith("?") else beside


def fetched_model(
    url: str, folder: Path, *, guard: AddressGuard, max_bytes: int, proxy: URL | None = None
) -> Path:
    """Return the model that ``url`` names as a file below ``folder``, downloading it if needed.

    Do not call it from an event loop's thread. Safe for several processes at once: one downloads,
    the others wait. A model is visible with all its files or not at all, even after a kill or a
    power cut.

    Args:
        url: as described above.
        folder: of all models.
        guard: decides which addresses may be reached.
        max_bytes: of one file.
        proxy: for https, if any.

    Raises:
        ModelError: it cannot be downloaded, is too large, or does not match its pin.
    """
    place = Place.parse(url)
    path = folder / place.folder / place.name
    if path.is_file():
        return path
    deadline = time.monotonic() + DEADLINE_S
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _turn(folder / f"{place.folder}.lock", deadline):
            if not path.is_file():
                limits = _Limits(guard, max_bytes, deadline, proxy)
                _fetch(path, limits, lambda origin, staged: _fill(place, staged, origin, limits))
    except OSError as error:
        raise ModelError(f"The model cannot be kept in {folder} ({error}).") from error
    return path


def fetched_known_model(
    model: KnownModel,
    base: str,
    folder: Path,
    *,
    guard: AddressGuard,
    max_bytes: int,
    proxy: URL | None = None,
    say: Say,
) -> Path:
    """Return a known model's image encoder below ``folder``, downloading all its files if needed.

    As `fetched_model`, and every file's SHA-256 is the pinned one.

    Args:
        model: what is fetched.
        base: of the hub or a mirror; files are at ``{base}/{repository}/resolve/{revision}/…``.
        folder: of all models.
        guard: decides which addresses may be reached.
        max_bytes: of one file.
        proxy: for https, if any.
        say: is shown how far it is.

    Raises:
        ModelError: a file cannot be downloaded, is too large, or does not match its pin.
    """
    path = model.path(folder)
    if path.is_file():
        return path
    root = _hub_root(base) / model.repository / "resolve" / model.revision
    deadline = time.monotonic() + DEADLINE_S
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _turn(folder / f"{path.parent.name}.lock", deadline):
            if not path.is_file():
                limits = _Limits(guard, max_bytes, deadline, proxy)
                progress = _Progress(model, say)
                _fetch(
                    path,
                    limits,
                    lambda origin, staged: _fill_known(
                        model, root, staged, origin, limits, progress
                    ),
                )
                progress.ends()
    except OSError as error:
        raise ModelError(f"The model cannot be kept in {folder} ({error}).") from error
    return path


def check_known_model(model: KnownModel, folder: Path) -> None:
    """Read a known model's files again, and compare them with their pins.

    Raises:
        ModelError: one is missing or has other content.
    """
    kept = model.path(folder).parent
    for file in model.files:
        path = kept / model.kept_as(file)
        try:
            with path.open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise _damaged(model, path, f"cannot be read ({error})") from error
        if found != file.sha256:
            raise _damaged(model, path, "has other content than was fetched")


def _damaged(model: KnownModel, path: Path, why: str) -> ModelError:
    return ModelError(
        f"{model.name}: {path} {why}.",
        remedy=f"Remove {path.parent} and run `triptych models fetch {model.name}`.",
    )


def _hub_root(text: str) -> URL:
    """Read the address of a hub of models.

    Raises:
        ModelError: it is none.
    """
    try:
        url = URL(text) if text.startswith("s3:") else parse_web_url(text)
    except ValueError as error:
        raise ModelError(f"{MIRROR_FIELD} is not a URL ({error}).") from error
    if url.scheme not in SCHEMES or not url.host or url.query_string:
        raise ModelError(
            f"{MIRROR_FIELD}: {_shown(url)} is not a hub's address.",
            remedy="Write https://host or s3://bucket/folder, without a query.",
        )
    return url


class _Progress:
    """Says which file comes, and every few seconds how far the download is."""

    def __init__(self, model: KnownModel, say: Say) -> None:
        self._model = model
        self._say = say
        self._bytes = 0
        self._next = time.monotonic() + SAY_EVERY_S

    def begins(self, number: int, file: KnownFile) -> None:
        size = "" if file.size_bytes is None else f", {_megabytes(file.size_bytes)}"
        of = len(self._model.files)
        self._say(f"Fetching {self._model.name}: {file.path} ({number} of {of}{size}).")

    def arrived(self, count: int) -> None:
        self._bytes += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + SAY_EVERY_S
            of = self._model.size_bytes
            whole = "" if of is None else f" of {_megabytes(of)}"
            self._say(f"Fetching {self._model.name}: {_megabytes(self._bytes)}{whole}.")

    def ends(self) -> None:
        self._say(
            f"Fetched {self._model.name}: {_megabytes(self._bytes)}; every file has the SHA-256 "
            "that this release expects."
        )


def _megabytes(count: int) -> str:
    return f"{count / MEGABYTE:,.1f} MB"


@dataclass(frozen=True, slots=True)
class _Limits:
    guard: AddressGuard
    max_bytes: int
    deadline: float
    proxy: URL | None


@contextmanager
def _turn(path: Path, deadline: float) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends. The file stays."""
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise ModelError("Another process takes too long to download it.") from error
                time.sleep(TURN_RETRY_S)
        yield


Fill = Callable[["_Origin", Path], Awaitable[None]]
"""Downloads a model's files: the given path is the image encoder's."""


def _fetch(path: Path, limits: _Limits, fill: Fill) -> None:
    prefix = f".{path.parent.name}."
    for left in path.parent.parent.glob(f"{prefix}*"):
        shutil.rmtree(left)  # Of a process that was killed: this one holds the lock.
    staging = Path(tempfile.mkdtemp(dir=path.parent.parent, prefix=prefix))
    try:
        asyncio.run(_fetch_all(staging / path.name, limits, fill))
        staging.chmod(0o755)
        flush_folder(staging)
        staging.rename(path.parent)
        flush_folder(path.parent.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


async def _fetch_all(path: Path, limits: _Limits, fill: Fill) -> None:
    try:
        async with asyncio.timeout(limits.deadline - time.monotonic()), _origin(limits) as origin:
            await fill(origin, path)
    except TimeoutError as error:
        raise ModelError(f"{path.name} was not fetched within {DEADLINE_S:g} s.") from error


async def _fill(place: Place, path: Path, origin: _Origin, limits: _Limits) -> None:
    described = description_path(path)
    beside = place.beside(described.name)
    await origin.save(beside, described, DESCRIPTION_MAX_BYTES, optional=True)
    files = read_description(path).files
    digest = await origin.save(place.url, path, limits.max_bytes)
    if place.sha256 is not None and digest != place.sha256:
        raise ModelError(
            f"{_shown(place.url)} has the SHA-256 {digest}, not the pinned one.",
            remedy="The file has changed; if that is intended, change the pin.",
        )
    for name in dict.fromkeys(files):
        await origin.save(place.beside(name), path.with_name(name), limits.max_bytes)


async def _fill_known(
    model: KnownModel, root: URL, path: Path, origin: _Origin, limits: _Limits, progress: _Progress
) -> None:
    description = model.description.model_dump_json(exclude_defaults=True)
    description_path(path).write_text(description, encoding="utf-8")
    for number, file in enumerate(model.files, 1):
        url = root.joinpath(*file.path.split("/"))
        progress.begins(number, file)
        staged = path.with_name(model.kept_as(file))
        digest = await origin.save(url, staged, limits.max_bytes, arrived=progress.arrived)
        if digest != file.sha256:
            raise ModelError(
                f"{_shown(url)} has the SHA-256 {digest}, and {file.sha256} is expected for "
                f"{model.name}.",
                remedy=f"Nothing of it is kept. If the repository has moved, set {MIRROR_FIELD} to "
                "a mirror that has the original.",
            )


class _Origin:
    """Files by URL: https through the address guard, s3 with the environment's credentials."""

    def __init__(self, session: aiohttp.ClientSession, guard: AddressGuard) -> None:
        self._session = session
        self._guard = guard

    async def save(
        self,
        url: URL,
        path: Path,
        max_bytes: int,
        *,
        optional: bool = False,
        arrived: Callable[[int], None] | None = None,
    ) -> str:
        """Download ``url`` to ``path`` and return its SHA-256; empty if it is absent.

        ``arrived`` is given the bytes of each piece.

        Raises:
            ModelError: it cannot be downloaded, or is too large. An optional file may be absent.
        """
        try:
            return await self._save(url, path, max_bytes, arrived)
        except (FileNotFoundError, NotFoundError) as error:
            if optional:
                await asyncio.to_thread(path.unlink)
                return ""
            raise ModelError(f"There is no {_shown(url)}.") from error
        except (aiohttp.ClientError, ItemError, BaseError, OSError, ValueError) as error:
            refused = refusal(error) is not None or (
                isinstance(error, ItemError) and error.reason is Reason.ADDRESS_REFUSED
            )
            raise ModelError(
                f"{_shown(url)} cannot be fetched ({_text(error)}).",
                remedy=REFUSED_REMEDY if refused else None,
            ) from error

    async def _save(
        self, url: URL, path: Path, max_bytes: int, arrived: Callable[[int], None] | None
    ) -> str:
        digest, size = hashlib.sha256(), 0
        source = self._s3(url) if url.scheme == "s3" else self._http(url)
        async with aclosing(source) as chunks:
            with path.open("xb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > max_bytes:
                        raise ModelError(
                            f"{_shown(url)} is larger than {max_bytes} bytes.",
                            remedy="TRIPTYCH_EMBEDDER_MAX_BYTES sets the limit for model files.",
                        )
                    digest.update(chunk)
                    if arrived is not None:
                        arrived(len(chunk))
                    await asyncio.to_thread(file.write, chunk)
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
        return digest.hexdigest()

    async def _http(self, url: URL) -> AsyncGenerator[bytes, None]:
        def ask(target: URL) -> Awaitable[aiohttp.ClientResponse]:
            if url.scheme == "https" and target.scheme != "https":
                raise ValueError("it redirects from https to what is not")
            return self._session.get(target, allow_redirects=False)

        # The session's own check sees no credentials: they are a header by then.
        self._guard.check_url(url)
        answer = await follow_redirects(url, ask, guard=self._guard, redirects_max=REDIRECTS_MAX)
        async with answer.response as response:
            if response.status in ABSENT:
                raise FileNotFoundError
            if response.status != 200:
                raise ValueError(f"HTTP {response.status}")
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                yield chunk

    async def _s3(self, url: URL) -> AsyncGenerator[bytes, None]:
        store = from_url(f"s3://{url.host}")
        # Blocking, in threads of Python's: see `triptych.objects`.
        found = await asyncio.to_thread(obstore.get, store, url.path.lstrip("/"))
        chunks = iter(found.stream(min_chunk_size=CHUNK_BYTES))
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            yield bytes(chunk)


@asynccontextmanager
async def _origin(limits: _Limits) -> AsyncIterator[_Origin]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
    async with open_session(
        limits.guard,
        limit=CONNECTIONS,
        proxy=limits.proxy,
        timeout=timeout,
        # A cap on bytes means bytes as they are kept.
        headers={"Accept-Encoding": "identity"},
    ) as session:
        yield _Origin(session, limits.guard)


def _name(url: URL) -> str:
    """Return the name of a URL's file. The mark of an empty query is sent, and is no part of it."""
    return url.name.removesuffix("?")


def _is_model(name: str) -> bool:
    return name.endswith(".onnx") and FILE_NAME.fullmatch(name) is not None


def _shown(url: URL) -> str:
    return shown_url(str(url))


def _text(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
