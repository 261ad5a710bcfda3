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
