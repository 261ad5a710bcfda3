"""The functions that Lambda calls, one a phase: ``triptych.aws_lambda.handlers.acquire`` and so on.

Each serves one queue by an event source mapping with ReportBatchItemFailures; `dead_letters` serves
the three dead-letter queues, and `sweep` a schedule.
"""

from __future__ import annotations

import logging
import sys

import structlog

from triptych.aws_lambda.function import DeadLetterFunction, PhaseFunction, SweepFunction
from triptych.workers.worker import Phase

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ],
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    logger_factory=structlog.PrintLoggerFactory(sys.stderr),
)

gather = PhaseFunction(Phase.GATHER)
acquire = PhaseFunction(Phase.ACQUIRE)
ai = PhaseFunction(Phase.AI)
dead_letters = DeadLetterFunction()
sweep = SweepFunction()
