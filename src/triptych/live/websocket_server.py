"""uvicorn's WebSocket protocol, with the bounds that live status promises."""

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
"""Of one client, in this process; a frame more may lie in it."""
KERNEL_BUFFER_BYTES = 128 * 1024
"""Of one client, in the kernel, which would let it grow to megabytes."""
ABORT_S = 5.0
"""A closed connection whose client takes nothing more is cut after this."""
DRAIN_S = 5.0
"""For which a stopping server waits until its clients have taken their close frames."""


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol, and an end for peers that do not read.

    uvicorn closes politely, which with a peer that takes nothing waits for ever; and it answers
    pings while the write buffer is full, which grows it.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set how much may wait in this process before senders are held up."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        peer: socket.socket | None = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)

    def handle_connect(self, event: Request) -> None:
        """Offer the application to write to and to close this connection past ASGI."""
        super().handle_connect(event)
        if not self.handshake_complete:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[CLOSE_EXTENSION] = self.close_now
            extensions[WRITE_EXTENSION] = self.write_now

    def write_now(self, frame: bytes) -> bool:
        """Write a whole frame as it is if the connection is open and nothing holds it up."""
        conn = self.conn
        if not self.writable.is_set() or conn.state is not State.OPEN or conn.extensions:
            return False
        if self.close_sent or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True

    def close_now(self, code: int, reason: str) -> None:
        """Send a close frame behind what waits, and cut the connection if it is not taken."""
        if not self.close_sent and not self.transport.is_closing():
            self.stop_keepalive()
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
        self.loop.call_later(ABORT_S, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """Close a peer that does not answer pings; cut it if it does not take that either."""
        super().keepalive_timeout()
        self.loop.call_later(ABORT_S, self.transport.abort)

    def handle_ping(self) -> None:
        """Answer, unless the peer has not taken what it was sent before."""
        output = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(output)


def server_options() -> dict[str, Any]:
    """Return what any uvicorn that serves ``/ws`` is to be configured with."""
    return {
        "ws": BoundedWebSocket,
        "ws_max_size": MESSAGE_MAX_BYTES,
        "ws_ping_interval": PING_S,
        "ws_ping_timeout": PONG_S,
        "ws_per_message_deflate": False,
    }
