"""MiniStack: SQS, S3, CloudWatch and more over their real wire protocols, on loopback.

It pins botocore, so it has an environment of its own, `.venv-emulator`. How it differs from AWS is
told in docs/guides/aws.md.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Mapping, Sequence

from aws_local.child_server import HOST, ChildServer
from aws_local.guard import ROOT

PYTHON = ROOT / ".venv-emulator" / "bin" / "python"
REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


class Emulator(ChildServer):
    """The emulator; its state is in memory and ends with it."""

    name = "Emulator"

    @property
    def endpoint(self) -> str:
        """Return its address, for ``AWS_ENDPOINT_URL``."""
        return f"http://{HOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Return what makes AWS' own libraries, and obstore, use it."""
        return {
            **CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def command(self) -> Sequence[str]:
        """Return its program: a module of its own environment."""
        return [str(PYTHON), "-m", "ministack"]

    def variables(self) -> Mapping[str, str]:
        """Return its settings, and nothing that this process has by chance."""
        return {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(self.folder),
            "BIND_HOST": HOST,
            "MINISTACK_HOST": HOST,
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
        }

    def answers(self) -> bool:
        """Ask for its health."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=1):
                return True
        except OSError:
            return False
