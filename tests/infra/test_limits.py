"""Limits of the template that have to agree with those of the code and of the dashboard."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from infra.sizes import CLIENTS_A_TASK, REQUESTS_A_MINUTE

from triptych.access.authenticator import PICTURES
from triptych.settings.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
FIVE_MINUTES_S = 300


def text(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def number(file: str, name: str) -> int:
    found = re.search(rf"^(?:const )?{name} = ([\d_]+);?$", text(file), re.MULTILINE)
    assert found is not None, f"{file}: {name}"
    return int(found[1])


def default(setting: str) -> float:
    return float(Settings.model_fields[setting].default)


def test_another_live_task_comes_before_one_is_full() -> None:
    assert default("live_clients") >= 2 * CLIENTS_A_TASK


def test_the_firewall_knows_the_pages_of_the_gallery_and_the_paths_of_its_pictures() -> None:
    pager = "dashboard/src/brand/assetPager.svelte.ts"
    assert number("infra/request_limits.py", "PAGE_PICTURES") >= number(pager, "PAGE")
    assert f'PICTURES = "{PICTURES}"' in text("infra/request_limits.py")
    assert f'"/assets/{{asset}}{PICTURES}"' in text("src/triptych/api/content.py")


def test_an_office_with_one_key_is_not_refused_pictures_that_the_firewall_lets_through() -> None:
    limits = "infra/request_limits.py"
    names = ("OFFICE_PEOPLE", "PAGES_EACH", "PAGE_PICTURES")
    people, pages, pictures = (number(limits, name) for name in names)
    assert people * pages * pictures / FIVE_MINUTES_S <= default("api_picture_rate")


def test_an_api_task_is_not_expected_to_do_what_a_key_may_not() -> None:
    requests_s = REQUESTS_A_MINUTE / 60
    assert requests_s <= default("api_rate")


def test_live_tasks_are_scaled_by_a_metric_that_live_processes_write() -> None:
    written = pytest.importorskip("triptych.telemetry.cloudwatch_metrics")
    name = re.search(r'^LIVE_CLIENTS = "(\w+)"$', text("infra/connections.py"), re.MULTILINE)
    assert name is not None
    assert written.exported_names("triptych_live_clients") == [name[1]]
