"""What `triptych doctor` says of the sandbox, whole or not."""

from __future__ import annotations

import pytest

from triptych.gather.lists import list_parsers
from triptych.wiring import doctor

WHOLE = "cannot write, reach the network, other files or other processes"


@pytest.mark.integration
async def test_decoders_and_list_parsers_are_in_a_whole_sandbox() -> None:
    assert await doctor._sandbox() == f"decoders {WHOLE}; list parsers {WHOLE}"


async def test_what_a_kernel_lacks_is_told_of_those_that_lack_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def lacking() -> tuple[str, ...]:
        return "Landlock: not here", "seccomp: nor this"

    monkeypatch.setattr(list_parsers, "sandbox_lacks", lacking)
    monkeypatch.setattr(doctor, "_decoders_lack", lambda: ())
    assert await doctor._sandbox() == (
        f"decoders {WHOLE}; list parsers run with less than they could: "
        "Landlock: not here, seccomp: nor this"
    )
