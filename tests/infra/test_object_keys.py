"""The roles of the AWS shape name the keys that the program writes."""

from __future__ import annotations

from pathlib import Path

from triptych.media.thumbnails import thumbnail_key
from triptych.objects import PROBE_KEY, ROOM_KEY, object_key

GRANTS = (Path(__file__).parents[2] / "infra" / "grants.py").read_text()


def test_g9_the_keys_of_the_grants_are_the_programs() -> None:
    assert f'PROBE = "{PROBE_KEY}"' in GRANTS
    assert f'ROOM = "{ROOM_KEY}"' in GRANTS
    for key in (object_key(bytes(32)), thumbnail_key(bytes(32), 160)):
        assert f'"{key.partition("/")[0]}/*"' in GRANTS
