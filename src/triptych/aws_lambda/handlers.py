"""The Lambda handlers, one for each phase, such as ``triptych.aws_lambda.handlers.acquire``.

Each serves one queue through an event source mapping with ReportBatchItemFailures. `dead_letters`
serves the three dead-letter queues, and `sweep` runs on a schedule.
"""

from __future__ import annotations

import logging
import sys

import structlog

from triptych.aws_lambda.function import DeadLetterFunction, PhaseFunction, SweepFunction
from triptych.messages import Phase
from triptych.telemetry.log_urls import hide_in_libraries_lines, hide_in_urls

hide_in_libraries_lines()

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_in_urls,
        structlog.processors.JSONRenderer(),
    ],
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    logger_factory=structlog.WriteLoggerFactory(sys.stderr),
)

gather = PhaseFunction(Phase.GATHER)
acquire = PhaseFunction(Phase.ACQUIRE)
ai = PhaseFunction(Phase.AI)
dead_letters = DeadLetterFunction()
sweep = SweepFunction()
