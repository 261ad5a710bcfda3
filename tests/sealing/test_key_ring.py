"""Sealed values open with their key at their place, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sealing import KEY, OTHER_KEY
from triptych.errors import SettingsError
from triptych.sealing.key_ring import FIELD, KeyRing, SealBroken, key_id

PLACE = ("webhooks", "sealed", "1")


@given(st.binary(max_size=300))
def test_a_value_opens_at_its_place(plain: bytes) -> None:
    keys = KeyRing([KEY])
    sealed = keys.seal(plain, place=PLACE)
    assert keys.open(sealed, place=PLACE) == plain
    assert plain not in sealed or len(plain) < 4
    assert keys.seal(plain, place=PLACE) != sealed, "each has a nonce of its own"


@pytest.mark.parametrize(
    "place",
    [
        ("webhooks", "sealed", "2"),
        ("webhooks", "secret", "1"),
        ("sources", "sealed", "1"),
        ("webhooks", "sealed"),
        ("webhooks", "sealed1", ""),
        ("webhookss", "ealed", "1"),
    ],
)
def test_a_value_of_another_row_is_refused(place: tuple[str, ...]) -> None:
    keys = KeyRing([KEY])
    with pytest.raises(SealBroken, match="belongs to another row"):
        keys.open(keys.seal(b"secret", place=PLACE), place=place)


def test_each_changed_byte_is_noticed() -> None:
    keys = KeyRing([KEY])
    sealed = keys.seal(b"secret", place=PLACE)
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises((SealBroken, SettingsError)):
            keys.open(changed, place=PLACE)
    for length in range(len(sealed)):
        with pytest.raises((SealBroken, SettingsError)):
            keys.open(sealed[:length], place=PLACE)


def test_the_first_key_seals_and_all_open() -> None:
    old, both, new = KeyRing([OTHER_KEY]), KeyRing.read(f"{KEY}, {OTHER_KEY}\n"), KeyRing([KEY])
    sealed = old.seal(b"secret", place=PLACE)
    assert both.open(sealed, place=PLACE) == b"secret"
    assert not both.is_current(sealed)
    again = both.seal(b"secret", place=PLACE)
    assert both.is_current(again)
    assert new.open(again, place=PLACE) == b"secret"
    with pytest.raises(SettingsError, match=f"{FIELD}: .*{key_id(sealed).hex()}"):
        new.open(sealed, place=PLACE)


def test_without_a_key_nothing_is_sealed() -> None:
    assert not KeyRing()
    with pytest.raises(SettingsError, match=f"{FIELD}: .*no key.*openssl"):
        KeyRing().seal(b"secret", place=PLACE)
    with pytest.raises(SettingsError, match=FIELD):
        KeyRing.read("short")


def test_digests_are_equal_for_equal_values_of_one_place() -> None:
    both = KeyRing([KEY, OTHER_KEY])
    first, second = both.digests(b"secret", place=PLACE)
    assert first == KeyRing([KEY]).digests(b"secret", place=PLACE)[0]
    assert second == KeyRing([OTHER_KEY]).digests(b"secret", place=PLACE)[0]
    assert len({first, second, *both.digests(b"secret", place=("other",))}) == 4
    assert both.digests(b"other", place=PLACE)[0] != first


def test_keys_are_not_shown() -> None:
    keys = KeyRing([KEY])
    assert KEY not in repr(keys) + repr(keys._keys) + str(keys.ids)
    assert repr(keys._keys).count("digests") == 0
