"""The server that pictures are downloaded from: a local nginx, which no contender pays for."""

from __future__ import annotations

import os
import string
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from aws_local.balancer import find_nginx
from aws_local.child_server import free_port

from bench.paths import WORK
from bench.pictures import write_pictures
from bench.program import HOST, until_listening

PICTURES = WORK / "pictures"
FILES_MIN = 1000
"""So many `/many/` needs."""
STOP_S = 10.0
CONFIGURATION = string.Template(
    """daemon off;
$user
worker_processes 1;
pid $folder/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    keepalive_timeout 300s;
    types { image/jpeg jpg; }
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    server {
        listen $host:$port backlog=4096;
        root $root;
        # More URLs than there are files: all with the same last three digits are one file.
        location ~ "^/many/[0-9]*?([1-9][0-9]{0,2}|0)\\.jpg$$" { try_files /$$1.jpg =404; }
    }
}
"""
)


@contextmanager
def origin(pictures: int) -> Iterator[str]:
    """Serve ``/<number>.jpg`` up to ``pictures`` and ``/many/<any number>.jpg``; yield its URL."""
    write_pictures(PICTURES, max(pictures, FILES_MIN))
    folder, port = WORK / "nginx", free_port()
    folder.mkdir(parents=True, exist_ok=True)
    # As root it would give up its rights, and with them the sight of this folder.
    user = "user root;" if os.geteuid() == 0 else ""
    given = {"folder": folder, "host": HOST, "port": port, "root": PICTURES, "user": user}
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.substitute(given))
    process = subprocess.Popen([find_nginx(), "-p", folder, "-e", "stderr", "-c", configuration])
    try:
        until_listening(port, lambda: process.poll() is None)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(STOP_S)


def write_list(name: str, urls: Iterable[str]) -> str:
    """Write a CSV of URLs, as img2dataset and our manifests read it; return its path."""
    path = WORK / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["url", *urls]) + "\n")
    return str(path)
