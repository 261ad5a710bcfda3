"""Every operation of the API has a client's method and a command, or a reason why not."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer
from aiohttp import web

from tests.support.verbs import LOCAL, VERBS, WITHOUT_OPERATION, Exempt, Verb
from triptych.api.assets import Filters
from triptych.cli.command_line import app
from triptych.client import Client, open_client
from triptych.client.asset_filters import AssetFilters, ListingOptions, SearchOptions
from triptych.errors import BadInput, BrandNotFound, InvalidBrand, NotFound

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTION = json.loads((ROOT / "docs/reference/openapi.json").read_text("utf-8"))


def operations() -> dict[str, tuple[str, str]]:
    """Return the method and the path of each operation."""
    return {
        operation["operationId"]: (method.upper(), path)
        for path, methods in DESCRIPTION["paths"].items()
        for method, operation in methods.items()
        if "operationId" in operation
    }


OPERATIONS = operations()


def commands(group: Any, prefix: str = "") -> Iterator[str]:
    for name, each in group.commands.items():
        if hasattr(each, "commands"):
            yield from commands(each, f"{name} ")
        else:
            yield f"{prefix}{name}"


COMMANDS = set(commands(typer.main.get_command(app)))
METHODS = {
    name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")
}


def command_of(verb: Verb) -> str | None:
    """Return the name of a verb's command, without what it is given."""
    if isinstance(verb.command, Exempt):
        return None
    words = verb.command.split(" of ")[0].split()
    return " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]


def test_every_operation_has_a_row() -> None:
    assert sorted(OPERATIONS.keys() - VERBS.keys()) == [], "give it a method and a command"
    assert sorted(VERBS.keys() - OPERATIONS.keys()) == [], "it is no longer there"


def test_exemptions_have_reasons_and_what_is_named_is_there() -> None:
    named = {verb.method for verb in VERBS.values() if isinstance(verb.method, str)}
    assert sorted(METHODS - named - LOCAL.keys()) == []
    assert not LOCAL.keys() & named
    assert named <= METHODS
    used = {command_of(verb) for verb in VERBS.values()} - {None}
    assert sorted(COMMANDS - used - WITHOUT_OPERATION.keys()) == []
    assert used <= COMMANDS
    exempt = [each for verb in VERBS.values() for each in (verb.method, verb.command)]
    reasons = [each.reason for each in exempt if isinstance(each, Exempt)]
    reasons += [*LOCAL.values(), *WITHOUT_OPERATION.values()]
    assert all(len(reason.split()) >= 3 for reason in reasons)


class Recorder:
    """A server that knows nothing, and remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path, dict(request.query)))
        problem = {"reason": "brand-not-found", "detail": "There is no such brand."}
        return web.json_response(problem, status=404, content_type="application/problem+json")


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", recorder.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    recorder.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield recorder
    await runner.cleanup()


async def test_each_method_asks_for_its_operation(recorder: Recorder) -> None:
    wrong = []
    async with open_client(recorder.url) as client:
        for name, verb in VERBS.items():
            if isinstance(verb.method, Exempt):
                continue
            recorder.asked.clear()
            given = list(verb.args)
            if name == "list_facets_anywhere":
                given = []
            called = getattr(client, verb.method)(*given, **verb.options)
            with pytest.raises(BrandNotFound, match="no such brand"):
                await (anext(called) if inspect.isasyncgen(called) else called)
            method, path = OPERATIONS[name]
            pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
            if not [each for each in recorder.asked if _is(each, method, pattern)]:
                wrong.append((name, recorder.asked))
    assert wrong == []


def _is(asked: tuple[str, str, Mapping[str, str]], method: str, pattern: str) -> bool:
    return asked[0] == method and re.fullmatch(pattern, asked[1]) is not None


async def test_filters_have_names_and_types(recorder: Recorder) -> None:
    async with open_client(recorder.url) as client:
        wanted = {"color": ["red"], "price": {"below": 20}}
        with pytest.raises(NotFound):
            await client.assets_page("nike", limit=2, duplicated=False, metadata=wanted, within=9.5)
        asked = dict(recorder.asked[-1][2])
        assert json.loads(asked.pop("metadata")) == wanted
        assert asked == {"limit": "2", "duplicated": "false", "within": "9.5"}
        with pytest.raises(BadInput, match="There is no filter 'colours'") as refused:
            await client.search("shoe", colours="red")  # type: ignore[call-arg]
    assert "colour_name" in str(refused.value)
    assert len(recorder.asked) == 1


async def test_a_name_that_cannot_be_a_brands_is_refused_before_anything_is_asked(
    recorder: Recorder,
) -> None:
    async with open_client(recorder.url) as client:
        for called in (client.start("bad/name"), client.brand("a/b"), client.compare("a", "b/c")):
            with pytest.raises(InvalidBrand, match="must not contain a slash"):
                await called
    assert recorder.asked == []


@pytest.mark.parametrize(
    ("options", "operation"), [(ListingOptions, "list_assets"), (SearchOptions, "search")]
)
def test_the_filters_are_those_of_the_api(options: type, operation: str) -> None:
    assert get_type_hints(AssetFilters).keys() == Filters.model_fields.keys()
    method, path = OPERATIONS[operation]
    parameters = DESCRIPTION["paths"][path][method.lower()]["parameters"]
    described = {each["name"] for each in parameters if each["in"] == "query"}
    own = {"limit", "cursor"} if options is ListingOptions else {"q", "asset"}
    assert get_type_hints(options).keys() == described - own


async def test_a_thumbnail_is_read_from_where_the_server_says_without_the_key() -> None:
    seen: list[str | None] = []

    async def thumbnail(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        location = f"{base}/store/x.webp?signature=a%2Fb"
        return web.Response(status=307, headers={"Location": location})

    async def store(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        assert request.rel_url.raw_query_string == "signature=a%2Fb"
        return web.Response(body=b"webp")

    application = web.Application()
    application.router.add_get("/api/v1/assets/{asset}/thumbnail", thumbnail)
    application.router.add_get("/store/x.webp", store)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with open_client(base, "trk_x") as client:
            assert await client.thumbnail("a", 160) == b"webp"
    finally:
        await runner.cleanup()
    assert seen == ["Bearer trk_x", None]
