"""The part of a drafted recipe that is about a language model."""

from __future__ import annotations

import json
import math

from ..data.dataset import Dataset
from ..wording import count
from .choice import Choice

_MODEL = "gpt-4.1-mini-2025-04-14"  # gives log-probabilities, so that each text is asked about once
_VOTES = 3
_AROUND, _PER_EXAMPLE, _PER_LABEL = 250, 40, 8  # tokens of a prompt
_TWICE = 2  # half of the budget is for requests that are made again
_STEP = 1_000_000  # tokens
_SHOWN = 60  # labels, beyond which a prompt is long without examples


def language_model(dataset: Dataset, asked: int) -> list[Choice]:
    """The service, the prompt and the budget; ``asked`` rows are classified when the bundle is made."""
    labels = _labels(dataset)
    examples = 1 if len(labels) <= _SHOWN else 0
    why = "typical rows of each label in the prompt; their texts are then in the bundle, and sent with each request"
    prompt = _AROUND + len(labels) * (_PER_LABEL + examples * _PER_EXAMPLE)
    tokens = _STEP * max(1, math.ceil(_TWICE * _VOTES * asked * prompt / _STEP))
    requests = (
        f"{count(asked, 'row')} of validation and test, up to {_VOTES} requests each, about {prompt:,} tokens a request"
    )
    return [
        Choice(
            "provider",
            "name",
            "openai",
            "or anthropic, google, systemone; also what speaks the protocol of openai, by base_url",
        ),
        Choice("provider", "model", _MODEL, "the service's exact name; the key is read from OPENAI_API_KEY"),
        Choice("prompt", "examples", examples, why if examples else "there are many labels"),
        Choice("prompt", "votes", _VOTES, "requests per text where the service gives no log-probabilities"),
        Choice("budget", "tokens", tokens, f"for {requests}"),
    ]


def notes(dataset: Dataset) -> tuple[str, ...]:
    """What else could stand in the recipe, as lines of TOML."""
    return (
        "A line about each label whose name does not explain it makes answers better:",
        "[prompt.descriptions]",
        *(f'{json.dumps(label, ensure_ascii=False)} = ""' for label in _labels(dataset)),
        "",
        "In [prompt], when no label applies:",
        'out_of_scope = "the message is not about an order"',
        "",
        "A model on this machine instead, from which no text leaves: in place of [provider] and [budget]",
        "[local]",
        'model = "models/NAME"  # a directory with a model of transformers, or a file .gguf',
    )


def _labels(dataset: Dataset) -> list[str]:
    return sorted({label for split in dataset.splits.values() for label in split.label_counts})
