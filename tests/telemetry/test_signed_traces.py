"""Traces to CloudWatch are signed with the process's role; to others they are not."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from triptych.telemetry.signed_traces import region_of, signed_session
from triptych.telemetry.tracing import span, tracing

ENDPOINT = "https://xray.eu-central-1.amazonaws.com/v1/traces"


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        (ENDPOINT, "eu-central-1"),
        ("https://xray.cn-north-1.amazonaws.com.cn/v1/traces", "cn-north-1"),
        ("http://xray.eu-central-1.amazonaws.com/v1/traces", None),
        ("https://xray.eu-central-1.amazonaws.com.example.com/v1/traces", None),
        ("http://collector:4318/v1/traces", None),
    ],
)
def test_only_requests_to_cloudwatch_are_signed(endpoint: str, region: str | None) -> None:
    assert region_of(endpoint) == region


def prepared() -> requests.PreparedRequest:
    session = signed_session("eu-central-1")
    request = requests.Request(
        "POST", ENDPOINT, data=b"spans", headers={"Content-Type": "application/x-protobuf"}
    )
    return session.prepare_request(request)


def test_a_request_has_the_signature_of_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    headers = {name: str(value) for name, value in prepared().headers.items()}
    scope = "/eu-central-1/xray/aws4_request"
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert scope in headers["Authorization"]
    assert (
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token"
        in (headers["Authorization"])
    )
    assert headers["X-Amz-Security-Token"] == "token"
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["Content-Length"] == "5"


def test_without_credentials_a_request_goes_out_unsigned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    assert "Authorization" not in prepared().headers


@pytest.mark.integration
def test_spans_arrive_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    got: list[tuple[str | None, bytes]] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.headers["Authorization"], body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            endpoint = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
            session = signed_session("eu-central-1")
            exporter = OTLPSpanExporter(endpoint=endpoint, session=session)
            with tracing(None, role="test", exporter=exporter), span("one"):
                pass
        finally:
            server.shutdown()
            thread.join()
    ((authorization, body),) = got
    assert authorization is not None
    assert "/eu-central-1/xray/aws4_request" in authorization
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    assert [each.name for each in resource.scope_spans[0].spans] == ["one"]
