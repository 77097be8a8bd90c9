"""What terminal, page and model card say alike of an evaluation and of a bundle's calibration."""

from __future__ import annotations

from collections.abc import Iterator

from ..labels import Task
from ..manifest import Calibration, Decision, Likeliest, Manifest, PerLabel, Temperature
from ..promise import Promised
from ..runtime.decision import DEFAULT_THRESHOLD
from ..wording import count, percent
from .evaluate import Evaluation, SureAnswers
from .metric_table import interval, number

ENOUGH_ROWS = 200
"""Validation rows below which a fitted temperature or threshold is only a rough guess."""
_EDGE = 0.01  # relative distance from a bound at which a search has not ended by itself


def title(evaluation: Evaluation) -> str:
    """The dataset and the split; a file's name alone."""
    return f"{evaluation.dataset} {evaluation.split}".strip()


def scores(evaluation: Evaluation) -> str:
    """The two metrics that sum up an evaluation, with intervals and rows."""
    names = ("accuracy", "f1_macro") if evaluation.task is Task.MULTICLASS else ("f1_micro", "subset_accuracy")
    found = [
        f"{name} {number(evaluation.metrics[name].value)} ({interval(evaluation.metrics[name])})" for name in names
    ]
    return f"{', '.join(found)} on {count(evaluation.n, 'row')}"


def headline(evaluation: Evaluation) -> Iterator[str]:
    """First what matters most: whether answers are right as often as they are sure, and what is out of scope."""
    yield from map(answers_said, evaluation.answers)
    if "out_of_scope_gold" in evaluation.metrics:
        yield scope_said(evaluation)


def answers_said(answers: SureAnswers) -> str:
    """``answers above 0.95: 412, of which 79.1 % right (confidence 96.8 %)``."""
    name = f"answers above {answers.above:g}" if answers.above else "labels decided"
    if not answers.n:
        return f"{name}: none"
    right, sure = percent(answers.right.value), percent(answers.confidence)
    doubt = ", too sure" if answers.too_sure else ""
    return f"{name}: {answers.n:,}, of which {right} right (confidence {sure}){doubt}"


def scope_said(evaluation: Evaluation) -> str:
    """How many rows are out of scope, how many are decided so, and how well the two agree."""
    shares = [evaluation.metrics[f"out_of_scope_{name}"].value or 0.0 for name in ("gold", "decided")]
    gold, decided = (round(share * evaluation.n) for share in shares)
    precision, recall = (evaluation.metrics[f"out_of_scope_{name}"].value for name in ("precision", "recall"))
    if not gold and not decided:
        return "out of scope: no row is, and every row got a label, so precision and recall are undefined"
    said = (
        f"out of scope: {gold:,} of {count(evaluation.n, 'row')} ({percent(shares[0])}), "
        f"no label decided for {decided:,} ({percent(shares[1])}); precision {percent(precision)}, "
        f"recall {percent(recall)}"
    )
    if not decided:
        return f"{said} (every row got a label, so precision is undefined)"
    return said if gold else f"{said} (no row is out of scope, so recall is undefined)"


def promise_lines(promised: Promised) -> Iterator[str]:
    """Each promise with what the calibration rows say of it, what it costs, and what it assumes."""
    rows = count(promised.rows, "calibration row")
    for kept in promised.terms:
        limit = "up to" if kept.promise.at_most else "down to"
        yield (
            f"promise {kept.promise}: {kept.promise.meaning}, with certainty {promised.certainty:g}; on the "
            f"calibration rows {percent(kept.observed)} ({limit} {percent(kept.bound)})"
        )
    held = f"answers with an acceptance score below {promised.accept_at:.3g} are held back"
    yield (
        f"{percent(promised.answered)} of {rows} with a label are answered (at least "
        f"{percent(promised.answered_at_least)}); {held if promised.accept_at else 'no answer is held back'}"
    )
    yield promised.assumption


def share_said(promised: Promised) -> str:
    """The shares of messages out of scope that a promise is made for."""
    low, high = promised.out_of_scope_share
    if not promised.depends_on_share:
        return "what is promised does not depend on that share"
    if not high:
        return "the promise is for traffic without messages out of scope"
    return f"the promise is for {percent(low)} to {percent(high)}"


def notes(evaluation: Evaluation) -> Iterator[str]:
    """What the metrics do not measure: labels that the model does not know, and labels without rows."""
    for label, rows in evaluation.unseen_labels.items():
        counted = "this row counts as an error" if rows == 1 else "these rows count as errors"
        yield f'"{label}" ({count(rows, "row")}) is not a label of the model; {counted}.'
    if evaluation.left_out:
        yield f"Excluded from averages over labels, as they have no gold rows: {', '.join(evaluation.left_out)}."


def warnings_of(manifest: Manifest) -> list[str]:
    """The :func:`calibration_warnings` of a bundle."""
    rows, more = manifest.provenance.rows.get("valid"), manifest.provenance.cross_fitted
    return [] if rows is None else calibration_warnings(manifest.calibration, manifest.decision, rows, more)


def calibration_warnings(calibration: Calibration, decision: Decision, rows: int, more: int = 0) -> list[str]:
    """Why the confidences or thresholds that were fitted on ``rows`` validation rows may not be trusted.

    ``more`` is the number of training rows that they were fitted on as well, from models that had not seen them.
    """
    found, fitted = [], []
    if isinstance(calibration, Temperature):
        fitted.append("temperature")
        low, high = Temperature.searched
        if calibration.temperature <= low * (1 + _EDGE):
            found.append(
                f"The temperature {calibration.temperature:g} is the lowest that is tried: the model makes next to no "
                "error on the validation rows, so nothing holds its confidence down. It will be too sure. Look for "
                "validation rows that repeat training rows (purport doctor), and validate on more rows."
            )
        if calibration.temperature >= high * (1 - _EDGE):
            found.append(
                f"The temperature {calibration.temperature:g} is the highest that is tried: on the validation rows the "
                "model's scores say next to nothing. Check that train and validation rows have the same kind of labels."
            )
    if isinstance(decision, Likeliest) and decision.fitted:
        fitted.append("threshold")
    if isinstance(decision, PerLabel) and decision.fitted and set(decision.thresholds) - {DEFAULT_THRESHOLD}:
        fitted.append("thresholds")
    if fitted and rows + more < ENOUGH_ROWS:
        seen = (f"{count(more, 'training row')} and " if more else "") + count(rows, "validation row")
        what, verb = " and ".join(fitted), "rests" if fitted in (["temperature"], ["threshold"]) else "rest"
        found.append(
            f"Take every confidence as a rough guess: the {what} {verb} on {seen}, fewer than {ENOUGH_ROWS}. Validate "
            "on more rows."
        )
    return found
