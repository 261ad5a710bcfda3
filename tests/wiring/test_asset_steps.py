"""Which asset steps run: all that are installed but for those that are turned off."""

from __future__ import annotations

import pytest

from triptych.settings.settings import Settings
from triptych.wiring.worker_process import _asset_steps


@pytest.mark.parametrize("ocr", [True, False])
@pytest.mark.parametrize("people", [True, False])
def test_each_is_turned_off_by_its_setting(ocr: bool, people: bool) -> None:
    names = {step.name for step in _asset_steps(Settings(ocr=ocr, people=people))}
    assert ("text" in names, "people" in names) == (ocr, people)
