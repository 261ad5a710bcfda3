"""What clients may say: whatever they do say, the answer is a frame of the protocol."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import jsonschema
import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.support.snapshots import committed_run
from triptych.live.asyncapi import asyncapi
from triptych.live.protocol import (
    SERVER_FRAMES,
    Error,
    Malformed,
    Ping,
    State,
    Subscribe,
    Unsubscribe,
    check_topic,
    dump,
    dump_state,
    read_frame,
    state_frame,
)
from triptych.model import Brand, TimelineEvent
from triptych.runs.run_shown import BrandState, RunShown, is_over

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)
NEAR = st.fixed_dictionaries(
    {"type": st.sampled_from(["subscribe", "unsubscribe", "ping"]) | JSON},
    optional={
        "topics": st.lists(
            st.fixed_dictionaries({"topic": st.text() | JSON}, optional={"after": JSON})
            | st.sampled_from(["brands", "queues", "workers", "run:", "brand:nike"])
            | JSON,
            max_size=3,
        )
        | JSON,
        "id": JSON,
        "after": JSON,
    },
)


@given(
    st.binary(max_size=200)
    | st.text(st.characters(exclude_categories=[]), max_size=200)
    | JSON.map(json.dumps)
    | NEAR.map(json.dumps)
)
def test_g9_whatever_is_said_is_a_frame_or_an_error_that_can_be_answered(said: str | bytes) -> None:
    try:
        read: Subscribe | Unsubscribe | Ping | Error = read_frame(said)
    except Malformed as malformed:
        read = malformed.error
    if isinstance(read, Error):
        text = dump(read)
        assert orjson.loads(text)["type"] == "error"
        assert len(text) < 1000
    else:
        assert isinstance(read, Subscribe | Unsubscribe | Ping)


def test_topics_have_one_spelling() -> None:
    run = "0B6E0C4E7C0B4F0E9D533F2A8F1F7A11"
    assert check_topic(f"run:{run}") == f"run:{UUID(run)}"
    assert check_topic("brand:Ame\u0301lie") == "brand:Amélie"
    for wrong in ("", "run:", "run:1", "brand:", "brand:a/b", "brands:", "Brands", "topic"):
        with pytest.raises(ValueError, match=r"\w"):
            check_topic(wrong)


def test_states_come_back_as_the_runs_that_they_were() -> None:
    run = committed_run("nike", added=3)
    state = RunShown.of(run)
    assert msgspec.convert(json.loads(dump_state(state)), RunShown) == state
    assert {name: getattr(state, name) for name in run.__struct_fields__} == msgspec.structs.asdict(
        run
    )
    event = TimelineEvent(4, run.created_at, "page", {"items": 3})
    assert msgspec.convert(json.loads(dump_state(event)), TimelineEvent) == event


def test_states_tell_what_they_promise() -> None:
    run = committed_run("nike")
    state = json.loads(dump_state(RunShown.of(run)))
    assert state.keys() >= {"settled", "over", *run.__struct_fields__}
    assert (state["settled"], state["over"]) == (run.settled, is_over(run))
    brand = Brand("nike", None, run.id, 3, run, 7)
    shown = json.loads(dump_state(BrandState.of(brand)))
    assert shown.keys() == {*brand.__struct_fields__, "state", "phase"}


def test_a_state_that_is_put_together_is_a_frame_of_the_protocol() -> None:
    text = state_frame("brands", 3, dump_state({"a": '"'}), key='ni"ke')
    State.model_validate_json(text)
    assert json.loads(text)["key"] == 'ni"ke'


def test_frames_of_ours_are_strict_too() -> None:
    with pytest.raises(ValidationError):
        Error(code="unheard", message="x")  # type: ignore[arg-type]
    assert len({frame.model_fields["type"].default for frame in SERVER_FRAMES}) == len(
        SERVER_FRAMES
    )


SCHEMA = (
    Path(__file__).resolve().parents[2]
    / "demo/node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"
)


def test_the_document_is_asyncapi() -> None:
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text("utf-8")))
    document = asyncapi()
    assert [error.message for error in validator.iter_errors(document)] == []
    document["operations"]["say"]["action"] = "shout"
    assert list(validator.iter_errors(document))


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = asyncapi()
    references = [part.split('"')[1] for part in json.dumps(document).split('"$ref": ')[1:] if part]
    assert references
    for reference in references:
        place: object = document
        for step in reference.removeprefix("#/").split("/"):
            assert isinstance(place, dict)
            place = place[step]
