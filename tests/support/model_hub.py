"""A hub of models on this machine, in the layout of the Hugging Face Hub, and a model on it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from tests.support.tiny_clip import DESCRIPTION, DIMENSION, clip
from triptych.embedders.description import Description
from triptych.embedders.known_models import KnownFile, KnownModel

REPOSITORY = "tests/tiny-clip-ONNX"
REVISION = "0123456789abcdef0123456789abcdef01234567"
CONTENT = "/content/"
"""Where large files are redirected to, as the Hub does with those in LFS."""


class Hub:
    """Serves ``/{repository}/resolve/{revision}/{path}``; answers can be changed."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut: set[str] = set()
        """Paths whose answer ends in the middle."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = unquote(self.path)
                hub.asked.append(path)
                direct = path.startswith(CONTENT)
                body = hub.files.get(path.removeprefix(CONTENT) if direct else path)
                if body is None:
                    self.send_error(404)
                elif not direct and path.endswith(".onnx"):
                    self.send_response(302)
                    self.send_header("Location", f"{CONTENT}{path}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    whole = path.removeprefix(CONTENT) not in hub.cut
                    self.wfile.write(body if whole else body[: len(body) // 2])

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def path(self, model: KnownModel, file: KnownFile) -> str:
        return f"/{model.repository}/resolve/{model.revision}/{file.path}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@contextmanager
def tiny_hub(made: Path) -> Iterator[tuple[Hub, KnownModel]]:
    """Yield a hub that has one model, a tiny CLIP whose files are made in ``made``."""
    clip(made)
    image, *others = (
        KnownFile(path, hashlib.sha256(content).hexdigest(), len(content))
        for path, content in (
            ("onnx/vision_model.onnx", (made / "vision_model.onnx").read_bytes()),
            ("onnx/text_model.onnx", (made / "text_model.onnx").read_bytes()),
            ("tokenizer.json", (made / "tokenizer.json").read_bytes()),
        )
    )
    model = KnownModel(
        name="tiny-clip",
        what="tests",
        repository=REPOSITORY,
        revision=REVISION,
        image=image,
        others=tuple(others),
        description=Description.model_validate(DESCRIPTION),
        dimension=DIMENSION,
        licence="CC0-1.0",
    )
    hub = Hub()
    for file in model.files:
        hub.files[hub.path(model, file)] = (made / file.name).read_bytes()
    try:
        yield hub, model
    finally:
        hub.close()


def with_other_hash(model: KnownModel, name: str) -> KnownModel:
    """Return the model with a wrong pin for one of its files."""
    changed = [
        replace(file, sha256="ab" * 32) if file.name == name else file for file in model.files
    ]
    return replace(model, image=changed[0], others=tuple(changed[1:]))
