"""Addresses of services in the settings, parsed as browsers parse URLs."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from triptych.client.client import server_url
from triptych.errors import SettingsError
from triptych.settings.settings import Settings
from triptych.snapshots.reports.contents import Contents
from triptych.wiring.outbound import open_summary
from triptych.wiring.web_server import _balancer

ASKED = "a%2Bb+c"


@pytest.mark.integration
@pytest.mark.parametrize("end", ["", "/", f"?api-version={ASKED}", f"/?api-version={ASKED}"])
async def test_a_summary_is_asked_for_below_the_address_with_its_query(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.json_response({"choices": [{"message": {"content": "Blue."}}]})

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        settings = Settings.load(
            data=tmp_path,
            fetch_allow="127.0.0.0/8",
            summary_url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1{end}",
        )
        async with open_summary(settings) as summarise:
            assert summarise is not None
            monkeypatch.setattr("triptych.snapshots.reports.summary.facts", lambda _: {})
            assert await summarise(Contents.__new__(Contents)) == "Blue."
    finally:
        await runner.cleanup()
    assert asked == ["/v1/chat/completions" + end.lstrip("/")]


async def test_what_is_no_address_is_refused_by_the_name_of_its_setting(tmp_path: Path) -> None:
    settings = Settings.load(data=tmp_path, summary_url="https://a b/v1")
    with pytest.raises(SettingsError) as refused:
        async with open_summary(settings):
            pass
    assert refused.value.field == "TRIPTYCH_SUMMARY_URL"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://Bücher.example", "https://xn--bcher-kva.example/"),
        ("http://127.0.0.1:8321/", "http://127.0.0.1:8321/"),
        ("HTTP:\\\\0x7f.1:80", "http://127.0.0.1/"),
        ("http://[::1]:8321", "http://[::1]:8321/"),
    ],
)
def test_a_servers_address_is_read_as_browsers_read_it(text: str, url: str) -> None:
    assert str(server_url(text)) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "ftp://x",
        "https://x/a",
        "https://x?a",
        "https://x#a",
        "https://u@x",
        "http://a b",
    ],
)
def test_what_is_no_servers_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="not the address of a server"):
        server_url(text)


@pytest.mark.parametrize("text", ["https://a b/{kid}", "https://keys:99999/{kid}"])
def test_a_balancers_keys_are_at_a_url(text: str, tmp_path: Path) -> None:
    settings = Settings.load(
        data=tmp_path, oidc_signer="arn:x", oidc_issuer="https://issuer", oidc_keys_url=text
    )
    with pytest.raises(SettingsError) as refused:
        _balancer(settings)
    assert refused.value.field == "TRIPTYCH_OIDC_KEYS_URL"
