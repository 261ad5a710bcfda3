"""Linters of templates find nothing but what was reviewed, in everything that can be chosen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.acknowledged import (
    CHECKOV,
    CHECKOV_FOR_PUBLIC,
    CHECKOV_FOR_TRYING,
    CHECKOV_FOR_TRYING_DOCUMENTDB,
)

SHAPES: dict[str, dict[str, str]] = {
    "prod": {},
    "dev": CHECKOV_FOR_TRYING,
    "chosen": CHECKOV_FOR_PUBLIC,
    "documentdb": {},
    "trying_documentdb": {**CHECKOV_FOR_TRYING, **CHECKOV_FOR_TRYING_DOCUMENTDB},
    "external": CHECKOV_FOR_PUBLIC,
}
"""By their fixtures, what checkov finds besides in each."""


@pytest.mark.parametrize("shape", SHAPES)
def test_cfn_lint_finds_no_errors(request: pytest.FixtureRequest, shape: str) -> None:
    file: Path = request.getfixturevalue(shape).file
    lint = Path(sys.executable).with_name("cfn-lint")
    found = subprocess.run(
        [str(lint), "--non-zero-exit-code", "error", "-t", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("shape", SHAPES)
def test_checkov_finds_what_was_reviewed_and_nothing_else(
    request: pytest.FixtureRequest, shape: str
) -> None:
    file: Path = request.getfixturevalue(shape).file
    found = subprocess.run(
        [
            *(sys.executable, str(Path(sys.executable).with_name("checkov"))),
            *("--framework", "cloudformation", "--skip-download", "-o", "json", "-f", str(file)),
        ],
        capture_output=True,
        check=False,
    )
    report = json.loads(found.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 300
    failed = {finding["check_id"] for finding in report["results"]["failed_checks"]}
    assert failed == (CHECKOV | SHAPES[shape]).keys()
