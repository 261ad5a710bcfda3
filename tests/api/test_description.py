"""schemathesis over the whole description, with all its checks: no 5xx, no schema violation."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.support.api_server import fill, serving
from tests.support.description import described
from tests.support.postgres import PostgresServer
from tests.support.proof_size import at_full_size, by_size
from triptych.api.column_filters import column_filters
from triptych.errors import BadInput, InvalidBrand
from triptych.fetch.host_limit import host_name
from triptych.gather.urls import item_key
from triptych.messages import check_brand
from triptych.snapshots.asset_ids import asset_id

PATIENCE_S = 60.0
AnyCase = schemathesis.Case[Any]
REFUSALS = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 429, 431, "5xx"]
"""Answers to wrong requests. One that is too large is refused before anybody reads what is wrong
in it."""
EXAMPLES = 4
"""Generated requests for each operation and mode."""
EXAMPLES_AT_LENGTH = 24
"""The same where there is time."""


class Running:
    """A server on a thread of its own, for a client that has no loop."""

    def __init__(self, dsn: str, data: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(dsn, data))
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self.url = ""
        self.ids: dict[str, str] = {}

    def _run(self, dsn: str, data: Path) -> None:
        async def work() -> None:
            async with serving(dsn, data) as api:
                self.ids = {name: str(run) for name, run in (await fill(api)).items()}
                self.url = api.url
                self._ready.set()
                await self._stop.wait()

        self._loop.run_until_complete(work())
        self._loop.close()

    def __enter__(self) -> Running:
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)


@pytest.fixture(scope="module")
def running(
    postgres_server: PostgresServer,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    name = postgres_server.create_database(migrated_template)
    with Running(postgres_server.dsn(name), tmp_path_factory.mktemp("api")) as server:
        yield server
    postgres_server.drop_database(name)


@pytest.fixture(scope="module")
def description(running: Running) -> Any:
    """The description, with ids of what is there, so that requests get through to it."""
    asset = asset_id("nike", item_key("https://x.example/svg"))
    there = {"brand": "nike", "asset": asset, "run": running.ids["new"], "old": running.ids["old"]}
    there["new"] = running.ids["new"]
    raw = _with_examples(described(), there)
    schema = schemathesis.openapi.from_dict(raw)
    schema.config.base_url = running.url
    schema.config.checks.negative_data_rejection.expected_statuses = [str(n) for n in REFUSALS]
    return schema


def _with_examples(raw: dict[str, Any], there: dict[str, str]) -> dict[str, Any]:
    import copy

    raw = copy.deepcopy(raw)
    for operations in raw["paths"].values():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                name = parameter["name"]
                if parameter["in"] == "path" and name in there:
                    parameter.pop("examples", None)
                    parameter["schema"].pop("examples", None)
                    parameter["example"] = there[name]
                    if (method, name) == ("delete", "brand"):
                        parameter["example"] = "adidas"  # The others are still read.
    return raw


ID_MAX = 2**63 - 1
LIST = Path(__file__).parents[1] / "field" / "lists" / "capital.csv"
OPERATIONS = [
    (method, path) for path, operations in described()["paths"].items() for method in operations
]
MODES = list(GenerationMode)


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_does_as_it_is_described(
    description: Any, method: str, path: str, mode: GenerationMode
) -> None:
    check_operation(description, method, path, mode, EXAMPLES)


@at_full_size
@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_does_as_it_is_described_at_length(
    description: Any, method: str, path: str, mode: GenerationMode
) -> None:
    check_operation(description, method, path, mode, EXAMPLES_AT_LENGTH)


def check_operation(
    description: Any, method: str, path: str, mode: GenerationMode, examples: int
) -> None:
    """Send generated requests of an operation, and check each answer in all ways."""
    operation = description[path][method.upper()]
    if mode is GenerationMode.NEGATIVE and not operation.definition.raw.get("parameters"):
        return  # Nothing can be wrong with such a request.

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: AnyCase) -> None:
        # Where nothing could be made wrong, the request is a right one.
        made = case.meta.generation.mode if case.meta else mode
        if made is GenerationMode.POSITIVE:
            leave_to_schema(case)
        else:
            assume(printable(case))
        case.call_and_validate()

    with contextlib.suppress(Unsatisfiable):  # Every text may name an asset; none is wrong.
        check()


def printable(case: AnyCase) -> bool:
    """Tell whether names in a path are printable: others are refused, and no schema says so.

    What is wrong with a wrong request may be anything, also nothing by the schema.
    """
    return all(unquote(str(value)).isprintable() for value in (case.path_parameters or {}).values())


def leave_to_schema(case: AnyCase) -> None:
    """Take from a request what no schema can say: a sealed cursor, printable text, cron, JSON."""
    if isinstance(case.query, dict):
        case.query.pop("cursor", None)
        if "cron" in case.query:
            case.query["cron"] = "0 3 * * 1"
        try:
            column_filters(str(case.query.get("metadata") or '{"colour": "red"}'))
        except ValueError:
            del case.query["metadata"]
        for name in ("name", "text", "brand", "tag", "cluster", "duplicates", "look"):
            # A file's name is made printable, and is required.
            is_file = name == "name" and case.path == "/api/v1/uploads"
            if not is_file and not str(case.query.get(name, "")).isprintable():
                del case.query[name]
    if case.path == "/api/v1/search":
        leave_search_to_schema(case)
    leave_names_to_schema(case)
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid4())  # Others may have come with the same.
    if isinstance(case.body, dict):
        leave_body_to_schema(case.path, case.body)


def leave_body_to_schema(path: str, body: dict[str, Any]) -> None:
    """Write what a body's texts and numbers have to be."""
    body.pop("schedule", None)
    if "url" in body:
        body["url"] = "https://hooks.example/triptych"  # Any other may be no address.
    body.pop("brand", None)
    body.pop("brands", None)
    if path == "/api/v1/hosts/{host}":
        body["paused"] = True  # Something has to be limited.
    if path == "/api/v1/sources/check" and body.get("urls") is None:
        body["source"] = f"manifest:{LIST}"  # Any other may be no list.
    elif not str(body.get("source", "")).isprintable():
        del body["source"]
    if isinstance(ids := body.get("ids"), list):
        # Generated as floating-point numbers, which cannot express the largest id exactly.
        body["ids"] = [min(number, ID_MAX) for number in ids if isinstance(number, int | float)]


def leave_names_to_schema(case: AnyCase) -> None:
    """Name brands and hosts by names that they can have."""
    if isinstance(case.path_parameters, dict) and "host" in case.path_parameters:
        try:
            host_name(unquote(case.path_parameters["host"]))
        except BadInput:
            case.path_parameters["host"] = "cdn.example"
    for name in ("brand", "other"):
        if isinstance(case.path_parameters, dict) and name in case.path_parameters:
            try:
                check_brand(unquote(case.path_parameters[name]))
            except InvalidBrand:
                case.path_parameters[name] = "nike"


def leave_search_to_schema(case: AnyCase) -> None:
    """Ask for one thing, in a brand whose name can be one."""
    query: dict[str, Any] = dict(case.query or {})
    try:
        check_brand(str(query.get("brand", "nike")))
    except InvalidBrand:
        del query["brand"]
    if case.method == "GET":
        if "asset" in query:
            query.pop("q", None)
        elif not str(query.get("q", "")).strip():
            query["q"] = "shoe"
    case.query = query


@pytest.mark.prove
def test_every_phase_of_schemathesis_finds_nothing(
    running: Running, description: Any, tmp_path: Path
) -> None:
    """Examples, edges of every constraint, generated requests, and sequences of them."""
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(description.raw_schema))
    config = tmp_path / "schemathesis.toml"
    config.write_text(f"[checks.negative_data_rejection]\nexpected-statuses = {REFUSALS}\n")
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "--config-file",
        str(config),
        "run",
        str(path),
        "--url",
        running.url,
    ]
    # What leave_to_schema takes from the requests above would count as wrongly refused here.
    options = [
        "--exclude-checks",
        "positive_data_acceptance",
        "--max-examples",
        by_size("10", "30"),
    ]
    options += ["--seed", "1", "--no-color", "--continue-on-failure"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]


def test_every_operation_is_described_whole() -> None:
    raw = described()
    assert raw["openapi"].startswith("3.1")
    names = set()
    for path, operations in raw["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            assert operation["description"], path
            names.add(operation["operationId"])
            problems = [c for c in operation["responses"] if c.startswith(("4", "5"))]
            assert {"401", "422", "429", "500"} <= set(problems), path
            for code in problems:
                assert "application/problem+json" in operation["responses"][code]["content"]
            if method in {"post", "put"} and not {"200", "201"} & operation["responses"].keys():
                assert "202" in operation["responses"], path
                assert "Location" in operation["responses"]["202"]["headers"], path
    assert len(names) == sum(len(operations) for operations in raw["paths"].values())
