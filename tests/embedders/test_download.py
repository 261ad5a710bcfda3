"""Models by URL: whole or not at all, once, from where and what the settings say."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.support.model_processes import at_once, fetch_by_url
from tests.support.tiny_clip import DIMENSION, clip, describe, image_tower
from triptych.embedders.download import Place, fetched_model
from triptych.errors import ModelError
from triptych.fetch.guard import AddressGuard
from triptych.settings.settings import Settings
from triptych.wiring.models import open_embedder, open_text_encoder

pytestmark = pytest.mark.integration

LOOPBACK = AddressGuard([ip_network("127.0.0.0/8")])
MIB = 1024 * 1024


class Host:
    """A folder served over HTTP; what is asked for is kept, and answers can be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append(self.path)
                name = self.path.partition("?")[0].rpartition("/")[2]
                path = host.folder / name
                found = (200, path.read_bytes()) if path.is_file() else (404, b"")
                status, headers, body = host.answers.get(name, (found[0], {}, found[1]))
                self.send_response(status)
                for key, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def url(self, name: str = "vision_model.onnx", pin: str | None = None) -> str:
        sha256 = pin or hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
        return f"http://127.0.0.1:{self.server.server_port}/m/{name}?key=secret#sha256={sha256}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    clip(tmp_path / "served")
    served = Host(tmp_path / "served")
    yield served
    served.close()


def fetch(host: Host, folder: Path, url: str | None = None, max_bytes: int = MIB) -> Path:
    return fetched_model(url or host.url(), folder, guard=LOOPBACK, max_bytes=max_bytes)


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*") if path.suffix != ".lock"]


def test_a_clip_by_url_is_fetched_once_with_all_its_files(host: Host, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, embedder=host.url(), fetch_allow="127.0.0.0/8")
    embedder = open_embedder(settings, 1)
    text = open_text_encoder(settings, embedder)
    assert embedder is not None
    assert text is not None
    assert (embedder.dimension, text.dimension) == (DIMENSION, DIMENSION)
    assert sorted(host.asked) == [
        "/m/text_model.onnx?key=secret",
        "/m/tokenizer.json?key=secret",
        "/m/vision_model.onnx.json?key=secret",
        "/m/vision_model.onnx?key=secret",
    ]
    host.close()
    again = open_embedder(settings, 1)
    assert again is not None
    assert again.model == embedder.model
    assert "secret" not in settings.shown()["embedder"]


def test_a_model_without_description_needs_none(host: Host, tmp_path: Path) -> None:
    (host.folder / "vision_model.onnx.json").unlink()
    path = fetch(host, tmp_path / "models")
    assert [file.name for file in path.parent.iterdir()] == ["vision_model.onnx"]


def test_external_data_comes_with_the_model(host: Host, tmp_path: Path) -> None:
    path = image_tower(host.folder / "big.onnx", external="big.onnx_data")
    describe(path, text=None, external_data=["big.onnx_data"])
    settings = Settings(data=tmp_path, embedder=host.url("big.onnx"), fetch_allow="127.0.0.0/8")
    embedder = open_embedder(settings, 1)
    assert embedder is not None
    assert embedder.dimension == DIMENSION


def test_g9_other_content_than_is_pinned_leaves_nothing(host: Host, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not the pinned one") as error:
        fetch(host, tmp_path / "models", host.url(pin="ab" * 32))
    assert "secret" not in str(error.value)
    assert left(tmp_path / "models") == []


@pytest.mark.parametrize("name", ["vision_model.onnx", "text_model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_file_that_is_not_to_be_had_leaves_nothing(
    host: Host, tmp_path: Path, name: str, status: int
) -> None:
    url = host.url()
    host.answers[name] = (status, {}, b"no")
    with pytest.raises(ModelError, match=name) as error:
        fetch(host, tmp_path / "models", url)
    assert "\n" not in str(error.value)
    assert left(tmp_path / "models") == []
    host.answers.clear()
    assert fetch(host, tmp_path / "models", url).is_file(), "and the next try succeeds"


def test_g8_a_file_beyond_the_cap_is_cut_off(host: Host, tmp_path: Path) -> None:
    url = host.url()
    host.answers["text_model.onnx"] = (200, {}, bytes(2 * MIB))
    with pytest.raises(ModelError, match="TRIPTYCH_EMBEDDER_MAX_BYTES"):
        fetch(host, tmp_path / "models", url)
    assert left(tmp_path / "models") == []


def test_a_body_cut_short_leaves_nothing(host: Host, tmp_path: Path) -> None:
    url = host.url()
    host.answers["tokenizer.json"] = (200, {"Content-Length": "1000"}, b"short")
    with pytest.raises(ModelError, match=r"tokenizer\.json\?… cannot be fetched"):
        fetch(host, tmp_path / "models", url)
    assert left(tmp_path / "models") == []


def test_g9_no_address_that_is_not_public_is_reached(host: Host, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not a public address.*TRIPTYCH_FETCH_ALLOW"):
        fetched_model(host.url(), tmp_path, guard=AddressGuard(), max_bytes=MIB)
    assert host.asked == []


def test_g9_no_redirect_leads_to_one_either(host: Host, tmp_path: Path) -> None:
    url = host.url()
    host.answers["vision_model.onnx"] = (302, {"Location": "http://169.254.169.254/x.onnx"}, b"")
    with pytest.raises(ModelError, match="not a public address"):
        fetch(host, tmp_path / "models", url)


def test_redirects_are_followed_and_bounded(host: Host, tmp_path: Path) -> None:
    url = host.url()
    (host.folder / "moved").write_bytes((host.folder / "vision_model.onnx").read_bytes())
    host.answers["vision_model.onnx"] = (302, {"Location": "/m/moved"}, b"")
    assert fetch(host, tmp_path / "models", url).is_file()
    host.answers["moved"] = (302, {"Location": "/m/moved"}, b"")
    with pytest.raises(ModelError, match="redirects"):
        fetch(host, tmp_path / "others", url)


def test_g9_a_description_reaches_no_other_folder(host: Host, tmp_path: Path) -> None:
    describe(host.folder / "vision_model.onnx", external_data=["../../../secret"])
    with pytest.raises(ModelError, match="external_data"):
        fetch(host, tmp_path / "models")
    assert left(tmp_path / "models") == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://x/model.onnx", r"https://, or pin"),
        ("https://x/model.bin", "names no ONNX file"),
        ("https://x/%2e%2e%2fmodel.onnx", "names no ONNX file"),
        ("https:///model.onnx", "TRIPTYCH_EMBEDDER"),
        ("https://a b/model.onnx", "is not a URL"),
        ("https://x:99999/model.onnx", "its port"),
        ("https://x/model.onnx#md5=1", "not a hash"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_clear_line(url: str, says: str) -> None:
    with pytest.raises(ModelError, match=says) as error:
        Place.parse(url)
    assert "\n" not in str(error.value)


def test_an_empty_query_is_no_part_of_the_models_name() -> None:
    place = Place.parse("https://h.example/m/model.onnx?")
    assert (place.name, str(place.url)) == ("model.onnx", "https://h.example/m/model.onnx?")
    assert place.folder.startswith("model-")
    assert str(place.beside("model.onnx.json")) == "https://h.example/m/model.onnx.json?"


def test_a_url_is_sent_as_it_was_written_and_the_others_beside_it() -> None:
    query = "?X-Signature=a%2Bb+c%2f&x=%7E(')"
    place = Place.parse(f"HTTPS://Bücher.example:443/m/./model.onnx{query}#sha256={'a' * 64}")
    assert str(place.url) == f"https://xn--bcher-kva.example/m/model.onnx{query}".replace(
        "'", "%27"
    )
    assert str(place.beside("weights.bin")) == str(place.url).replace("model.onnx", "weights.bin")
    assert str(Place.parse("s3://bucket/a b/model.onnx").url) == "s3://bucket/a%20b/model.onnx"


def test_several_processes_at_once_fetch_once(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / f".{Place.parse(host.url()).folder}.killed").mkdir()
    at_once(fetch_by_url, host.url(), str(folder))
    assert len(host.asked) == 4
    assert left(folder) == [Place.parse(host.url()).folder], "what was killed is cleared away"


def test_a_model_in_a_bucket(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{host.server.server_port}")
    for name, value in {
        "AWS_ALLOW_HTTP": "true",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    url = "s3://bucket/some/vision_model.onnx"
    host.answers["vision_model.onnx.json"] = (404, {}, b"")
    path = fetch(host, tmp_path / "models", url)
    assert path.read_bytes() == (host.folder / "vision_model.onnx").read_bytes()
    assert host.asked[-1] == "/bucket/some/vision_model.onnx"
    with pytest.raises(ModelError, match=r"There is no s3://bucket/some/absent\.onnx"):
        fetch(host, tmp_path / "models", "s3://bucket/some/absent.onnx")
