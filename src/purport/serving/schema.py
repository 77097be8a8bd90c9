"""Bodies of requests and responses: the same models validate them and describe them in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from ..errors import OptionInvalid, RequestError, TextMissing, did_you_mean
from ..invalid import Problem, problems
from ..labels import Task
from ..prediction import AnswerOptions, Reason
from .body import check_label, check_text, parse_object
from .http_errors import HTTP

MOST_TEXTS = 1024
ModelT = TypeVar("ModelT", bound=BaseModel)

Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, BeforeValidator(check_text), WithJsonSchema({"type": "string", "minLength": 1, "pattern": r"\S"})]

# 3.0 is an integer in JSON Schema.
Whole = Annotated[
    int, BeforeValidator(lambda value: int(value) if value.__class__ is float and value % 1 == 0 else value)
]
Label = Annotated[str, Field(min_length=1), AfterValidator(check_label)]


class Body(BaseModel):
    """A body that clients send."""

    model_config = ConfigDict(strict=True, extra="forbid")


class IntentRequest(Body):
    """One text. Other fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    text: Text


class Options(Body):
    """Options of a request, in addition to the texts."""

    model: Label | None = Field(
        None, max_length=64, description="Name of a model (see /v1/models); if absent, the default model"
    )
    top_k: Whole = Field(3, ge=0, le=10_000, description="Number of most likely labels")
    threshold: Share | None = Field(
        None, description="Minimum probability for a label; overrides the bundle's thresholds"
    )
    probabilities: bool = Field(False, description="Include the probability of every label")

    examples: Whole = Field(
        0, ge=0, le=10, description="Number of most similar examples that the model learned from, nearest first"
    )

    def answer_options(self) -> AnswerOptions:
        """The same options in the form that workers use."""
        return AnswerOptions(self.top_k, True, self.probabilities, self.threshold, self.examples)


class ClassifyRequest(Options):
    """Many texts. Errors are per text: an invalid item gets an error in its place."""

    texts: list[Any] = Field(min_length=1, max_length=MOST_TEXTS)


class PutModelRequest(Body):
    """The bundle to serve under a name; without ``bundle``, the server reloads the model's current directory."""

    bundle: str | None = Field(
        None, min_length=1, pattern=r"^[^\x00]+$", description="Directory of a bundle on the server, or a shipped name"
    )


class GivenExample(Body):
    """A text to teach; without labels, none applies to it."""

    text: Text
    labels: list[Label] = Field(max_length=100)


class TeachRequest(Body):
    """Examples that the model is to be taught."""

    examples: list[GivenExample] = Field(min_length=1, max_length=MOST_TEXTS)
    allow_flips: Whole = Field(0, ge=0, le=1_000_000, description="Number of rows that may become wrong")
    force: bool = Field(
        False,
        description="Teach also what contradicts rows or earlier examples with the same text, and texts that are "
        "longer than the model reads",
    )


class Intent(BaseModel):
    """A label and its calibrated probability."""

    label: str = Field(description="Name of the intent")
    confidence: Share = Field(description="Calibrated probability")


class IntentAnswer(BaseModel):
    """The most likely intents, most confident first."""

    intents: list[Intent] = Field(min_length=1, max_length=3)


class ErrorAnswer(BaseModel):
    """An error, in the same form on every path."""

    label: str = Field(description="What went wrong; stable")
    message: str = Field(description="The same for people; may change")


class ExampleAnswer(BaseModel):
    """An example that the model learned from, and how similar the text is to it."""

    labels: list[str] = Field(description="Its labels; none if it was taught as out of scope")
    similarity: float = Field(ge=-1, le=1, description="Cosine of both vectors")
    row: int | None = Field(None, ge=1, description="Its row in the file of the training split, if known")
    text: str | None = Field(None, description="Its text, if the bundle keeps the texts")
    taught: bool = Field(False, description="It was taught after the training")


class TextAnswer(BaseModel):
    """The answer to one of many texts."""

    labels: list[str] = Field(description="The decided labels, by falling confidence; may be none")
    out_of_scope: bool = Field(description="No label was decided")
    in_scope: Share = Field(description="Probability that some label of the model applies")
    reason: Reason | None = Field(description="Why no label was decided; `null` if one was")
    truncated: bool = Field(description="The text is longer than the model reads; answered from a part of it")
    intents: list[Intent] = Field(description="The `top_k` most likely labels")
    probabilities: dict[str, Share] = Field(default_factory=dict, description="Of every label, where asked for")
    examples: list[ExampleAnswer] = Field(default_factory=list, description="The most similar ones, where asked for")


class TextFailure(BaseModel):
    """The error of one of many texts."""

    error: ErrorAnswer


class ClassifyAnswer(BaseModel):
    """One result per text, in order."""

    model: str = Field(description="Name of the model that answered")
    bundle: str = Field(description="Id of its bundle")
    results: list[TextAnswer | TextFailure] = Field(description="One for each text, in order")


class ModelAnswer(BaseModel):
    """A model on the server."""

    name: str
    bundle: str = Field(description="Id of the bundle in use")
    previous: str | None = Field(description="Id of the one before, for a rollback")
    task: Task
    labels: list[str] = Field(description="Every label of the model")


class FlipAnswer(BaseModel):
    """A validation or training row that is decided otherwise than before."""

    text: str
    gold: list[str] = Field(description="Its labels in the data")
    before: list[str] = Field(description="What was decided before")
    after: list[str] = Field(description="What is decided now")
    broken: bool = Field(description="It was right before")


class TaughtAnswer(ModelAnswer):
    """The model after it was taught, or after that was undone."""

    taught: int = Field(description="Number of examples that the bundle was taught in all")
    checked: int = Field(0, description="Number of validation rows that were compared; 0 if the data was not found")
    flips: list[FlipAnswer] = Field(default_factory=list, description="Those that are decided otherwise than before")


class ModelsAnswer(BaseModel):
    """All models; ``default`` answers requests that do not name a model."""

    default: str
    models: list[ModelAnswer]


def parse_text(body: bytes) -> str:
    """``text`` of the JSON object in ``body``.

    Raises:
        BodyInvalid, TextMissing, TextInvalid, TextEmpty: the body is not an object with a text.
    """
    fields = parse_object(body, '{"text": "..."}')
    if "text" not in fields:
        raise TextMissing('"text" is missing.')
    return check_text(fields["text"])  # as the model of this body does, in a third of the time


def validated(
    model: type[ModelT], fields: Mapping[str, object], special: Mapping[str, RequestError] | None = None
) -> ModelT:
    """``fields`` as an instance of ``model``.

    Raises:
        OptionInvalid: a field has an invalid value; ``special`` can replace the error for some fields.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        found = problems(error, model)
        names = {each.path[0] for each in found if each.path}
        known = next((problem for name, problem in (special or {}).items() if name in names), None)
        raise known or OptionInvalid(_told(found[0])) from None


def _told(problem: Problem) -> str:
    if problem.unknown:
        return f'"{problem.key}": there is no such field.{did_you_mean(problem.key, problem.known)}'
    return f"{problem}."


def request_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description of a body that a route parses itself, so that all errors have the same form."""
    schema = model.model_json_schema()
    schema = _inlined(schema, schema.pop("$defs", {}))
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


def _inlined(part: Any, named: Mapping[str, Any]) -> Any:
    """``part`` of a schema with what it refers to in its place: a request body has no section of definitions."""
    if isinstance(part, list):
        return [_inlined(each, named) for each in part]
    if not isinstance(part, dict):
        return part
    if isinstance(reference := part.get("$ref"), str):
        return _inlined(named[reference.rpartition("/")[2]], named)
    return {name: _inlined(each, named) for name, each in part.items()}


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI ``responses`` for errors with these statuses, and for internal errors."""
    labels: dict[int, list[str]] = {}
    for status, label in HTTP.values():
        labels.setdefault(status, []).append(label)
    return {
        status: {"description": ", ".join(f"`{label}`" for label in labels[status]), "model": ErrorAnswer}
        for status in (*statuses, 500)
    }
