"""Steps that fail are logged with their tracebacks, in most tests of the phase."""

from __future__ import annotations

from tests.support.plain_logs import use_plain_tracebacks

use_plain_tracebacks()
