"""uvicorn's HTTP protocol with limits on what a client may send before anybody knows who it is.

uvicorn bounds neither the head of a request, nor how long it takes, nor connections: a client
without a key could fill the memory with headers, or take all file descriptors by half requests.
"""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Callable
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX_BYTES = 32 * 1024
"""Request line and headers. Of a head that comes in one piece with an earlier request's body, what
is in that piece is counted when it is complete."""
LINE_BYTES = 4
"""Of a header beside its name and value: the colon, the blank and the line break."""
HEAD_S = 10.0
"""Seconds from the connection, or the first byte of a later request, to the end of its headers."""
BODY_CHECK_S = 10.0
BODY_MIN_BYTES_PER_S = 1024
"""Least rate of a body, over `BODY_CHECK_S`, while the application is ready to take it."""
CONNECTIONS_MAX = 4096
"""Of one server, WebSockets included; and at most half of the process's file descriptors."""
RETRY_AFTER_S = 5


def connections_max() -> int:
    """Return how many connections this process takes."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS_MAX if descriptors < 0 else min(CONNECTIONS_MAX, descriptors // 2)


def allow_connections() -> None:
    """Raise this process's limit of file descriptors for so many connections, as far as it may."""
    descriptors, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS_MAX if most < 0 else min(2 * CONNECTIONS_MAX, most)
    if 0 <= descriptors < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class BoundedHttp(HttpToolsProtocol):
    """A connection whose client is refused (408, 431, 503) and disconnected at a limit."""

    _begun = 0
    """Requests of which a byte has come."""
    _in_head = False
    _head_bytes = 0
    _body_bytes = 0
    """Since the last check."""
    _ended = False
    """The client was refused, or the connection is a WebSocket now."""
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > connections_max():
            self._refuse(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"This server has {connections_max()} connections already.",
                f"retry-after: {RETRY_AFTER_S}\r\n",
            )
            return
        self._arm(HEAD_S, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the limits with the connection."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and refuse a head that is still not complete at its limit."""
        if self._ended:
            return
        begun = self._begun
        super().data_received(data)
        self._watch(len(data), same_request=self._begun == begun)

    def on_message_begin(self) -> None:
        """Begin to count a request's head."""
        super().on_message_begin()
        self._begun += 1
        self._in_head, self._head_bytes = True, 0
        if self._timer is None:
            self._arm(HEAD_S, self._head_is_late)

    def on_headers_complete(self) -> None:
        """Give a request to the application, if its head is within the limit."""
        self._in_head = False
        self._disarm()
        lines = sum(len(name) + len(value) + LINE_BYTES for name, value in self.headers)
        self._head_bytes = len(self.url) + lines
        if self._check_head():
            super().on_headers_complete()
            self._body_bytes = 0
            self._arm(BODY_CHECK_S, self._check_body)

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of a body."""
        if not self._ended:
            self._body_bytes += len(body)
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if not self._ended:
            self._disarm()
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, without the limits of HTTP."""
        self._disarm()
        if not self._ended:
            self._ended = True
            super().handle_websocket_upgrade()

    def _watch(self, received: int, *, same_request: bool) -> None:
        """Count what has come of a head, and limit the wait for the rest."""
        if self._ended:
            return
        if self._in_head and same_request:
            self._head_bytes += received
            self._check_head()
        elif self._timer is None and not self._at_work:
            # No request: line breaks before the next one.
            self._arm(HEAD_S, self._head_is_late)

    @property
    def _at_work(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _check_head(self) -> bool:
        if self._head_bytes > HEAD_MAX_BYTES:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"A request's address and headers have at most {HEAD_MAX_BYTES} bytes together.",
            )
        return not self._ended

    def _head_is_late(self) -> None:
        self._timer = None
        if self._at_work:
            # A pipelined request's; the answer before it is not cut.
            self._arm(HEAD_S, self._head_is_late)
        else:
            self._refuse(
                HTTPStatus.REQUEST_TIMEOUT, f"A request's headers come within {HEAD_S:g} seconds."
            )

    def _check_body(self) -> None:
        self._timer = None
        waits = self.flow.read_paused or self.cycle.waiting_for_100_continue
        slow = self._body_bytes < BODY_MIN_BYTES_PER_S * BODY_CHECK_S
        if self.cycle.more_body and not self.cycle.response_complete:
            if slow and not waits:
                self._refuse(
                    HTTPStatus.REQUEST_TIMEOUT,
                    f"A body comes with at least {BODY_MIN_BYTES_PER_S} bytes a second.",
                )
            else:
                self._body_bytes = 0
                self._arm(BODY_CHECK_S, self._check_body)

    def _refuse(self, status: HTTPStatus, detail: str, header: str = "") -> None:
        """Answer with a problem (RFC 9457), unless an answer has begun, and disconnect."""
        self._ended = True
        self._disarm()
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = _problem(status, detail)
            self.transport.write(
                f"HTTP/1.1 {status.value} {status.phrase}\r\n{header}"
                f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
                "connection: close\r\n\r\n".encode("ascii")
                + body
            )
        self.transport.close()

    def _arm(self, seconds: float, then: Callable[[], None]) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, then)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _problem(status: HTTPStatus, detail: str) -> bytes:
    """Return a problem in the form of the API's, which has not seen the request."""
    reason = status.phrase.lower().replace(" ", "-")
    return json.dumps(
        {
            "type": f"urn:triptych:problem:{reason}",
            "title": f"{status.phrase}.",
            "status": status.value,
            "detail": detail,
            "reason": reason,
        }
    ).encode("ascii")
