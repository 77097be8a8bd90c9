"""The parts of the OpenAPI document that describe bodies read by hand."""

from __future__ import annotations

from typing import Any

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
