"""The description file: what a model's graph does not contain, as a JSON file next to it.

``<model>.json`` next to ``<model>`` (``clip.onnx.json`` next to ``clip.onnx``). A field may be
omitted if the graph or a default provides it. An unknown field is refused: a typing error would
otherwise change the meaning of embeddings unnoticed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from triptych.errors import ModelError

DESCRIPTION_MAX_BYTES = 64 * 1024
INPUT_SIDE_MAX = 2048
CONTEXT_MAX_TOKENS = 8192
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
"""Names of files next to the model: never a path, so that a description cannot leave its folder."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PLACE = "{}"
"""The placeholder of a template."""


def _with_place(template: str) -> str:
    if template.count(PLACE) != 1:
        raise ValueError(f"must have exactly one {PLACE}")
    return template


FileName = Annotated[str, StringConstraints(pattern=rf"^{FILE_NAME.pattern}$")]
Channel = Annotated[float, Field(ge=-1e6, le=1e6)]
Deviation = Annotated[float, Field(gt=0, le=1e6)]
Pooling = Literal["cls", "mean"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TextDescription(_Strict):
    """The text encoder of a CLIP, SigLIP or similar model."""

    model: FileName = Field(description="the text encoder's ONNX file, next to the model")
    tokenizer: FileName = Field(description="the tokenizer.json of Hugging Face, next to the model")
    external_data: tuple[FileName, ...] = Field((), description="files of its weights")
    context: Annotated[int, Field(gt=0, le=CONTEXT_MAX_TOKENS)] = Field(
        description="maximum number of tokens"
    )
    padding: Literal["context", "none"] = Field(
        "none", description="`context`: always that many tokens; `none`: as many as the text has"
    )
    pad_id: Annotated[int, Field(ge=0)] = Field(0, description="the padding token")
    input_ids: str = Field("input_ids", description="the graph's input of token ids")
    attention_mask: str = Field("attention_mask", description="the graph's input of the mask")
    output: str | None = Field(None, description="the graph's output to use")
    pooling: Pooling | None = Field(None, description="`cls` or `mean`, if the output has tokens")
    template: Annotated[str, AfterValidator(_with_place)] = Field(
        PLACE, description="a text with one {} for the search text"
    )
    lowercase: bool = Field(False, description="whether the text is put in lower case first")
    logit_scale: Annotated[float, Field(gt=0)] = Field(
        100.0, description="the factor for cosines (not its logarithm)"
    )
    logit_bias: float = Field(-25.0, description="what is added, before the sigmoid")


class Description(_Strict):
    """An image encoder's input and output, and its text encoder."""

    input_size: Annotated[int, Field(gt=0, le=INPUT_SIDE_MAX)] | None = Field(
        None, description="side of the square image, in pixels"
    )
    layout: Literal["NCHW", "NHWC"] | None = Field(None, description="`NCHW` or `NHWC`")
    scale: Annotated[float, Field(gt=0)] | None = Field(
        None, description="the factor for pixels of 0..255; default 1/255"
    )
    mean: tuple[Channel, Channel, Channel] | None = Field(
        None, description="mean must be three numbers, red, green, blue, in scaled units"
    )
    std: tuple[Deviation, Deviation, Deviation] | None = Field(
        None, description="std must be three numbers above zero, in scaled units"
    )
    output: str | None = Field(None, description="the graph's output to use")
    pooling: Pooling | None = Field(
        None, description="`cls` or `mean`, if the output has tokens; `mean` of a feature map"
    )
    external_data: tuple[FileName, ...] = Field(
        (), description="files of weights that the ONNX file refers to, next to it"
    )
    text: TextDescription | None = Field(None, description="the text encoder")

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the model's other files, besides the graph and this description."""
        text = self.text
        own = self.external_data
        return own if text is None else (*own, text.model, *text.external_data, text.tokenizer)

    def of_images(self) -> dict[str, Any]:
        """Return the fields that change the meaning of embeddings, without the text encoder."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"text"})


def description_path(model: Path) -> Path:
    """Return the path of a model's description, which may not exist."""
    return model.with_name(f"{model.name}.json")


def read_description(model: Path) -> Description:
    """Return the description next to a model, or an empty one if there is none.

    Raises:
        ModelError: it cannot be read, or a field of it is wrong: which, and what belongs there.
    """
    path = description_path(model)
    if not path.is_file():
        return Description()
    try:
        with path.open("rb") as file:
            content = file.read(DESCRIPTION_MAX_BYTES + 1)
        found = json.loads(content[:DESCRIPTION_MAX_BYTES])
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} cannot be read as JSON ({error}).") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path.name} is not a JSON object.", remedy="Write {…}.")
    try:
        return Description.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise _wrong(path.name, error) from error


def _wrong(name: str, error: ValidationError) -> ModelError:
    first = error.errors(include_url=False, include_context=False)[0]
    loc = [str(part) for part in first["loc"]]
    inside = len(loc) > 1 and loc[0] == "text"
    known = (TextDescription if inside else Description).model_fields
    field = loc[1] if inside else loc[0]
    where = f"text.{field}" if inside else field
    if first["type"] == "extra_forbidden":
        return ModelError(
            f"{name}: there is no field {where!r}.", remedy=f"Known fields: {', '.join(known)}."
        )
    problem = str(first["msg"]).removeprefix("Value error, ")
    meaning = known[field].description if field in known else None
    return ModelError(
        f"{name}: {where}: {problem}.", remedy=f"It is: {meaning}." if meaning else None
    )
