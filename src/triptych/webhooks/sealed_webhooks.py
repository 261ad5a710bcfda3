"""Webhooks at rest: the secret that signs is sealed, and so is the whole of the address."""

from __future__ import annotations

import asyncpg
import msgspec

from triptych.database.session import Database, Transaction
from triptych.sealing.key_ring import KeyRing
from triptych.sealing.readable import without_secret


class SealedWebhook(msgspec.Struct, frozen=True):
    """What is sealed of a webhook."""

    url: str
    secret: bytes


class SealedWebhooks:
    """Seals what is secret of webhooks, and opens it for their deliveries."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def seal(self, webhook_id: object, url: str, secret: bytes) -> tuple[str, bytes]:
        """Return the readable part of the address, and the whole webhook sealed.

        Raises:
            SettingsError: there is no key.
        """
        sealed = msgspec.msgpack.encode(SealedWebhook(url, secret))
        return without_secret(url), self._keys.seal(sealed, place=_place(webhook_id))

    def open(self, row: asyncpg.Record) -> SealedWebhook:
        """Return address and secret of a row of a webhook; one may still be in plain text.

        Raises:
            SealBroken: what is sealed was changed, or is another webhook's.
            SettingsError: the key that it was sealed with is not here.
        """
        if row["sealed"] is None:
            return SealedWebhook(row["url"], row["secret"])
        plain = self._keys.open(row["sealed"], place=_place(row["webhook_id"]))
        return msgspec.msgpack.decode(plain, type=SealedWebhook)

    async def seal_written(self, database: Database) -> int:
        """Seal all that is not, or is with a key that no longer seals; return how many webhooks.

        Each is a transaction of its own. May be stopped at any point and repeated.

        Raises:
            SettingsError: there is no key, or that of one that is sealed is not here.
        """
        current = self._keys.ids[0] if self._keys else b""
        rows = await database.rows("webhooks_to_seal", current)
        for row in rows:
            found = self.open(row)
            shown, sealed = self.seal(row["webhook_id"], found.url, found.secret)

            async def work(
                tx: Transaction, row: asyncpg.Record = row, shown: str = shown, new: bytes = sealed
            ) -> None:
                await tx.rows("seal_webhook", row["webhook_id"], shown, new)

            await database.transact(work)
        return len(rows)


def _place(webhook_id: object) -> tuple[str, ...]:
    return ("webhooks", "sealed", str(webhook_id))
