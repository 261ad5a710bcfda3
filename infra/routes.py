"""Which requests the balancer leads where, and from which it wants a sign-in. No CDK is needed.

Without an identity provider there is one rule: live status has its paths. With one, pages without
a session are redirected to the provider, and scripts and WebSockets get 401, because they cannot
follow a redirect to another site. Requests with an API key need no session: the application checks
the key, as it always does.
"""

from __future__ import annotations

from dataclasses import dataclass

API, LIVE = "api", "live"
AUTHENTICATE, DENY = "authenticate", "deny"
"""What the balancer does with a request without a session: redirect it, or answer 401."""
LIVE_PATHS = ("/ws", "/ws/*")
HEALTH_PATHS = ("/healthz", "/readyz")
"""Of monitors outside; target groups ask the tasks themselves, past all rules."""
KEY_HEADER = ("Authorization", "Bearer *")
KEY_SUBPROTOCOL = ("Sec-WebSocket-Protocol", "*triptych.key.*")
"""A browser's WebSocket names its key there: `triptych.access.authenticator.KEY_SUBPROTOCOL`."""
NAVIGATES = ("Sec-Fetch-Mode", "navigate")
"""A person follows a link, and so can sign in (W3C Fetch Metadata)."""


@dataclass(frozen=True)
class Rule:
    """One rule of the listener. All of its conditions have to hold."""

    name: str
    priority: int
    """Rules are tried from the lowest on; the listener's default comes last."""
    target: str
    """`API` or `LIVE`."""
    paths: tuple[str, ...] = ()
    """Patterns of which one has to match, with `*` and `?`; none: any path."""
    header: tuple[str, str] | None = None
    """Name and pattern; patterns of headers are not case-sensitive."""
    unauthenticated: str | None = None
    """`AUTHENTICATE` or `DENY`; None: the request needs no session."""


BY_KEY = (Rule("Live", 10, LIVE, LIVE_PATHS),)
"""Without an identity provider. All else is the API's, by default."""
BY_SIGN_IN = (
    Rule("Health", 1, API, HEALTH_PATHS),
    Rule("LiveKey", 2, LIVE, LIVE_PATHS, KEY_HEADER),
    Rule("LiveSubprotocol", 3, LIVE, LIVE_PATHS, KEY_SUBPROTOCOL),
    Rule("Key", 4, API, header=KEY_HEADER),
    Rule("ApiPage", 5, API, ("/api/*",), NAVIGATES, AUTHENTICATE),
    # A script cannot follow a redirect to another site. The dashboard then offers to sign in.
    Rule("ApiSession", 6, API, ("/api/*",), unauthenticated=DENY),
    Rule("Live", 10, LIVE, LIVE_PATHS, unauthenticated=DENY),
)
"""With an identity provider. All else is the API's, by default, after `AUTHENTICATE`."""
