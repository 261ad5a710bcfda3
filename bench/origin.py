"""The server that pictures are downloaded from: a local nginx, which no contender pays for."""

from __future__ import annotations

import os
import socket
import string
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aws_local.balancer import find_nginx
from aws_local.emulator import HOST, free_port

from bench.lanes import WORK
from bench.pictures import write_pictures

PICTURES = WORK / "pictures"
START_S = 10.0
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
    write_pictures(PICTURES, max(pictures, 1000))
    port = free_port()
    folder = WORK / "nginx"
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.substitute(
            folder=folder,
            host=HOST,
            port=port,
            root=PICTURES,
            # As root it would give up its rights, and with them the sight of this folder.
            user="user root;" if os.geteuid() == 0 else "",
        )
    )
    command = [str(find_nginx()), "-p", str(folder), "-e", "stderr", "-c", str(configuration)]
    process = subprocess.Popen(command)
    try:
        _wait(port, process)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(START_S)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection((HOST, port), 1).close()
        except OSError:
            if time.monotonic() > until or process.poll() is not None:
                raise
            time.sleep(0.02)
        else:
            return


def write_list(path: Path, urls: list[str]) -> Path:
    """Write a CSV of URLs, as img2dataset and our manifests read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["url", *urls]) + "\n")
    return path
