"""Secrets planted wherever somebody may write one, and sought in everything that leaves.

Every GET operation of the API's description is asked by a reader and by an operator, so that a new
one is among them at once.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import structlog
from aiohttp import web

from tests.support.api_server import Api, bearer, running_worker, serving_with_keys
from tests.support.description import described
from tests.support.local_pipeline import LOOPBACK
from tests.support.picture_server import picture
from tests.support.waiting import until
from triptych.cli.log_output import configure_logs
from triptych.dead_letters.dead_letter_store import DeadLetter
from triptych.messages import URL_QUEUE, Headers
from triptych.settings.settings import Settings
from triptych.wiring.doctor import diagnose

pytestmark = pytest.mark.integration

PLANTED = re.compile(r"S3CR3T-\d+")
KEPT = {"token": "gold", "key": "K-1", "password": "none", "signature": "Monet's"}
"""Metadata that are named like secrets and are none: they stay."""


UNANSWERED = {
    "/api/v1/assets/{asset}/similar",
    "/api/v1/brands/{brand}/map",
    "/api/v1/brands/{brand}/nearest",
    "/api/v1/search",
}
"""Operations that want embeddings, which these brands have not."""


@dataclass
class Plants:
    """Secrets, each with the place where it was planted."""

    places: dict[str, str] = field(default_factory=dict)

    def at(self, place: str) -> str:
        secret = f"S3CR3T-{len(self.places)}"
        self.places[secret] = place
        return secret

    def url(self, place: str, base: str, path: str = "") -> str:
        """Return a URL with a secret in its userinfo and in its query."""
        scheme, _, rest = base.partition("://")
        user, query = self.at(f"{place}, userinfo"), self.at(f"{place}, query")
        return f"{scheme}://me:{user}@{rest}{path}?v=1&api_key={query}"

    def found(self, text: str | bytes) -> set[str]:
        whole = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return {self.places.get(each, each) for each in PLANTED.findall(whole)}


class Origin:
    """A catalogue, a list, pictures and a webhook's receiver, with secrets in what they answer."""

    def __init__(self, plants: Plants) -> None:
        self.base = ""
        self.plants = plants
        self.hooks: list[bytes] = []

    def items(self) -> list[dict[str, Any]]:
        plants, base = self.plants, self.base
        signed = f"X-Amz-Signature={plants.at('item')}&X-Amz-Security-Token={plants.at('item')}"
        return [
            {"url": f"{base}/p/1.png?v=1&{signed}", "metadata": {
                **KEPT, "large": f"{base}/p/9.png?v=2&sig={plants.at('metadata')}",
                "deep": [{"more": f"see {base}/p/9.png?token={plants.at('deep metadata')} too"}],
            }},
            {"url": f"{base}/p/2.png?Expires=1&Key-Pair-Id={plants.at('item')}", "metadata": KEPT},
            {"url": f"{base}/gone?token={plants.at('failed item')}"},
            {"url": f"{base}/page?hdnts={plants.at('failed item')}"},
            {"url": f"{base}/elsewhere?key={plants.at('redirected item')}"},
            {"url": f"{base}/away?auth={plants.at('item redirected to a refused address')}"},
            {"url": plants.url("item with userinfo", base, "/p/3.png")},
            {"url": f"https://bad host/?sig={plants.at('invalid item')} and more"},
            {"url": f"ftp://me:{plants.at('item of another scheme')}@h/a?password=x"},
        ]  # fmt: skip

    async def get(self, request: web.Request) -> web.StreamResponse:
        name, plants = request.path.strip("/"), self.plants
        if name.startswith("p/"):
            return web.Response(body=picture(int(name[2:-4])), content_type="image/png")
        if name == "catalogue":
            return web.json_response({"items": self.items(), "next": None})
        if name == "hook":
            self.hooks.append(await request.read() + str(request.headers).encode())
            return web.Response()
        if name == "elsewhere":
            raise web.HTTPFound(f"{self.base}/page?sig={plants.at('target of a redirect')}")
        if name in {"away", "catalogue-away"}:
            raise web.HTTPFound(plants.url("refused target of a redirect", "http://10.0.0.1"))
        if name == "page":
            why = f"Expired: {self.base}/p/1.png?sig={plants.at('body of an error')}"
            return web.Response(text=why, content_type="text/plain")
        raise web.HTTPNotFound


@asynccontextmanager
async def origin(plants: Plants) -> AsyncIterator[Origin]:
    found = Origin(plants)
    app = web.Application()
    app.router.add_route("*", "/{name:.*}", found.get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Collect everything that is logged, as `triptych up` would."""
    before, written, stderr = structlog.get_config(), io.StringIO(), sys.stderr
    sys.stderr = written
    try:
        configure_logs(debug=True, json=True)
        yield written
    finally:
        sys.stderr = stderr
        structlog.configure(**before)


def planted_settings(plants: Plants, base: str) -> dict[str, Any]:
    return {
        "database_url": f"postgresql://me:{plants.at('database')}@db/x?password="
        f"{plants.at('database query')}",
        "database_read_url": f"postgresql://{plants.at('replica')}@db/x",
        "source": f"catalog:{plants.url('default source', base, '/catalogue')}",
        "source_token": plants.at("source token"),
        "source_token_for": plants.url("origin of the source token", "https://h.example"),
        "summary_url": plants.url("summary", f"{base}/v1"),
        "summary_key": plants.at("summary key"),
        "fetch_profiles": json.dumps(
            [{"to": [base], "headers": {"X-Key": plants.at("header of a profile")}}]
        ),
        "server_key": plants.at("key for a server"),
        "user_agent": f"bot (+{plants.url('user agent', base)})",
    }


async def start(api: Api, key: dict[str, str], brand: str, **body: Any) -> dict[str, Any]:
    reply = await api.post(f"/brands/{brand}/runs", json=body, headers=key)
    assert reply.status == 202, reply.body
    return dict(reply.json)


async def over(api: Api, key: dict[str, str], run: str) -> dict[str, Any]:
    reply = await until(
        lambda: api.get(f"/runs/{run}", headers=key), lambda reply: reply.json["over"]
    )
    return dict(reply.json)


async def fill(api: Api, key: dict[str, str], plants: Plants, site: Origin) -> dict[str, list[str]]:
    """Make some of everything; return what the parameters of paths can be."""
    hook = plants.url("webhook", site.base, "/hook").replace(f"me:{_last(plants, 1)}@", "")
    events = ["run.committed", "run.failed"]
    made = await api.post("/webhooks", json={"url": hook, "events": events}, headers=key)
    assert made.status == 201, made.body
    plants.places[made.json["secret"].removeprefix("whsec_")] = "secret of the webhook"
    assert not plants.found(made.body)
    dead = f"{site.base}/hook?token={plants.at('webhook that is refused')}"
    await api.post("/webhooks", json={"url": dead, "events": ["run.held"]}, headers=key)
    source = f"catalog:{plants.url('source', site.base, '/catalogue')}"
    task = await start(api, key, "nike", source=source, policy={"tolerated_failures": 1.0})
    first = await over(api, key, task["run"])
    assert (first["state"], first["done"]) == ("committed", 2), first["reason"]
    # Each list has other signatures, so a run would remove all assets of the one before.
    again = await start(api, key, "nike", source=source, policy={"tolerated_failures": 1.0})
    assert (await over(api, key, again["run"]))["state"] == "held"
    assert (await api.post(f"/runs/{again['run']}/publish", headers=key)).status == 202
    assert (await over(api, key, again["run"]))["state"] == "committed"
    third = await start(api, key, "nike", source=source, policy={"tolerated_failures": 1.0})
    assert (await over(api, key, third["run"]))["state"] == "held"
    away = f"catalog:{plants.url('source that is refused', site.base, '/catalogue-away')}"
    lost = await start(api, key, "adidas", source=away)
    assert (await over(api, key, lost["run"]))["state"] == "failed"
    listed = [f"{site.base}/p/4.png?token={plants.at('given URL')}"]
    given = await start(api, key, "puma", urls=listed)
    await over(api, key, given["run"])
    await api("PUT", "/brands/asics", headers=key, json={
        "source": f"manifest:{plants.url('scheduled source', 'https://h.example')}#key=sku",
        "schedule": "0 3 * * *"})  # fmt: skip
    await api.stores.dead_letters.record(
        DeadLetter(URL_QUEUE, "m1", {"brand": "nike", "url": listed[0], "metadata": {}},
                   Headers().encode(), f"cannot read {listed[0]}", None)
    )  # fmt: skip
    exported = (await api.post("/brands/nike/exports", json={"format": "csv"}, headers=key)).json
    export = await until(
        lambda: api.get(f"/tasks/{exported['id']}", headers=key),
        lambda reply: reply.json["ended_at"] is not None,
    )
    assert export.json["result"]["credentials"] == 2
    await until(lambda: _heard(site))
    assets = (await api.get("/brands/nike/assets", headers=key)).json["items"]
    sent = await api.post("/uploads", params={"name": "a.csv"}, data=listed[0], headers=key)
    assert sent.status == 201, sent.body
    items = (await api.get(f"/runs/{third['run']}/items", headers=key)).json["items"]
    runs = [first["id"], again["run"], third["run"], lost["run"], given["run"]]
    return {
        "brand": ["nike", "adidas", "puma", "asics"],
        "other": ["puma"],
        "run": runs,
        "snapshot": [first["id"], again["run"]],
        "old": [first["id"]],
        "new": [again["run"]],
        "reason": sorted(first["reasons"]),
        "asset": [asset["id"] for asset in assets],
        "task": [task["id"], exported["id"]],
        "name": [file["name"] for file in export.json["result"]["files"]],
        "webhook": [made.json["id"]],
        "upload": [sent.json["id"]],
        "key": [item["key"] for item in items],
    }


def _last(plants: Plants, back: int) -> str:
    return list(plants.places)[-1 - back]


async def _heard(site: Origin) -> bool:
    return len(site.hooks) >= 2


def asked(known: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Return every GET operation and its paths, with everything that its parameters can be."""
    paths = list[tuple[str, str]]()
    for path, operations in described()["paths"].items():
        if "get" not in operations:
            continue
        names = re.findall(r"\{(\w+)\}", path)
        missing = set(names) - known.keys()
        assert not missing, f"{path}: say in `fill` what {missing} can be"
        for values in itertools.product(*(known[name] for name in names)):
            filled = path
            for name, value in zip(names, values, strict=True):
                filled = filled.replace(f"{{{name}}}", quote(value, safe=""))
            paths.append((path, filled))
    extra = [f"/api/v1/runs/{run}/timeline?limit=500" for run in known["run"]]
    extra += [f"/api/v1/search?asset={asset}" for asset in known["asset"]]
    extra += ["/api/v1/search?q=png&brand=nike", "/api/v1/brands/nike/assets?text=p"]
    extra += ["/api/v1/schedules/preview?cron=0+3+*+*+1"]
    return paths + [(path.partition("?")[0], path) for path in extra]


async def frames(api: Api, key: dict[str, str], known: dict[str, list[str]]) -> list[str]:
    """Return every frame of live status that follows a subscription to everything."""
    topics = ["brands", "queues", "workers", *(f"brand:{name}" for name in known["brand"])]
    topics += [f"run:{run}" for run in known["run"]] + [f"task:{task}" for task in known["task"]]
    wanted = [{"topic": name, **({"after": 0} if name.startswith("run:") else {})}
              for name in topics]  # fmt: skip
    heard, missing = list[str](), {*topics} - {"brands"} | {"listed"}
    async with api.session.ws_connect(f"{api.url}/ws", headers=key) as socket:
        await socket.send_json({"type": "subscribe", "topics": wanted})
        async with asyncio.timeout(60):
            while missing:
                message = await socket.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, message
                heard.append(message.data)
                frame = json.loads(message.data)
                missing -= {frame.get("topic"), frame["type"]}
    return heard


COMMANDS = """
import sys
from triptych.cli.command_line import app
for words in {commands!r}:
    for more in ([], ["--json"]):
        try:
            app([*words, *more], standalone_mode=False)
        except BaseException as error:
            print(type(error).__name__, file=sys.stderr)
"""


def commands(url: str, token: str, known: dict[str, list[str]], folder: Path) -> str:
    """Return all that the main commands print and write, run against the server."""
    brand, run = known["brand"][0], known["run"][0]
    wanted = [
        ["status"], ["status", brand], ["status", "adidas"], ["runs"], ["failures", run],
        ["assets", brand], ["similar", known["asset"][0]], ["insights", brand, "--verbose"],
        ["snapshots", brand], ["diff", brand, run], ["dead-letters", "list"],
        ["report", brand, "--to", "report"], ["settings"],
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS.format(commands=wanted)],
        env={"PATH": "/usr/bin", "TRIPTYCH_SERVER": url, "TRIPTYCH_SERVER_KEY": token,
             "TRIPTYCH_DATABASE_URL": "postgresql://me:S3CR3T-0@db/x?password=S3CR3T-0",
             "COLUMNS": "400"},
        cwd=folder, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    written = [each.read_text(errors="replace") for each in folder.glob("report/*")]
    assert written
    assert done.stdout.count("nike") > 5
    return done.stdout + done.stderr + "".join(written)


async def test_no_planted_secret_leaves(
    migrated_dsn: str, tmp_path: Path, log: io.StringIO
) -> None:
    plants = Plants()
    async with origin(plants) as site:
        shown = planted_settings(plants, site.base)
        options = {"fetch_allow": LOOPBACK, "sweep_s": 0.2, "robots": False, **shown}
        settings = dict.fromkeys(("database_url", "database_read_url"))
        held = {name: options.pop(name) for name in settings}
        async with (
            serving_with_keys(migrated_dsn, tmp_path, **options) as (api, tokens),
            running_worker(api),
        ):
            keys = {name: bearer(tokens[name]) for name in ("reader", "operator")}
            known = await fill(api, keys["operator"], plants, site)
            leaks = dict[str, set[str]]()
            statuses = dict[str, set[int]]()
            for who, key in keys.items():
                for operation, path in asked(known):
                    async with api.session.get(f"{api.url}{path}", headers=key) as response:
                        body = await response.read()
                        head = str(response.headers)
                    statuses.setdefault(operation, set()).add(response.status)
                    if who == "operator" and "/files/" in path:
                        assert (response.status == 200) <= (len(plants.found(body)) >= 3)
                        continue  # An export is the brand, whole: see ADR 33.
                    if found := plants.found(body + head.encode()):
                        leaks[f"{who} {path}"] = found
                for number, frame in enumerate(await frames(api, key, known)):
                    if found := plants.found(frame):
                        leaks[f"{who} frame {number}: {frame[:80]}"] = found
            assets = (await api.get("/brands/nike/assets", headers=keys["reader"])).json["items"]
            text = await asyncio.to_thread(commands, api.url, tokens["operator"], known, tmp_path)
    leaks["commands"] = plants.found(text)
    leaks["log"] = plants.found(log.getvalue())
    told = set[str]().union(*map(plants.found, site.hooks))
    # Each request has the User-Agent of the settings: it is meant for those who are asked.
    leaks["webhooks"] = {place for place in told if not place.startswith("user agent")}
    leaks["settings"] = plants.found(str(Settings.load(**options, **held).shown()))
    assert not {where: found for where, found in leaks.items() if found}
    assert log.getvalue().count("\n") > 5, "there is a log to look at"
    # Not each snapshot is one of each brand; but every operation has answered, and none has failed.
    assert not {operation for operation, seen in statuses.items() if 500 in seen}
    assert {op for op, seen in statuses.items() if 200 not in seen} <= UNANSWERED, statuses
    for kept in KEPT.items():
        assert kept in assets[0]["metadata"].items() or kept in assets[1]["metadata"].items()
    assert {"v=1", "Expires=1"} == {asset["url"].partition("?")[2].partition("&")[0]
                                    for asset in assets}  # fmt: skip


async def test_the_doctor_tells_none(tmp_path: Path) -> None:
    plants = Plants()
    base = "http://127.0.0.1:1"
    settings = Settings.load(
        data=tmp_path,
        **planted_settings(plants, base)
        | {
            "database_url": f"postgresql://me:{plants.at('db')}@127.0.0.1:1/x?password="
            f"{plants.at('db query')}",
            "store_url": f"s3://{plants.at('store')}@bucket?key={plants.at('store query')}",
            "embedder": f"{plants.url('model', 'https://127.0.0.1:1', '/m.onnx')}",
        },
    )
    found = await diagnose(settings)
    assert not plants.found(str(found)), found
    assert not plants.found(str(settings.shown()) + repr(settings))
