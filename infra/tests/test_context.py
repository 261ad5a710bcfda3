"""What a deployer may say: every key is known, documented and taken by `make deploy`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.profiles import KEYS, Choices
from infra.tests.conftest import CONTEXT


@pytest.mark.parametrize("typo", ["profil", "sourcebuckets", "Egress", "oidc_client"])
def test_a_key_that_nobody_knows_is_refused_with_those_that_are(typo: str) -> None:
    with pytest.raises(ValueError, match=f"^{typo}: is not known; known are profile, .*operators"):
        Choices.read({**CONTEXT, typo: "x"})


def test_a_typo_on_the_command_line_is_refused_and_the_cdks_own_keys_are_not(
    tmp_path: Path,
) -> None:
    from infra.app import build

    own = {"aws:cdk:enable-asset-metadata": True, "@aws-cdk/core:x": True}
    with pytest.raises(ValueError, match=r"^souce: is not known"):
        build({**CONTEXT, **own, "souce": "manifest:x"}, outdir=str(tmp_path))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"idle": "yes"}, "idle: must be true or false"),
        (
            {"domain": "https://triptych.example"},
            "domain: 'https://triptych.example' is not a host name",
        ),
        ({"domain": "triptych.example/"}, "domain: "),
        ({"source_token_for": "https://a.example"}, "source_token: is missing"),
        ({"source": "manifest:s3://lists/a.csv"}, "source: s3://lists/a.csv is in no bucket"),
        ({"acquire_gpu": "1"}, "acquire_gpu: must be true or false"),
        ({"acquire_gpu": "true", "workers": "lambda"}, "acquire_gpu: functions have no GPU"),
        (
            {"source": "manifest:s3://lists/abc/a.csv", "source_buckets": "s3://lists/ab"},
            "source: s3://lists/abc/a.csv is in no bucket",
        ),
    ],
)
def test_what_would_deploy_something_else_is_named(given: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(named)}"):
        Choices.read({**CONTEXT, **given})


def test_switches_and_sources_that_are_right_are_taken() -> None:
    assert Choices.read({**CONTEXT, "idle": True}).idle
    assert not Choices.read({**CONTEXT, "idle": "false"}).idle
    assert Choices.read({**CONTEXT, "domain": "a.b-c.xn--p1ai"}).domain == "a.b-c.xn--p1ai"
    for buckets in ("s3://lists", "s3://lists/ab", "s3://other,s3://lists/ab/a.csv"):
        source = "manifest:s3://lists/ab/a.csv"
        chosen = Choices.read({**CONTEXT, "source": source, "source_buckets": buckets})
        assert chosen.source == source


def test_every_key_is_in_the_guide_and_taken_by_make_deploy() -> None:
    root = Path(__file__).resolve().parents[2]
    guide = (root / "docs" / "guides" / "aws.md").read_text()
    script = (root / "scripts" / "deploy.sh").read_text()
    table = {
        line.split("`")[1]
        for line in guide.partition("| context | |")[2].partition("\n\n")[0].splitlines()
        if line.startswith("| `")
    }
    assert table == set(KEYS)
    assert [key for key in KEYS if not re.search(rf"\b{key}\b", script)] == []
