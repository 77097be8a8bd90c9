"""Bodies of ``/v1/explain``."""

from __future__ import annotations

from pydantic import BaseModel, Field

from ..explaining.explain import LEAST_CALLS
from ..explaining.explanation import Value
from ..prediction import Reason
from .schema import Body, ExampleAnswer, Label, Share, Text, Whole

MOST_CALLS = 1024
"""More texts than a request may have are not asked for one explanation either."""


class ExplainRequest(Body):
    """A text to explain."""

    text: Text
    model: Label | None = Field(
        None, max_length=64, description="Name of a model (see /v1/models); if absent, the default model"
    )
    label: Label | None = Field(
        None, description="Label to explain; if absent, the most probable one that is decided, or of all if none is"
    )
    method: Label | None = Field(
        None, max_length=64, description="`occlusion`, `shapley` or `contributions`; if absent, that of the bundle"
    )
    calls: Whole | None = Field(
        None,
        ge=LEAST_CALLS,
        le=MOST_CALLS,
        description="Largest number of texts to ask the model; if absent, that of the method",
    )
    examples: Whole = Field(
        2, ge=0, le=10, description="Number of training examples for the label, and of those against it"
    )


class Place(BaseModel):
    """A part of the text, in characters: `text[start:end]`."""

    text: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)


class WordAnswer(Place):
    """A word, or several neighbours taken together, and what it weighs."""

    weight: float = Field(description="Positive speaks for the label, negative against it")
    error: float | None = Field(description="Standard error of the weight; `null` for a method without chance")


class ExamplesAnswer(BaseModel):
    """The nearest examples that the model learned from; none if the bundle does not remember any."""

    for_: list[ExampleAnswer] = Field(alias="for", description="Those with the label")
    against: list[ExampleAnswer] = Field(description="Those with the runner-up, and without the label")
    against_label: str | None = Field(description="The runner-up")


class EditAnswer(BaseModel):
    """What is left of the text when the answer changes."""

    text: str
    removed: list[Place] = Field(description="What was left out")
    labels: list[str] = Field(description="What is decided then")
    out_of_scope: bool


class SignalAnswer(BaseModel):
    """What a sign says about whether any label applies."""

    name: str
    weight: float = Field(description="Log odds; negative speaks against it")
    says: str = Field(description="The same for people")


class ExplainAnswer(BaseModel):
    """Why a text is answered as it is."""

    model: str = Field(description="Name of the model that answered")
    bundle: str = Field(description="Id of its bundle")
    text: str
    label: str = Field(description="The explained label")
    confidence: Share = Field(description="Its calibrated probability")
    labels: list[str] = Field(description="The decided labels, by falling confidence; may be none")
    out_of_scope: bool = Field(description="No label was decided")
    in_scope: Share = Field(description="Probability that some label of the model applies")
    reason: Reason | None = Field(description="Why no label was decided; `null` if one was")
    method: str
    value: Value = Field(description="What `full`, `base` and the weights are measured in")
    full: float = Field(description="The value of the text")
    base: float | None = Field(description="The value of no text; `null` if the weights do not add up to `full - base`")
    gap: float | None = Field(description="`full - base` minus all weights; `null` where `base` is")
    words: list[WordAnswer] = Field(description="In order")
    calls: int = Field(ge=1, description="Number of texts that the model was asked")
    examples: ExamplesAnswer
    edit: EditAnswer | None = Field(description="The smallest edit found that changes the answer")
    scope: list[SignalAnswer] = Field(description="Strongest against first; empty for a bundle without signals")
    unfamiliar: list[str] = Field(description="Words that the training texts do not have, if the text is out of scope")
    note: str = Field(description="What one must know to read the weights")
