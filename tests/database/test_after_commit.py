"""What a transaction has called once it is committed: once, and not if it was rolled back."""

from __future__ import annotations

from functools import partial

import asyncpg
import pytest

from triptych.database.session import Database, Transaction


class Stopped(Exception):
    """Ends a transaction."""


async def test_calls_follow_the_commit_in_their_order(migrated_dsn: str) -> None:
    seen: list[str] = []
    database = Database(migrated_dsn, hook=seen.append)

    async def work(tx: Transaction) -> str:
        tx.after_commit(lambda: seen.append("first"))
        tx.after_commit(lambda: seen.append("second"))
        seen.append("work")
        assert tx.seconds >= 0
        return "answer"

    try:
        assert await database.transact(work) == "answer"
    finally:
        await database.close()
    assert seen == ["work", "commit", "committed", "first", "second"]


async def test_nothing_is_called_for_what_was_rolled_back(migrated_dsn: str) -> None:
    seen: list[str] = []
    database = Database(migrated_dsn)

    async def work(tx: Transaction) -> None:
        tx.after_commit(lambda: seen.append("called"))
        raise Stopped

    try:
        with pytest.raises(Stopped):
            await database.transact(work)
    finally:
        await database.close()
    assert seen == []


async def test_a_transaction_that_is_repeated_calls_once(migrated_dsn: str) -> None:
    seen: list[int] = []
    tries: list[int] = []
    database = Database(migrated_dsn)

    async def work(tx: Transaction) -> None:
        tries.append(len(tries))
        tx.after_commit(partial(seen.append, len(tries)))
        if len(tries) < 3:
            raise asyncpg.DeadlockDetectedError("deadlock detected")

    try:
        await database.transact(work)
    finally:
        await database.close()
    assert (len(tries), seen) == (3, [3])
