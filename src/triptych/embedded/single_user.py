"""Postgres in single-user mode: the only way in for the superuser, while no server runs.

https://www.postgresql.org/docs/current/app-postgres.html#APP-POSTGRES-SINGLE-USER
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence

from triptych.embedded.cluster import Cluster
from triptych.embedded.errors import PostgresServerError
from triptych.embedded.postmaster import PARAMETERS, ServerLog, is_blocked
from triptych.embedded.waits import Say, Wait

LIMIT_S = 300.0
"""Seconds that a session may take; a recovery after a crash, which comes first, is most of them."""
LOOK_EVERY_S = 0.2
END = ";\n\n"
"""What ends a statement, so that one may have several lines."""


class SingleUser:
    """Sessions of the superuser on one cluster, on which no server may run meanwhile."""

    def __init__(
        self, cluster: Cluster, log: ServerLog, *, extra: Mapping[str, str], say: Say
    ) -> None:
        """Nothing is run yet.

        Args:
            cluster: whose data it is.
            log: where Postgres writes what went wrong.
            extra: parameters that override `PARAMETERS`.
            say: shows what is waited for.
        """
        self.cluster = cluster
        self._log = log
        self._extra = extra
        self._say = say

    def run(self, database: str, statements: Sequence[str]) -> str:
        """Run statements in a database; return what was printed. Blocks.

        The first statement that fails ends the session. A transaction that is open then is rolled
        back, as it is when this process or Postgres is killed.

        Args:
            database: its name.
            statements: without their last semicolon, and without `END` inside.

        Raises:
            PostgresServerError: a statement failed, or the session took longer than `LIMIT_S`.
        """
        text = "".join(f"{statement}{END}" for statement in statements)
        wait = Wait("for Postgres to recover and to set its roles", LIMIT_S, self._say)
        while True:
            code, printed = self._session(database, text, wait)
            if code == 0:
                return printed
            said = self._log.complaint()
            if not is_blocked(said) or not wait.goes_on():
                raise self._failed(f"Postgres cannot set its roles: {said}")
            time.sleep(LOOK_EVERY_S)

    def _session(self, database: str, text: str, wait: Wait) -> tuple[int, str]:
        """Run one; return its exit code and what it printed."""
        program = self.cluster.binaries.program("postgres")
        output = self._log.open()
        try:
            with self.cluster.entered() as (place, how):
                process = subprocess.Popen(
                    [program, "--single", "-D", place, *self._flags(), "-j", database],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                    **how,
                )
            with process:
                return self._finish(process, text, wait)
        except OSError as error:
            raise PostgresServerError(f"{program} cannot be run ({error}).") from error
        finally:
            os.close(output)

    def _flags(self) -> list[str]:
        own = {
            # The next start recognises it by this and ends it, if this process is killed.
            "cluster_name": self.cluster.name,
            "exit_on_error": "on",
            "log_min_messages": "fatal",
            # The application owns other schemas: what it put there must not be called from here.
            "search_path": "pg_catalog",
        }
        parameters = {**PARAMETERS, **self._extra, **own}
        return [part for name, value in parameters.items() for part in ("-c", f"{name}={value}")]

    def _finish(self, process: subprocess.Popen[str], text: str, wait: Wait) -> tuple[int, str]:
        given: str | None = text
        while True:
            try:
                printed, _ = process.communicate(given, timeout=LOOK_EVERY_S)
            except subprocess.TimeoutExpired as late:
                given = None  # The rest of it is sent by the next call.
                if not wait.goes_on():
                    process.kill()
                    raise self._failed(
                        f"Postgres did not set its roles within {LIMIT_S:.0f} s."
                    ) from late
            else:
                return process.returncode, printed

    def _failed(self, problem: str) -> PostgresServerError:
        return PostgresServerError(problem, remedy=f"Its log is {self._log.path}.")
