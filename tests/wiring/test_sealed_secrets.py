"""Secrets are sealed in the database: no dump has them, no other row takes them, keys rotate."""

from __future__ import annotations

import asyncio
import stat
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from tests.support.api_server import serving
from tests.support.contracts.stores_contract import LIMIT, POLICY, committed, new_items
from tests.support.data_folder import provide
from tests.support.picture_server import picture
from tests.support.postgres import FASTER, superuser_at
from tests.support.sealing import KEY, KEYS, OTHER_KEY
from triptych.database.session import Database
from triptych.embedded.binaries import find_binaries
from triptych.embedded.server import EmbeddedPostgres
from triptych.errors import RunActive, SettingsError
from triptych.model import RunKind, RunState
from triptych.runs.run_store import Opened
from triptych.sealing.key_ring import FIELD, KeyRing, SealBroken
from triptych.settings.settings import Settings
from triptych.webhooks.webhook_store import Event, Webhook
from triptych.wiring.doctor import diagnose
from triptych.wiring.local import open_local, run
from triptych.wiring.sealing_keys import FILE, check_keys, count_unsealed, open_keys, seal_all
from triptych.wiring.services import connect
from triptych.wiring.stores import Stores, postgres_stores

QUERY, PASSWORD, TOKEN, WEB = "Q-SECRET-7", "P-SECRET-8", "T-SECRET-9", "W-SECRET-10"
SECRET = b"\x00signs-webhooks-\xff" * 2
SOURCE = f"catalog:https://shop.example/list?api_key={QUERY}"
OTHER_SOURCE = f"catalog:https://me:{PASSWORD}@shop.example/list"
HOOK = f"https://me:{TOKEN}@hooks.example/in?sig={WEB}"
pytestmark = pytest.mark.integration

PLANTED = [
    text
    for secret in (*(s.encode() for s in (QUERY, PASSWORD, TOKEN, WEB)), SECRET)
    for text in (secret, secret.hex().encode(), b64encode(secret).rstrip(b"="))
]
"""Each secret as it is, and as a dump would show it."""


@pytest.fixture
async def database(migrated_dsn: str) -> AsyncIterator[Database]:
    opened = Database(migrated_dsn)
    yield opened
    await opened.close()


@pytest.fixture
def stores(database: Database) -> Stores:
    return postgres_stores(database, run_cap_s=3600, keys=KEYS)


async def open_run(
    stores: Stores, source: str | None, brand: str = "nike", run_id: UUID | None = None
) -> Opened:
    return await stores.runs.open_run(
        brand,
        run_id=run_id or uuid4(),
        kind=RunKind.FULL,
        source=source,
        policy=POLICY,
        enqueue_gather_message=False,
    )


async def hook(stores: Stores, url: str = HOOK) -> Webhook:
    return await stores.webhooks.put_webhook(
        Webhook(uuid4(), url, None, [Event.RUN_COMMITTED]), secret=SECRET
    )


def dump(dsn: str) -> bytes:
    """Return all of a database, as a backup has it."""
    program = find_binaries().program("pg_dump")
    return subprocess.run([program, "--dbname", dsn], check=True, capture_output=True).stdout


def found_in(dumped: bytes) -> list[bytes]:
    return [text for text in PLANTED if text in dumped]


# --- What the database has, and what is made of it ---------------------------------------------


async def test_a_source_is_sealed_and_read_whole(stores: Stores, migrated_dsn: str) -> None:
    opened = (await open_run(stores, SOURCE)).run
    assert opened.source is not None
    assert opened.source.startswith("catalog:https://shop.example/list?sealed=")
    assert (await stores.brands.brand("nike")).source == opened.source
    assert await stores.brands.whole_source("nike", opened.source) == SOURCE
    assert await stores.brands.whole_source("nike", None) is None
    assert await stores.brands.whole_source("nike", "manifest:x") == "manifest:x"
    assert found_in(await asyncio.to_thread(dump, migrated_dsn)) == []


async def test_sources_compare_as_they_did(stores: Stores, database: Database) -> None:
    first = (await open_run(stores, SOURCE)).run
    joined = await open_run(stores, SOURCE)
    assert (joined.run.id, joined.created) == (first.id, False)
    assert (await open_run(stores, first.source)).run.id == first.id
    assert (await open_run(stores, None)).run.id == first.id
    for other in (
        OTHER_SOURCE,
        SOURCE.replace(QUERY, "other"),
        "catalog:https://shop.example/list",
    ):
        with pytest.raises(RunActive) as refused:
            await open_run(stores, other)
        assert QUERY not in str(refused.value)
    assert len(await database.fetch("select from sealed_sources")) == 1, "what was refused is gone"

    elsewhere = (await open_run(stores, SOURCE, "puma")).run
    assert elsewhere.source != first.source, "a brand's own"
    await stores.runs.cancel(first.id)
    later = (await open_run(stores, None)).run
    assert later.source == first.source
    assert await stores.brands.whole_source("nike", later.source) == SOURCE


async def test_a_schedules_source_is_sealed_and_old_ones_go(
    stores: Stores, database: Database
) -> None:
    for source in (SOURCE, OTHER_SOURCE, SOURCE):
        await stores.brands.put_brand("nike", source=source, schedule=None, due_at=None)
        kept = (await stores.brands.brand("nike")).source
        assert await stores.brands.whole_source("nike", kept) == source
    assert len(await database.fetch("select from sealed_sources")) == 1
    await stores.brands.begin_deletion("nike")
    await database.fetch("delete from brands where name = 'nike'")
    assert await database.fetch("select from sealed_sources") == []


async def test_items_have_the_whole_source(stores: Stores) -> None:
    run_id = (await open_run(stores, SOURCE)).run.id
    items = await stores.runs.expect(run_id, new_items(2), cursor=None, limit=LIMIT)
    found = await stores.runs.items(run_id, [item.key for item in items])
    assert {item.source for item in found} == {SOURCE}


async def test_a_webhook_is_sealed_and_delivered(stores: Stores, migrated_dsn: str) -> None:
    made = await hook(stores)
    assert made.url == "https://hooks.example/in?sealed"
    assert [one.url for one in await stores.webhooks.webhooks()] == [made.url]
    await committed(stores)
    (delivery,) = await stores.webhooks.claim_deliveries(limit=9, lease_s=60)
    assert (delivery.url, delivery.secret) == (HOOK, SECRET)
    assert TOKEN not in repr(made)
    assert found_in(await asyncio.to_thread(dump, migrated_dsn)) == []


async def test_what_the_api_is_told_is_in_no_dump(migrated_dsn: str, tmp_path: Path) -> None:
    async with serving(migrated_dsn, tmp_path, fetch_allow="127.0.0.0/8") as api:
        for brand, source in (("nike", SOURCE), ("puma", OTHER_SOURCE)):
            reply = await api("PUT", f"/brands/{brand}", json={"source": source})
            assert reply.status < 300, reply.body
            reply = await api.post(
                f"/brands/{brand}/runs",
                json={"source": source},
                headers={"Idempotency-Key": f"key-{brand}"},
            )
            assert reply.status < 300, reply.body
            assert found_in(reply.body) == []
        reply = await api.post("/brands/nike/runs", json={"source": OTHER_SOURCE})
        assert reply.status == 409, reply.body
        reply = await api.post(
            "/webhooks",
            json={
                "url": HOOK.replace(f"me:{TOKEN}@", ""),
                "events": ["run.committed"],
                "brand": "nike",
            },
        )
        assert reply.status == 201, reply.body
        secret = reply.json["secret"].removeprefix("whsec_").rstrip("=")
    dumped = await asyncio.to_thread(dump, migrated_dsn)
    assert b"nike" in dumped
    assert found_in(dumped) == []
    assert secret.encode() not in dumped


async def test_a_list_behind_a_query_is_gathered(tmp_path: Path) -> None:
    """From the command to the committed snapshot, with the key that the data folder has."""

    async def listed(request: web.Request) -> web.Response:
        if request.query.get("token") != QUERY:
            raise web.HTTPForbidden
        return web.Response(text=f"url\nhttp://{request.host}/1.png\n", content_type="text/csv")

    async def pictured(request: web.Request) -> web.Response:
        return web.Response(body=picture(1), content_type="image/png")

    app = web.Application()
    app.router.add_get("/list.csv", listed)
    app.router.add_get("/1.png", pictured)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    data = tmp_path / "data"
    own = {"data": data, "embedder": "none", "fetch_allow": "127.0.0.0/8"}
    await asyncio.to_thread(provide, data)
    try:
        async with open_local(Settings.load(**own)) as local:
            for broken in ("gone.csv", "1.png", "list.json"):
                source = f"manifest:{base}/{broken}?token={QUERY}"
                lost = await local.wait((await local.submit("puma", source=source)).id)
                assert lost.state is RunState.FAILED
        ended = await run("nike", source=f"manifest:{base}/list.csv?token={QUERY}", **own)
    finally:
        await runner.cleanup()
    async with EmbeddedPostgres(data, extra=FASTER) as server:
        dumped = await asyncio.to_thread(dump, server.dsn)
    assert [line for line in dumped.splitlines() if QUERY.encode() in line] == []
    assert (ended.state, ended.done, ended.reason) == (RunState.COMMITTED, 1, None)
    assert ended.source is not None
    assert QUERY not in ended.source
    key = data / FILE
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    files = [path for path in (data / "postgres").rglob("*") if path.is_file()]
    assert not any(key.read_bytes().strip() in path.read_bytes() for path in files)


# --- What was written before, and other keys ----------------------------------------------------


async def as_before(database: Database) -> tuple[UUID, UUID]:
    """Make rows as earlier releases did: in plain text. Return the run and the webhook."""
    stores = postgres_stores(database, run_cap_s=3600, keys=KEYS)
    run_id = (await open_run(stores, "manifest:x")).run.id
    await open_run(stores, "manifest:x", "puma")
    await database.fetch("update runs set source = $1 where brand = 'nike'", SOURCE)
    await database.fetch("update brands set source = $1 where name = 'nike'", SOURCE)
    await database.fetch("update brands set source = $1 where name = 'puma'", OTHER_SOURCE)
    hook_id = uuid4()
    await database.fetch(
        "insert into webhooks (id, url, secret, events) values ($1, $2, $3, '{run.cancelled}')",
        hook_id,
        HOOK,
        SECRET,
    )
    asked = {"task": "1", "request": {"source": SOURCE, "replace": False}}
    for action in ("start", "put_brand"):
        await database.fetch(
            "insert into audit (actor, action, target, detail) values ('me', $1, 'brand:nike', $2)",
            action,
            asked,
        )
    return run_id, hook_id


async def check_sealed(stores: Stores, run_id: UUID, dsn: str) -> None:
    """Check that all of `as_before` is sealed, and works."""
    assert found_in(await asyncio.to_thread(dump, dsn)) == []
    run = await stores.runs.run(run_id)
    assert await stores.brands.whole_source("nike", run.source) == SOURCE
    assert (await open_run(stores, SOURCE)).run.id == run_id
    puma = (await stores.brands.brand("puma")).source
    assert await stores.brands.whole_source("puma", puma) == OTHER_SOURCE
    await stores.runs.cancel(run_id)
    (delivery,) = await stores.webhooks.claim_deliveries(limit=9, lease_s=60)
    assert (delivery.url, delivery.secret) == (HOOK, SECRET)


async def test_rows_of_earlier_releases_are_sealed_and_counted(
    database: Database, stores: Stores, migrated_dsn: str
) -> None:
    run_id, _ = await as_before(database)
    assert len(found_in(await asyncio.to_thread(dump, migrated_dsn))) >= 5
    assert str(await count_unsealed(database)) == "sources: 2, webhooks: 1, audit: 1"
    with capture_logs() as lines:
        await seal_all(database, KEYS)
        assert not await seal_all(database, KEYS)
    told = [line for line in lines if line["event"] == "secrets_sealed"]
    assert [(line["sources"], line["webhooks"], line["audited"]) for line in told] == [(2, 1, 2)]
    assert not await count_unsealed(database)
    await check_sealed(stores, run_id, migrated_dsn)


class Crash(BaseException):
    """Takes the place of SIGKILL."""


async def test_sealing_that_is_killed_at_any_point_goes_on(
    stores: Stores, database: Database, migrated_dsn: str
) -> None:
    run_id, _ = await as_before(database)
    for left in range(100):
        remaining = left

        def fuse(name: str) -> None:
            nonlocal remaining
            remaining -= 1
            if remaining < 0:
                raise Crash(name)

        dying = Database(migrated_dsn, hook=fuse)
        try:
            await seal_all(dying, KEYS)
            break
        except Crash:
            continue
        finally:
            await dying.close()
    assert 5 < left < 99
    await check_sealed(stores, run_id, migrated_dsn)


async def test_keys_rotate(database: Database, migrated_dsn: str) -> None:
    old = postgres_stores(database, run_cap_s=3600, keys=KeyRing([OTHER_KEY]))
    run_id = (await open_run(old, SOURCE)).run.id
    await old.brands.put_brand("puma", source=OTHER_SOURCE, schedule=None, due_at=None)
    await old.webhooks.put_webhook(
        Webhook(uuid4(), HOOK, None, [Event.RUN_CANCELLED]), secret=SECRET
    )

    # Both open while processes change over, and the same source stays the same.
    both = KeyRing([KEY, OTHER_KEY])
    changing = postgres_stores(database, run_cap_s=3600, keys=both)
    assert (await open_run(changing, SOURCE)).run.id == run_id
    await check_keys(database, both)
    assert (await seal_all(database, both)).sources == 2
    assert not await seal_all(database, both)

    await check_keys(database, KEYS)
    with pytest.raises(SettingsError, match=FIELD):
        await check_keys(database, KeyRing([OTHER_KEY]))
    await check_sealed(postgres_stores(database, run_cap_s=3600, keys=KEYS), run_id, migrated_dsn)


# --- What is wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, OTHER_KEY])
async def test_a_process_without_the_key_does_not_start(
    stores: Stores, migrated_dsn: str, tmp_path: Path, key: str | None
) -> None:
    await open_run(stores, SOURCE)
    settings = Settings.load(database_url=migrated_dsn, data=tmp_path, sealing_key=key)
    with pytest.raises(SettingsError, match=f"^{FIELD}: .*set these sources"):
        async with connect(settings, migrated_dsn):
            pytest.fail("it started")


async def test_without_a_key_no_secret_is_taken(database: Database, migrated_dsn: str) -> None:
    keyless = postgres_stores(database, run_cap_s=3600)
    for work in (open_run(keyless, SOURCE), hook(keyless)):
        with pytest.raises(SettingsError, match=f"{FIELD}: .*no key.*openssl"):
            await work
    assert (await open_run(keyless, "manifest:x")).created
    assert found_in(await asyncio.to_thread(dump, migrated_dsn)) == []


async def test_plain_secrets_without_a_key_are_told(database: Database) -> None:
    await as_before(database)
    with capture_logs() as lines:
        assert await seal_all(database, KeyRing())
    assert [(line["event"], line["setting"]) for line in lines] == [("secrets_unsealed", FIELD)]


@pytest.mark.parametrize(
    "swap",
    [
        # The whole of another brand's source; the readable part of another origin.
        "update sealed_sources s set sealed = o.sealed from sealed_sources o where o.ref <> s.ref",
        "update runs set source = replace(source, 'shop.example', 'mine.example')",
    ],
)
async def test_a_row_that_was_swapped_is_refused(
    stores: Stores, database: Database, swap: str
) -> None:
    run_id = (await open_run(stores, SOURCE)).run.id
    await open_run(stores, OTHER_SOURCE, "puma")
    await database.fetch(swap)
    run = await stores.runs.run(run_id)
    with pytest.raises(SealBroken):
        await stores.brands.whole_source("nike", run.source)


async def test_a_webhook_that_was_swapped_is_disabled_and_others_are_delivered(
    stores: Stores, database: Database
) -> None:
    good, bad = await hook(stores), await hook(stores, "https://mine.example/in")
    await database.fetch(
        "update webhooks set sealed = (select sealed from webhooks where id = $1) where id = $2",
        good.id,
        bad.id,
    )
    await committed(stores)
    with capture_logs() as lines:
        found = await stores.webhooks.claim_deliveries(limit=9, lease_s=60)
    assert [delivery.webhook_id for delivery in found] == [good.id]
    assert [line["event"] for line in lines] == ["webhook_seal_broken"]
    reasons = {one.id: one.reason or "" for one in await stores.webhooks.webhooks()}
    assert "another row" in reasons[bad.id]
    assert reasons[good.id] == ""


# --- The key of a data folder --------------------------------------------------------------------


async def test_one_key_is_made_however_many_begin(tmp_path: Path) -> None:
    settings = Settings.load(data=tmp_path / "data")
    rings = await asyncio.gather(*(open_keys(settings) for _ in range(20)))
    assert len({bytes(ring.ids[0]) for ring in rings}) == 1
    assert [path.name for path in settings.data.iterdir()] == [FILE]
    assert stat.S_IMODE((tmp_path / "data" / FILE).stat().st_mode) == 0o600


async def test_a_key_that_others_can_read_is_told(tmp_path: Path) -> None:
    settings = Settings.load(data=tmp_path / "data")
    await open_keys(settings)
    (settings.data / FILE).chmod(0o644)
    with capture_logs() as lines:
        await open_keys(settings)
    assert [line["event"] for line in lines] == ["sealing_key_open_to_others"]


async def test_a_key_is_fetched_from_secrets_manager(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((await request.json())["SecretId"])
        return web.json_response({"SecretString": f"{KEY},{OTHER_KEY}"})

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{runner.addresses[0][1]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    arn = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:sealing"
    try:
        keys = await open_keys(Settings.load(data=tmp_path, sealing_key=arn))
    finally:
        await runner.cleanup()
    assert keys.ids == KeyRing([KEY, OTHER_KEY]).ids
    assert asked == [arn]
    with pytest.raises(SettingsError, match=FIELD):
        await open_keys(Settings.load(data=tmp_path, sealing_key="arn:aws"))


# --- What `triptych doctor` finds ----------------------------------------------------------------


async def found(settings: Settings, what: str) -> tuple[bool, str]:
    (finding,) = [each for each in await diagnose(settings) if each.what == what]
    return finding.ok, finding.says


async def test_doctor_names_plain_secrets_and_a_superuser(
    database: Database, migrated_dsn: str, tmp_path: Path
) -> None:
    await as_before(database)
    rest = {"data": tmp_path, "embedder": "none", "sealing_key": KEY}
    settings = Settings.load(database_url=migrated_dsn, **rest)
    ok, says = await found(settings, "secrets")
    assert not ok
    assert says.startswith(f"{FIELD}: Secrets are in the database in plain text (sources: 2, ")
    await seal_all(database, KEYS)
    findings = {each.what: each for each in await diagnose(settings)}
    assert findings["secrets"].ok
    role = findings["role"]
    assert (role.ok, role.says) == (True, "triptych owns its schema and can do nothing beyond")
    mighty = Settings.load(database_url=superuser_at(migrated_dsn), **rest)
    ok, says = await found(mighty, "role")
    assert not ok
    assert says.startswith("TRIPTYCH_DATABASE_URL: The role tests is a superuser")
    assert "TRIPTYCH_ADMIN_URL" in says


async def test_doctor_names_a_key_that_others_can_read(tmp_path: Path) -> None:
    settings = Settings.load(data=tmp_path / "data", embedder="none")
    await asyncio.to_thread(provide, settings.data)
    assert (await found(settings, "secrets"))[0]
    (settings.data / FILE).chmod(0o640)
    ok, says = await found(settings, "secrets")
    assert not ok
    assert f"chmod 600 {settings.data / FILE}" in says
