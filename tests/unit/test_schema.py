"""What clients are told of bodies and errors is what they get: the OpenAPI document and the answers are one."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import BaseModel

from purport import errors
from purport.errors import BodyInvalid, OptionInvalid, RequestError, TextEmpty, TextInvalid, TextMissing, TextsInvalid
from purport.prediction import AnswerOptions, Prediction, ScoredLabel, SimilarExample, encode
from purport.serving.http_errors import HTTP, answer, body_of, internal_error
from purport.serving.schema import (
    MOST_TEXTS,
    ClassifyAnswer,
    ClassifyRequest,
    ErrorAnswer,
    IntentAnswer,
    IntentRequest,
    Options,
    PutModelRequest,
    error_responses,
    parse_text,
    request_body,
    validated,
)

TEXTS: dict[str, Any] = {"texts": ["a"]}
BODIES: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (Options, {}),
    (ClassifyRequest, TEXTS),
    (PutModelRequest, {"bundle": "bundles/candidate"}),
]


VALUES: list[Any] = [None, True, -1, -0.5, 0, 0.5, 1, 1.5, 2, 10_000, 10_001, "", "text", "a\0b", [], ["a"], {}]
VALUES += [["a"] * MOST_TEXTS, ["a"] * (MOST_TEXTS + 1)]
TYPES = {"null": type(None), "boolean": bool, "integer": int, "number": (int, float), "string": str, "array": list}


def allows(schema: dict[str, Any], value: Any) -> bool:
    """Whether ``value`` is what the document describes with ``schema``, as JSON Schema says it."""
    if "anyOf" in schema:
        return any(allows(each, value) for each in schema["anyOf"])
    if not isinstance(value, TYPES[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean"):
        return False
    if "minimum" in schema:
        return bool(schema["minimum"] <= value <= schema["maximum"])
    least, most = schema.get("minLength", schema.get("minItems", 0)), schema.get("maxItems", 1 << 20)
    sized = not isinstance(value, str | list) or least <= len(value) <= most
    return sized and bool(re.search(schema.get("pattern", ""), value if isinstance(value, str) else ""))


@pytest.mark.parametrize(("model", "body"), BODIES, ids=lambda each: getattr(each, "__name__", ""))
def test_what_the_document_allows_is_taken_and_the_rest_is_refused(
    model: type[BaseModel], body: dict[str, Any]
) -> None:
    for name, schema in model.model_json_schema()["properties"].items():
        allowed = [value for value in VALUES if allows(schema, value)]
        forbidden = [value for value in VALUES if not allows(schema, value)]
        assert allowed and forbidden, name
        for value in allowed:
            assert getattr(validated(model, {**body, name: value}), name) == value
        for value in forbidden:
            with pytest.raises(OptionInvalid, match=f'"{name}" must be '):
                validated(model, {**body, name: value})


def test_a_field_that_nobody_knows_is_named() -> None:
    with pytest.raises(OptionInvalid, match=r'^"top-k": there is no such field. Did you mean "top_k"\?$'):
        validated(ClassifyRequest, {**TEXTS, "top-k": 5, "unknown": {"fields": []}})


def test_a_route_says_what_is_wrong_with_a_field_in_its_own_words() -> None:
    problem = TextsInvalid(f'"texts" must be a list of 1 to {MOST_TEXTS} texts.')
    for body in ({}, {"texts": []}, {"texts": ["a"] * (MOST_TEXTS + 1)}, {"texts": "a"}):
        with pytest.raises(TextsInvalid) as refused:
            validated(ClassifyRequest, body, {"texts": problem})
        assert refused.value is problem
    with pytest.raises(OptionInvalid, match='"top_k"'):
        validated(ClassifyRequest, {**TEXTS, "top_k": -1}, {"texts": problem})


def test_what_is_no_text_among_many_does_not_fail_the_request() -> None:
    assert validated(ClassifyRequest, {"texts": ["a", 5, None, ""]}).texts == ["a", 5, None, ""]


def test_workers_are_told_what_the_client_asked_for() -> None:
    assert Options().answer_options() == AnswerOptions()
    asked = validated(Options, {"top_k": 0, "threshold": 1, "probabilities": True, "model": "a"})
    assert asked.answer_options() == AnswerOptions(top_k=0, threshold=1.0, probabilities=True)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", BodyInvalid),
        (b"[]", BodyInvalid),
        (b'{"text": NaN}', BodyInvalid),
        (b"{}", TextMissing),
        (b'{"txt": "hello"}', TextMissing),
        (b'{"text": null}', TextInvalid),
        (b'{"text": ["hello"]}', TextInvalid),
        (rb'{"text": "\ud800"}', TextInvalid),
        (b'{"text": ""}', TextEmpty),
        (b'{"text": "  "}', TextEmpty),
    ],
)
def test_each_way_to_send_no_text_has_its_own_error(body: bytes, error: type[RequestError]) -> None:
    with pytest.raises(error):
        parse_text(body)


def test_the_document_says_what_a_text_is() -> None:
    text = IntentRequest.model_json_schema()["properties"]["text"]
    assert text == {"title": "Text", "type": "string", "minLength": 1, "pattern": r"\S"}
    assert IntentRequest.model_json_schema()["required"] == ["text"]
    assert parse_text(b'{"text": " hello ", "other": [1]}') == " hello "


def test_a_body_is_described_with_an_example_that_is_taken() -> None:
    for model, body in BODIES:
        content = request_body(model, body)["requestBody"]["content"]["application/json"]
        assert content["schema"] == model.model_json_schema()
        validated(model, content["example"])


def test_answers_of_workers_are_what_the_document_shows() -> None:
    ranked = tuple(ScoredLabel(name, confidence) for name, confidence in (("a", 0.9), ("b", 0.5), ("c", 0.1)))
    near = (SimilarExample(("a",), 0.9, row=3, text="x"), SimilarExample((), 0.8, taught=True))
    prediction = Prediction(("a",), ranked, False, True, "0123456789abcdef", examples=near)
    written = encode(prediction, AnswerOptions(top_k=2, probabilities=True, examples=2))
    document = {"model": "m", "bundle": "b", "results": [written, {"error": {"label": "TEXT_EMPTY", "message": "m"}}]}
    found = ClassifyAnswer.model_validate_json(json.dumps(document))
    assert found.model_dump(mode="json", exclude_unset=True) == document, "nothing is written that is not described"
    intent = encode(prediction, AnswerOptions(decided=False))
    assert IntentAnswer.model_validate(intent).model_dump(mode="json") == intent


def test_an_operation_names_every_error_that_has_one_of_its_statuses() -> None:
    found = error_responses(400, 404)
    assert set(found) == {400, 404, 500} and all(each["model"] is ErrorAnswer for each in found.values())
    for status, label in HTTP.values():
        if status in found:
            assert f"`{label}`" in found[status]["description"]
        assert all(f"`{label}`" not in each["description"] for other, each in found.items() if other != status)


def test_every_error_has_one_form() -> None:
    for kind in HTTP:
        error = kind("what, which, what to do")
        response = answer(error)
        told = ErrorAnswer.model_validate_json(bytes(response.body))
        assert (response.status_code, told.label) == HTTP[kind] and told.message == str(error)
        assert ("www-authenticate" in response.headers) == (response.status_code == 401)


@pytest.mark.parametrize(("seconds", "header"), [(None, None), (0.0, "1"), (0.2, "1"), (2.0, "2"), (2.01, "3")])
def test_a_client_is_never_told_to_come_back_too_early(seconds: float | None, header: str | None) -> None:
    assert answer(errors.Overloaded("later", seconds)).headers.get("retry-after") == header


def test_what_went_wrong_inside_is_told_by_the_id_of_the_request_alone() -> None:
    inner = errors.PurportError("the model failed on this text: inner secret")
    assert body_of(inner, "id-7") == {
        "label": "INTERNAL_ERROR",
        "message": "Internal error; the server's log has details under request id id-7.",
    }
    assert body_of(errors.WorkerLost("inner secret"), "id-7") == body_of(inner, "id-7")
    assert body_of(errors.TextEmpty('"text" is empty.'), "id-7") == {
        "label": "TEXT_EMPTY",
        "message": '"text" is empty.',
    }


def test_an_exception_is_shown_only_where_that_was_asked_for() -> None:
    shown = ErrorAnswer.model_validate_json(bytes(internal_error("id-7", "KeyError('x')").body))
    assert shown.message == "Internal error; the server's log has details under request id id-7. KeyError('x')"
    hidden = internal_error("id-7", None)
    assert hidden.status_code == 500
    assert (
        ErrorAnswer.model_validate_json(bytes(hidden.body)).message
        == "Internal error; the server's log has details under request id id-7."
    )
