"""Functions fetch their secret settings, from Secrets Manager's wire protocol."""

from __future__ import annotations

import json
import re

import pytest
from aws_local.emulator import REGION, Emulator
from aws_local.guard import ROOT

from tests.support.aws import kept_secret as kept
from triptych.aws_lambda.secret_settings import KEPT, secret_settings
from triptych.errors import SettingsError
from triptych.settings.settings import ENV_PREFIX

pytestmark = pytest.mark.aws


async def test_a_whole_secret_and_fields_of_one_are_fetched(aws: Emulator) -> None:
    url = "mongodb+srv://reader:hunter2@db.example/triptych"
    whole = await kept(url)
    fields = await kept(json.dumps({"username": "triptych", "password": "a:b/c", "port": 27017}))
    found = await secret_settings(
        {
            f"{KEPT}READS_URL": whole,
            f"{KEPT}READS_USER": f"{fields}:username::",
            f"{KEPT}READS_PASSWORD": f"{fields}:password::",
            "TRIPTYCH_READS_CA": "/etc/ssl/rds.pem",
            "PATH": "/bin",
        }
    )
    assert found == {"reads_url": url, "reads_user": "triptych", "reads_password": "a:b/c"}
    assert await secret_settings({"PATH": "/bin"}) == {}


async def test_what_cannot_be_fetched_is_named_and_nothing_of_it_repeated(aws: Emulator) -> None:
    arn = await kept(json.dumps({"password": "hunter2", "port": 27017}))
    text = await kept("hunter2, which is no JSON")
    missing = f"arn:aws:secretsmanager:{REGION}:000000000000:secret:missing"
    for place, said in (
        (missing, f"The secret {missing} cannot be fetched"),
        (f"{arn}:username::", f"The secret {arn} has no text under 'username'"),
        (f"{arn}:port::", f"The secret {arn} has no text under 'port'"),
        (f"{text}:password::", f"The secret {text} has no text under 'password'"),
        ("hunter2", "cannot be fetched"),
    ):
        with pytest.raises(SettingsError) as caught:
            await secret_settings({f"{KEPT}READS_PASSWORD": place})
        assert said in str(caught.value), place
        assert "TRIPTYCH_READS_PASSWORD" in str(caught.value)
        assert "hunter2" not in str(caught.value) or place == "hunter2"


def test_the_template_names_them_as_the_function_looks_for_them() -> None:
    (prefix,) = re.findall(
        r'^KEPT = "(\w+)"$', (ROOT / "infra" / "reads.py").read_text(), re.MULTILINE
    )
    assert f"{prefix}{ENV_PREFIX}" == KEPT
