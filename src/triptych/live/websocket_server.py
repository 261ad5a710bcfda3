"""uvicorn's WebSocket protocol with the limits of live status."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from triptych.live.limits import MESSAGE_MAX_BYTES, PING_S, PONG_S
from triptych.live.live_app import CLOSE_EXTENSION, WRITE_EXTENSION

WRITE_BUFFER_BYTES = 64 * 1024
"""Write buffer of one client in this process; it may exceed this by one frame."""
KERNEL_BUFFER_BYTES = 128 * 1024
"""Send buffer of one client in the kernel, which would otherwise let it grow to megabytes."""
ABORT_S = 5.0
"""Seconds after which a closing connection is aborted if its client no longer reads."""
DRAIN_S = 5.0
"""Seconds that a stopping server waits for its clients to read their close frames."""


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol, which also disconnects peers that do not read.

    uvicorn's own close waits forever for a peer that does not read. It also answers pings while
    the write buffer is full, which makes the buffer grow.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Limit how much may be buffered before senders must wait."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        peer: socket.socket | None = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)

    def handle_connect(self, event: Request) -> None:
        """Offer the application extensions to write and to close without ASGI messages."""
        super().handle_connect(event)
        if not self.handshake_complete:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[CLOSE_EXTENSION] = self.close_now
            extensions[WRITE_EXTENSION] = self.write_now

    async def run_asgi(self) -> None:
        """Serve a connection; one that is refused with an HTTP answer is no error.

        uvicorn's would log one for each, and clients decide how many there are.
        """
        app = self.app

        async def answering(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            if self.initial_response is not None and self.close_sent:
                self.handshake_complete = True

        self.app = answering
        await super().run_asgi()

    def write_now(self, frame: bytes) -> bool:
        """Write an encoded frame if the connection is open and writable; return whether it was."""
        conn = self.conn
        if not self.writable.is_set() or conn.state is not State.OPEN or conn.extensions:
            return False
        if self.close_sent or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True

    def close_now(self, code: int, reason: str) -> None:
        """Send a close frame after the buffered data; abort the connection if it is not read."""
        if not self.close_sent and not self.transport.is_closing():
            self.stop_keepalive()
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
        self.loop.call_later(ABORT_S, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """Close a peer that does not answer pings; abort if it does not read the close frame."""
        super().keepalive_timeout()
        self.loop.call_later(ABORT_S, self.transport.abort)

    def handle_ping(self) -> None:
        """Answer a ping, unless the peer has not read what it was sent before."""
        output = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(output)


def server_options() -> dict[str, Any]:
    """Return the options for every uvicorn server that serves ``/ws``."""
    return {
        "ws": BoundedWebSocket,
        "ws_max_size": MESSAGE_MAX_BYTES,
        "ws_ping_interval": PING_S,
        "ws_ping_timeout": PONG_S,
        "ws_per_message_deflate": False,
    }
