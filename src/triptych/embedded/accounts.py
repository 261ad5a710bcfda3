"""Which of the operating system's accounts the embedded Postgres runs as, and which it lets in."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from triptych.embedded.errors import PostgresServerError

DEFAULT_ACCOUNTS = ("postgres", "nobody")
"""Accounts that root runs the server as by default: the first that exists."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's account that the server runs as."""

    name: str
    uid: int
    gid: int

    @classmethod
    def choose(cls, wanted: str | None, folder: Path) -> Self:
        """Return this process's own account, or, as root, an unprivileged one.

        Root's choice is ``wanted``, else the owner of the existing cluster, else the first
        of `DEFAULT_ACCOUNTS`.

        Raises:
            PostgresServerError: there is no such account, or it may not be used.
        """
        if os.geteuid() != 0:
            own = cls._look_up(os.geteuid())
            if wanted not in {None, own.name}:
                raise PostgresServerError(
                    f"{own.name} cannot run Postgres as {wanted}.", remedy="Only root can."
                )
            return own
        if wanted is not None:
            chosen = cls._look_up(wanted)
        elif folder.is_dir() and (owner := folder.stat()).st_uid != 0:
            chosen = cls(f"user id {owner.st_uid}", owner.st_uid, owner.st_gid)
        else:
            known = {entry.pw_name for entry in pwd.getpwall()}
            chosen = cls._look_up(next((n for n in DEFAULT_ACCOUNTS if n in known), "nobody"))
        if chosen.uid == 0:
            raise PostgresServerError("Postgres does not run as root.", remedy="Name another user.")
        return chosen

    @classmethod
    def _look_up(cls, who: str | int) -> Self:
        try:
            entry = pwd.getpwnam(who) if isinstance(who, str) else pwd.getpwuid(who)
        except KeyError as error:
            raise PostgresServerError(
                f"This system has no account {who}.",
                remedy="Postgres needs one in /etc/passwd; or set TRIPTYCH_DATABASE_URL to a "
                "server that runs elsewhere.",
            ) from error
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)

    @staticmethod
    def own_name() -> str:
        """Return the name of this process's account, which the server lets in.

        Raises:
            PostgresServerError: it has none.
        """
        return Account._look_up(os.geteuid()).name

    @property
    def is_self(self) -> bool:
        """True if it is the account of this process."""
        return self.uid == os.geteuid()
