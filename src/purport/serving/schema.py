"""The parts of the OpenAPI document that describe bodies read by hand."""

from __future__ import annotations

from typing import Any

from .errors import HTTP

INTENT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["text"],
                "properties": {"text": {"type": "string", "minLength": 1, "pattern": r"\S"}},
            },
            "example": {"text": "find me a flight that flies from Memphis to tacoma"},
        }
    },
}
INTENT_ANSWER: dict[str, Any] = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["intents"],
            "properties": {
                "intents": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 3,
                    "items": {
                        "type": "object",
                        "required": ["label", "confidence"],
                        "properties": {
                            "label": {"type": "string"},
                            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
                        },
                    },
                }
            },
        },
        "example": {"intents": [{"label": "flight", "confidence": 0.73}]},
    }
}
ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["label", "message"],
    "properties": {"label": {"type": "string"}, "message": {"type": "string"}},
}

_LABELLED: dict[str, Any] = {
    "type": "array",
    "items": INTENT_ANSWER["application/json"]["schema"]["properties"]["intents"]["items"],
}
_OPTIONS: dict[str, Any] = {
    "model": {"type": ["string", "null"], "description": "One of /v1/models; the default without it"},
    "top_k": {"type": "integer", "minimum": 0, "maximum": 10_000, "default": 3},
    "threshold": {
        "type": ["number", "null"],
        "minimum": 0,
        "maximum": 1,
        "description": "Decide labels from this probability up, not as the bundle does",
    },
    "probabilities": {"type": "boolean", "default": False, "description": "The probability of every label"},
}
_RESULT: dict[str, Any] = {
    "oneOf": [
        {
            "type": "object",
            "required": ["labels", "out_of_scope", "truncated", "intents"],
            "properties": {
                "labels": {"type": "array", "items": {"type": "string"}},
                "out_of_scope": {"type": "boolean"},
                "truncated": {"type": "boolean"},
                "intents": _LABELLED,
                "probabilities": {
                    "type": "object",
                    "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
                },
            },
        },
        {"type": "object", "required": ["error"], "properties": {"error": ERROR_SCHEMA}},
    ]
}
CLASSIFY_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["texts"],
                # What is no text fails alone, in its place.
                "properties": {"texts": {"type": "array", "minItems": 1, "maxItems": 1024}, **_OPTIONS},
            },
            "example": {"texts": ["flights from boston to denver"], "top_k": 1},
        }
    },
}
CLASSIFY_ANSWER: dict[str, Any] = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["model", "bundle", "results"],
            "properties": {
                "model": {"type": "string"},
                "bundle": {"type": "string"},
                "results": {"type": "array", "items": _RESULT},
            },
        }
    },
}
PUT_MODEL_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "bundle": {
                        "type": ["string", "null"],
                        "minLength": 1,
                        "pattern": r"^[^\u0000]+$",
                        "description": "A directory on the server, or the name of a shipped bundle",
                    }
                },
            }
        }
    },
}


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors with these statuses, and the internal one, for an operation's ``responses``."""
    labels: dict[int, list[str]] = {}
    for status, label in HTTP.values():
        labels.setdefault(status, []).append(label)
    return {
        status: {
            "description": ", ".join(f"`{label}`" for label in labels[status]),
            "content": {"application/json": {"schema": ERROR_SCHEMA}},
        }
        for status in (*statuses, 500)
    }
