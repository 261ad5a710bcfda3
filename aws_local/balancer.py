"""nginx doing the load balancer's routing: Debian's package, unpacked, not installed."""

from __future__ import annotations

import asyncio
import shutil
import string
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from pathlib import Path

from scripts.debian import unpacked

from aws_local.child_server import HOST, free_port
from aws_local.emulator import PYTHON
from aws_local.guard import ROOT, Guard

TEMPLATE = ROOT / "deploy" / "alb.conf.template"
UNPACKED = PYTHON.parents[1] / "nginx"
STOP_S = 10.0
MAIN = string.Template(
    """daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path ${folder}/body;
    proxy_temp_path ${folder}/proxy;
    fastcgi_temp_path ${folder}/fastcgi;
    uwsgi_temp_path ${folder}/uwsgi;
    scgi_temp_path ${folder}/scgi;
    include ${folder}/alb.conf;
}
"""
)


def find_nginx() -> Path:
    """Return nginx: the installed one, or Debian's, fetched once.

    Raises:
        CannotFetch: there is none, and this is no Debian.
    """
    if installed := shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin"):
        return Path(installed)
    return unpacked(["nginx"], UNPACKED) / "usr" / "sbin" / "nginx"


def write_configuration(folder: Path, port: int, api: Sequence[int], live: Sequence[int]) -> Path:
    """Fill in the template that compose.yaml uses, too; return the file to start nginx with."""
    servers = {
        name: " ".join(f"server {HOST}:{each};" for each in ports)
        for name, ports in (("API_SERVERS", api), ("LIVE_SERVERS", live))
    }
    text = TEMPLATE.read_text()
    for name, value in {"LISTEN": f"{HOST}:{port}", **servers}.items():
        text = text.replace(f"${{{name}}}", value)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alb.conf").write_text(text)
    main = folder / "nginx.conf"
    main.write_text(MAIN.substitute(folder=folder))
    return main


class LocalBalancer:
    """A running nginx."""

    def __init__(
        self, folder: Path, *, port: int | None = None, guard: Guard | None = None
    ) -> None:
        self._folder = folder.resolve()
        self._guard = guard
        self.port = port or free_port()
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://{HOST}:{self.port}"

    async def start(self, api: Sequence[int], live: Sequence[int]) -> None:
        """Start it; it answers 502 until there is something behind it."""
        program = await asyncio.to_thread(find_nginx)
        main = write_configuration(self._folder, self.port, api, live)
        self._process = await asyncio.create_subprocess_exec(
            *(str(program), "-p", str(self._folder), "-e", "stderr", "-c", str(main)),
            stdin=DEVNULL,
            stderr=sys.stderr,
            start_new_session=True,
        )
        if self._guard is not None:
            self._guard.watch(self._process.pid)

    async def stop(self) -> None:
        """End it. Safe to repeat."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        await asyncio.wait_for(process.wait(), STOP_S)
