"""G9 in short: no private address, no hostile image, no name that escapes its field."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from yarl import URL

from triptych.errors import InvalidBrand, PermanentItemError
from triptych.fetch.guard import AddressGuard, AddressRefused
from triptych.media.decode import decode
from triptych.messages import check_brand
from triptych.model import Reason

REFUSED = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("fec0::1", "2001:db8::1", "2001::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
    *("::127.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::", "64:ff9b::127.0.0.1"),
    *("64:ff9b::10.0.0.1", "64:ff9b:1::192.168.0.1"),
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", REFUSED)
def test_g9_refused_addresses(address: str) -> None:
    guard = AddressGuard()
    with pytest.raises(AddressRefused, match="not a public address"):
        guard.check(address, 443)
    host = f"[{address.partition('%')[0]}]" if ":" in address else address
    with pytest.raises(PermanentItemError) as refused:
        guard.check_url(URL(f"http://{host}/"))
    assert refused.value.reason is Reason.ADDRESS_REFUSED


@pytest.mark.parametrize("address", PUBLIC)
def test_g9_public_addresses_pass(address: str) -> None:
    AddressGuard().check(address, 443)


def _picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(buffer, kind)
    return buffer.getvalue()


PICTURES = [_picture(kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")]


@settings(deadline=None)
@given(
    st.sampled_from(PICTURES),
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=8)), max_size=8),
    st.integers(0, 10_000),
)
def test_g9_hostile_bytes_only_ever_fail_their_item(
    body: bytes, edits: list[tuple[int, bytes]], cut: int
) -> None:
    mutated = bytearray(body)
    for offset, patch in edits:
        at = offset % len(mutated)
        mutated[at : at + len(patch)] = patch
    try:
        decoded = decode(bytes(mutated[: len(mutated) - cut % 200]), size=32, max_pixels=10**7)
    except PermanentItemError:
        return
    assert decoded.pixels.shape == (32, 32, 3)


@pytest.mark.parametrize(
    "name",
    ["", " ", "a/b", "..", ".", "a\\b", "a\n", "a\x00", "\u202eevil", "x" * 101, " a", "a\u200b"],
)
def test_g9_names_that_would_escape_are_refused(name: str) -> None:
    with pytest.raises(InvalidBrand):
        check_brand(name)


@pytest.mark.parametrize(
    "name", ["nike", "H&M", "Ben & Jerry's", "Citroën", "無印良品", "7-Eleven"]
)
def test_names_of_real_brands_pass(name: str) -> None:
    assert check_brand(name) == name
