"""What the AI phase takes at most, beside the time that a function has for it."""

from __future__ import annotations

from infra.sizes import SHAPES

from triptych.ai.phase import ASSET_STEPS_DEADLINE_S


def test_asset_steps_leave_a_third_of_a_functions_time_to_the_steps_of_the_brand() -> None:
    (shape,) = (each for each in SHAPES if each.phase == "ai")
    assert shape.timeout_s * 2 / 3 >= ASSET_STEPS_DEADLINE_S
