"""Sources with passwords and tokens: runs and brands name them, and the whole is kept sealed."""

from __future__ import annotations

from triptych.database.session import Database, Transaction
from triptych.sealing.key_ring import KeyRing, SealBroken
from triptych.sealing.readable import SEALED, readable, sealed_ref

KNOWN_MAX = 1_000
"""Opened sources that a process remembers."""


class SealedSources:
    """Seals sources as they are written, and opens them for whoever reads from them.

    What runs and brands have is ``READABLE?sealed=REF``. ``REF`` is a digest by the key, so the
    same source of a brand has the same text, and texts can be compared as sources are.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._known: dict[tuple[str, str], str] = {}

    async def seal(self, tx: Transaction, brand: str, source: str | None) -> str | None:
        """Return what to write for a source of a brand; the brand must be there at the commit.

        A source without a secret is written as it is, and so is one that was sealed before.

        Raises:
            SettingsError: it has a secret, and there is no key.
        """
        part = None if source is None else readable(source)
        if source is None or part is None:
            return source
        if (ref := sealed_ref(source)) and await tx.row("known_refs", brand, [ref]):
            return source
        return f"{part}{SEALED}{await self._keep(tx, brand, source)}"

    async def _keep(self, tx: Transaction, brand: str, source: str) -> str:
        """Keep a source sealed, unless it is; return its name."""
        plain = source.encode()
        # A key that no longer seals may have named it.
        refs = list(self._keys.digests(plain, place=_names(brand)))
        if known := await tx.row("known_refs", brand, refs):
            ref: str = known["ref"]
            return ref
        sealed = self._keys.seal(plain, place=_place(brand, refs[0] if refs else ""))
        await tx.rows("keep_sealed", brand, refs[0], sealed)
        return refs[0]

    async def drop_unused(self, tx: Transaction, brand: str) -> None:
        """Delete what is sealed of a brand's sources that neither it nor a run of it has."""
        await tx.rows("drop_unused_sealed", brand)

    async def whole(self, database: Database, brand: str, source: str | None) -> str | None:
        """Return the whole of a source as it was given.

        Raises:
            SealBroken: what is sealed is not what the readable part says, or was changed.
            SettingsError: the key that it was sealed with is not here.
        """
        if source is None or (ref := sealed_ref(source)) is None:
            return source
        if (known := self._known.get((brand, source))) is not None:
            return known
        rows = await database.rows("sealed_source", brand, ref)
        if not rows:
            return source  # A query that only looks like it.
        opened = self._keys.open(rows[0]["sealed"], place=_place(brand, ref)).decode()
        if f"{readable(opened)}{SEALED}{ref}" != source:
            raise SealBroken(
                f"The source of brand {brand!r} is not the one that was sealed.",
                remedy="Set the brand's source again.",
            )
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[brand, source] = opened
        return opened

    async def seal_written(self, database: Database) -> int:
        """Seal all that is not, or is with a key that no longer seals; return how many sources.

        Each source is a transaction of its own. May be stopped at any point and repeated.

        Raises:
            SettingsError: the key of one that is sealed is not here.
        """
        return await self._seal_plain(database) + await self._seal_again(database)

    async def plain(self, database: Database) -> list[tuple[str, str]]:
        """Return brand and source of each that has a secret in plain text."""
        found = []
        for row in await database.rows("written_sources"):
            brand, source = row["brand"], row["source"]
            if readable(source) is None:
                continue
            ref = sealed_ref(source)
            if ref is None or not await database.rows("sealed_source", brand, ref):
                found.append((brand, source))
        return found

    async def _seal_plain(self, database: Database) -> int:
        plain = await self.plain(database)
        for brand, source in plain:

            async def work(tx: Transaction, brand: str = brand, source: str = source) -> None:
                await tx.rows("replace_source", brand, source, await self.seal(tx, brand, source))

            await database.transact(work)
        return len(plain)

    async def _seal_again(self, database: Database) -> int:
        if not self._keys:
            return 0
        rows = await database.rows("sources_of_other_keys", self._keys.ids[0])
        for row in rows:
            brand, ref = row["brand"], row["ref"]
            plain = self._keys.open(row["sealed"], place=_place(brand, ref))

            async def work(
                tx: Transaction, brand: str = brand, ref: str = ref, plain: bytes = plain
            ) -> None:
                new = self._keys.digests(plain, place=_names(brand))[0]
                await tx.rows(
                    "keep_sealed", brand, new, self._keys.seal(plain, place=_place(brand, new))
                )
                await tx.rows("replace_ref", brand, ref, new)

            await database.transact(work)
        return len(rows)


def _names(brand: str) -> tuple[str, ...]:
    return ("sealed_sources", "ref", brand)


def _place(brand: str, ref: str) -> tuple[str, ...]:
    return ("sealed_sources", "sealed", brand, ref)
