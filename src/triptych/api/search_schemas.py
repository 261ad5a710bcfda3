"""What searches and comparisons answer: `triptych.api.schemas`, continued."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from triptych.api.schemas import Answer, AssetShown


class AssetWhole(AssetShown):
    """An asset, and what the AI phase says of it."""

    marks: Annotated[
        dict[str, Any], Field(description="By name: `tags`, `cluster`, `x`, `y` and others.")
    ]


class MatchShown(Answer):
    """An asset that was found, and how near it is."""

    similarity: Annotated[float, Field(description="Cosine, -1 to 1.")]
    score: Annotated[
        float | None,
        Field(description="Of texts: about how likely it shows what the text says, 0 to 1."),
    ]
    asset: AssetShown


class FoundShown(Answer):
    """What was found, the nearest first."""

    items: list[MatchShown]
    model: Annotated[str, Field(description="Whose embeddings were compared.")]
    exact: Annotated[bool, Field(description="False: of the nearest some may be missing.")]
    unindexed: Annotated[
        int, Field(description="Brands that the search has not wholly come to yet.")
    ]


class PairShown(Answer):
    """An asset of the one brand and one of the other."""

    similarity: float
    asset: AssetShown
    other: AssetShown


class PairsShown(Answer):
    """Assets that two brands have in common; all are counted, the first ones named."""

    count: int
    items: list[PairShown]


class ComparisonShown(Answer):
    """Two brands side by side."""

    brand: str
    other: str
    runs: Annotated[list[UUID], Field(description="The two snapshots.")]
    model: Annotated[str | None, Field(description="Whose embeddings were compared.")]
    similarity: Annotated[
        float | None, Field(description="Cosine of the two centres; null without a common model.")
    ]
    compared: Annotated[
        list[int], Field(description="Embeddings looked at: an even sample of each snapshot.")
    ]
    shared: Annotated[PairsShown, Field(description="The same bytes, among all assets.")]
    lookalikes: Annotated[
        PairsShown, Field(description="Of the sample: each the other's nearest, and near.")
    ]
