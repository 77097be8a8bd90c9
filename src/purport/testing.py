"""Contract tests for every implementation of an extension point, built-in or third-party.

Each function takes one implementation and raises ``AssertionError`` if it breaks the contract::

    from purport.testing import check_model

    def test_my_model():
        check_model(my_model, n_labels=3, texts=["where is my parcel", "hello"])
"""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import registry
from .bundle import Bundle
from .classifier import Classifier
from .data.formats import BadRow, Format, Layout, Row
from .errors import Unauthenticated
from .evaluation.evaluate import evaluate
from .evaluation.rows import evaluation_split
from .kinds.checks import LARGEST_CHANGE
from .kinds.kind import Kind
from .model import Answers, Model
from .progress import Event
from .training.pipeline import train
from .training.recipe import parse_recipe


class Recorder:
    """A reporter that keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        """Keep ``event``."""
        self.events.append(event)

    @property
    def lines(self) -> list[str]:
        """The text of the messages among the events."""
        return [event.text for event in self.events if hasattr(event, "text")]


def check_model(model: Model, *, n_labels: int, texts: Sequence[str]) -> None:
    """Check shapes, ranges, order, and what the traits promise. ``texts`` needs at least two different texts."""
    traits, n = model.traits, len(texts)
    together = _checked_answers(model.answer(texts), n, n_labels)
    empty = model.answer([])
    assert empty.probabilities.shape == (0, n_labels), "no texts give no rows"
    turned = model.answer(list(reversed(texts)))
    if traits.batch_invariant:
        alone = np.concatenate([model.answer([text]).probabilities for text in texts])
        change = np.abs(alone - together.probabilities).max()
        assert change <= LARGEST_CHANGE, f"an answer changes by {change:.1e} with the other texts in its batch"
        assert np.abs(turned.probabilities[::-1] - alone).max() <= LARGEST_CHANGE, "answers are in the order of texts"
    if traits.deterministic:
        again = model.answer(texts).probabilities
        assert (again == together.probabilities).all(), "the same texts get different answers"
    lengths = model.lengths(texts)
    assert lengths.unit and lengths.limit >= 1, "lengths have a unit and a limit"
    assert lengths.counts.shape == (n,) and (lengths.counts >= 0).all(), "one length per text"
    assert (together.truncated == (lengths.counts > lengths.limit)).all(), "truncated marks the texts over the limit"


def _checked_answers(answers: Answers, n: int, n_labels: int) -> Answers:
    proba, scope, embedding = answers.probabilities, answers.in_scope, answers.embedding
    assert proba.shape == (n, n_labels) and proba.dtype == np.float32, "probabilities are (n, n_labels) float32"
    assert scope.shape == (n,) and scope.dtype == np.float32, "in_scope is (n,) float32"
    for values in (proba, scope):
        assert np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all(), "probabilities are in [0, 1]"
    assert answers.truncated.shape == (n,) and answers.truncated.dtype == np.bool_, "truncated is (n,) bool"
    assert not answers.answered_by or len(answers.answered_by) == n, "answered_by names a bundle per text"
    if embedding is not None:
        assert embedding.shape[0] == n and embedding.dtype == np.float32, "embedding is (n, width) float32"
        lengths = np.linalg.norm(embedding, axis=1)
        unit = np.isclose(lengths, 1, atol=1e-3) | (lengths == 0)
        assert unit.all(), "embeddings have unit length, or are 0 where the model knows nothing of the text"
    return answers


def check_bundle(ref: Bundle | str | Path, *, texts: Sequence[str]) -> Classifier:
    """Check that a bundle opens and that its classifier gives consistent predictions; return the classifier."""
    bundle = ref if isinstance(ref, Bundle) else Bundle.open(ref)
    assert Bundle.open(bundle.path) == bundle, "opening again gives the same bundle"
    classifier = Classifier.open(bundle, threads=1)
    check_model(classifier.model, n_labels=len(bundle.labels), texts=texts)
    for prediction in classifier.predict(texts):
        confidences = [each.confidence for each in prediction.ranked]
        assert {each.label for each in prediction.ranked} == set(bundle.labels), "every label is ranked"
        assert confidences == sorted(confidences, reverse=True), "labels are ranked, most confident first"
        assert prediction.out_of_scope == (not prediction.labels), "out of scope means no label"
        assert prediction.bundle, "an answer names its bundle"
    return classifier


def check_kind(recipe: dict[str, Any], out: Path) -> Bundle:
    """Check that training ``recipe`` makes a bundle that opens, answers and can be evaluated; return the bundle."""
    kind: Kind = registry.load("kinds", recipe["kind"])
    parsed, recorder = parse_recipe(recipe), Recorder()
    assert type(parsed) is kind.recipe, "a recipe has the type that its kind declares"
    assert parse_recipe(parsed.model_dump(mode="json", exclude_none=True)) == parsed, (
        "a recipe survives a round trip through JSON"
    )
    bundle = train(parsed, out, reporter=recorder)
    assert bundle is not None and recorder.lines, "training makes a bundle and reports progress"
    assert bundle.manifest.opener == kind.opener and bundle.manifest.kind == recipe["kind"]
    name, split = evaluation_split(bundle, "valid")
    assert check_bundle(bundle, texts=list(split.texts)[:8])
    again = evaluate(Classifier.open(bundle, threads=1), split, dataset=name, resamples=10)
    measured = json.loads((bundle.path / "evaluation.json").read_text("utf-8"))["valid"]["metrics"]
    for metric, estimate in again.metrics.items():
        assert estimate.value == measured[metric]["value"] or abs(estimate.value - measured[metric]["value"]) < 1e-3, (
            f"{metric} of the bundle differs from that in its evaluation.json"
        )
    return bundle


def check_operation(operation: Any, classifier: Classifier, *, options: Any, texts: Sequence[str]) -> None:
    """Check for one JSON result per request, in order and independent of the others, and for positive costs."""
    from .serving.operations import Request

    requests = [Request(text, options) for text in texts]
    assert len({*requests}) == len({*texts}), "requests are hashable, as they are cache keys"
    assert pickle.loads(pickle.dumps(requests)) == requests, "requests can be pickled"
    assert all(operation.cost(text, classifier.bundle.manifest.model) >= 1 for text in ["", *texts]), (
        "costs are at least 1"
    )
    results = operation(classifier, requests)
    assert len(results) == len(requests), "one result per request"
    for result, request in zip(results, requests, strict=True):
        json.loads(result.body)
        assert operation(classifier, [request])[0] == result, "a result does not depend on the other requests"


def check_explainer(explainer: Any, classifier: Classifier, *, texts: Sequence[str]) -> None:
    """Check for a finite weight per word, within the calls, the same again, and that weights add up where they must."""
    from .explaining.question import Question, Units

    assert explainer.unfit(classifier.bundle) is None, "it fits the bundle"
    for text in filter(str.strip, texts):
        for calls in (8, explainer.calls):
            question = Question(classifier, Units(text, explainer.units(calls)))
            label = int(question.whole.probabilities[0].argmax())
            found = explainer(question, label, calls)
            assert question.calls <= calls + 1, "no more texts are asked than allowed"
            for values in (found.weights, *(() if found.errors is None else (found.errors,))):
                assert values.shape == (len(question.units),) and np.isfinite(values).all(), "a number for each unit"
            if found.base is not None:
                difference = found.full - found.base
                gap = abs(difference - found.weights.sum())
                assert gap <= 0.05 * abs(difference) + 1e-4, f"base and weights miss the value by {gap:.1e}"
            again = explainer(Question(classifier, Units(text, explainer.units(calls))), label, calls)
            assert (again.weights == found.weights).all(), "the same text gets the same explanation"


def check_authenticator(authenticator: Any, *, credential: str | None, wrong: str | None) -> None:
    """Check that a valid ``credential`` gives a principal and that a ``wrong`` one is rejected."""
    principal = asyncio.run(authenticator.authenticate(credential, "127.0.0.1"))
    assert principal.id and isinstance(principal.permissions, frozenset), "a principal has an id and permissions"
    assert principal == asyncio.run(authenticator.authenticate(credential, "127.0.0.1")), "the same principal each time"
    try:
        asyncio.run(authenticator.authenticate(wrong, "127.0.0.1"))
    except Unauthenticated:
        return
    raise AssertionError(f"the credential {wrong!r} is not rejected")


def check_format(format_: Format, directory: Path) -> None:
    """Check that what is written can be read back, with rows in order and labels and special characters intact."""
    rows = [("where is my parcel?", ["delivery"]), ('say "hi", please', ["greeting", "delivery"]), ("ça va, 你好", [])]
    for suffix in format_.suffixes:
        file = directory / f"table{suffix}"
        with format_.write(file, ("text", "label"), label_delimiter=";") as write:
            for text, labels in rows:
                write({"text": text, "label": labels})
        found = list(format_.read(file, Layout(label_delimiter=";")))
        assert not [row for row in found if isinstance(row, BadRow)], f"{suffix}: every row can be read again"
        good = [row for row in found if isinstance(row, Row)]
        assert [row.text for row in good] == [text for text, _ in rows], f"{suffix}: texts come back, in order"
        for row, (_, labels) in zip(good, rows, strict=True):
            given = row.label.split(";") if isinstance(row.label, str) else row.label or ()
            assert [label for label in given if label] == labels, f"{suffix}: labels come back"
        assert [row.number for row in good] == sorted({row.number for row in good}), f"{suffix}: rows are numbered"
