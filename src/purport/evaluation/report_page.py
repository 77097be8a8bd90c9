"""Turns a report into a page."""

from __future__ import annotations

import shlex

import numpy as np

from ..labels import Task
from ..report.figures import Figure, bar_figure, heatmap, line_figure
from ..report.page import Block, Notice, Page, Section, Table, Text, percent
from ..wording import count, sentence
from .cascade_page import cascade_blocks
from .metric_table import cells, joined, number
from .promise_page import acceptance_blocks
from .report import Report
from .robustness_page import blocks
from .sentences import answers_said, notes, scope_said, title

_MOST_LABELS = 40
_MOST_CONFUSED = 80
_HEADLINE = ("f1_micro", "f1_macro", "subset_accuracy", "accuracy")


def page(found: Report) -> Page:
    """Metrics, labels, confusions, confidence, curves, slices, errors and cost."""
    evaluation = found.evaluation
    notices = [Notice("warning", said) for said in found.warnings]
    for answers in evaluation.answers:
        notices.append(Notice("warning" if answers.too_sure else "info", sentence(answers_said(answers))))
    notices.append(Notice("info", sentence(scope_said(evaluation))))
    notices += [Notice("warning" if evaluation.unseen_labels else "info", said) for said in notes(evaluation)]
    source = evaluation.split or evaluation.dataset
    return Page(
        title=f"Bundle {evaluation.bundle} on {title(evaluation)}",
        subtitle=f"{count(evaluation.n, 'row')}, {evaluation.task}, bundle of kind {found.cost.kind}; data "
        f"{evaluation.fingerprint[:16]}; {count(evaluation.resamples, 'bootstrap sample')}, seed {evaluation.seed}",
        headline=_tiles(found),
        sections=[
            Section("Metrics", [_metrics(found)]),
            Section("Labels", _labels(found)),
            Section("Confusions", _confusions(found)),
            Section("Confidence", _confidence(found)),
            Section("Answers held back", acceptance_blocks(found.acceptance)),
            *([Section("Cascade", cascade_blocks(found.cascade))] if found.cascade else []),
            Section("Curves", _curves(found)),
            Section("Slices", _slices(found)),
            *([Section("Robustness", blocks(found.robustness))] if found.robustness else []),
            Section("Worst errors", [_errors(found)]),
            Section("Size and speed", [_cost(found)]),
        ],
        facts=found,
        command=f"purport evaluate BUNDLE {shlex.quote(source)} --report DIRECTORY --seed {evaluation.seed}",
        notices=notices,
    )


def _tiles(found: Report) -> list[tuple[str, str]]:
    """The few numbers to read first."""
    evaluation = found.evaluation
    values = {name: estimate.value for name, estimate in evaluation.metrics.items()}
    tiles = []
    for answers in reversed(evaluation.answers):
        name = f"answers above {answers.above:g}" if answers.above else "decided labels"
        tiles.append((f"{answers.n:,} {name}: right / confidence", _both(answers.right.value, answers.confidence)))
    tiles.append(("calibration error of decided labels", number(values["decided_calibration_error"])))
    for pair in (("gold", "decided"), ("precision", "recall")):
        tiles.append((f"out of scope: {' / '.join(pair)}", _both(*(values[f"out_of_scope_{name}"] for name in pair))))
    tiles += [(name.replace("_", " "), number(values[name])) for name in _HEADLINE if name in values]
    return [*tiles, ("time per text", f"{found.cost.median_ms:.1f} ms")]


def _both(first: float | None, second: float | None) -> str:
    return f"{percent(first).removesuffix(' %')} / {percent(second)}"


def _metrics(found: Report) -> Table:
    rows = [(name, *cells(estimate)) for name, estimate in found.evaluation.metrics.items()]
    return Table("Metrics, with 95 % bootstrap intervals over rows", ("metric", "value", "95 % interval"), rows)


def _labels(found: Report) -> list[Block]:
    labels = sorted(found.evaluation.labels.items(), key=lambda item: -item[1].support)
    measured = [(name, label) for name, label in labels if label.f1.value is not None][:_MOST_LABELS]
    rows = [
        (name, label.support, label.predicted, *cells(label.precision), *cells(label.recall), *cells(label.f1))
        for name, label in labels
    ]
    columns = (
        "label",
        "rows",
        "predicted",
        "precision",
        "95 % interval",
        "recall",
        "95 % interval",
        "F1",
        "95 % interval",
    )
    table = Table("Per label", columns, rows, folded=len(rows) > 25)
    if not measured:
        return [table]
    title = "F1 of each label (rows in brackets), with 95 % intervals"
    values = [(f"{name} ({label.support})", label.f1.value or 0.0) for name, label in measured]
    ends = [(label.f1.low, label.f1.high) for _, label in measured]
    return [bar_figure("f1-per-label", title, values, "{:.3f}", xlabel="F1", errors=ends), table]


def _confusions(found: Report) -> list[Block]:
    blocks: list[Block] = []
    if found.confusion and len(found.confusion_labels) <= _MOST_CONFUSED:
        counts = np.array(found.confusion)  # (n_labels + 1, n_labels + 1)
        kept = np.flatnonzero(counts.any(axis=1) | counts.any(axis=0)).tolist()
        size = max(4.2, 1.4 + 0.19 * len(kept))
        wrong = counts.sum() - np.trace(counts)
        names = [[*found.confusion_labels, "none"][row] for row in kept]
        draw = heatmap(counts[np.ix_(kept, kept)], names, names, xlabel="decided", ylabel="gold")
        title = "Gold label (rows) by decided label (columns); shades show the square root of the count"
        alt = f"Confusion matrix of {len(kept)} labels with {wrong} rows off the diagonal, which are listed below."
        blocks.append(Figure("confusion", title, alt, draw, size, size + 0.4))
    if found.set_confusions:
        title, folded = "Confused label sets", len(found.set_confusions) > 15
        blocks.append(Table(title, ("gold", "decided", "rows"), found.set_confusions, folded=folded))
    else:
        blocks.append(Text("Every row was classified correctly."))
    counted = [(name, *two.model_dump().values()) for name, two in found.two_by_two.items()]
    heads = ("label", "true positives", "false positives", "false negatives", "true negatives")
    return [*blocks, Table("Each label against the rest", heads, counted, folded=True)]


def _confidence(found: Report) -> list[Block]:
    centres = [round(0.025 + 0.05 * at, 3) for at in range(20)]
    counts = {"right": found.confidence_right, "wrong": found.confidence_wrong}
    cases = "most likely labels" if found.evaluation.task is Task.MULTICLASS else "all pairs of row and label"
    reliability = {
        "uncalibrated": found.reliability_before,
        "calibrated": found.reliability_after,
        "decided labels": found.reliability_decided,
    }
    needed = "" if found.confidence_at_99 is None else f" (confidence at least {found.confidence_at_99:.6g})"
    multiclass = found.evaluation.task is Task.MULTICLASS
    what = (
        "of its label, or that this label is wrong where none is decided"
        if multiclass
        else "that every label is decided correctly"
    )
    return [
        Text(
            f"The confidence of an answer is the probability {what}. If only the most confident answers are used, "
            f"{percent(found.coverage_at_99)} of the rows can be answered{needed} with 99 % of them exactly right. "
            f"The calibration temperature is {found.temperature:.3g}."
        ),
        line_figure(
            "confidence",
            "Confidence of right and wrong answers (rows, log scale)",
            f"{sum(found.confidence_right)} right answers, {found.confidence_right[-1]} of them above 0.95; "
            f"{sum(found.confidence_wrong)} wrong answers, {found.confidence_wrong[-1]} of them above 0.95.",
            {name: [(x, n or 0.5) for x, n in zip(centres, rows, strict=True)] for name, rows in counts.items()},
            ("confidence", "rows (0 is drawn at the bottom)"),
            log="y",
            markers=True,
        ),
        line_figure(
            "reliability",
            f"Reliability of {cases} before and after calibration, and of the decided labels",
            "Decided labels: "
            + "; ".join(f"confidence {a:.2f}, correct {b:.2f} ({n} cases)" for a, b, n in found.reliability_decided),
            {name: [point[:2] for point in points] for name, points in reliability.items() if points},
            ("mean confidence", "share correct"),
            diagonal=True,
            markers=True,
        ),
        *_coverage(found),
    ]


def _coverage(found: Report) -> list[Block]:
    """How many rows can be answered, and how many of those correctly, as the required confidence rises."""
    coverage = found.accuracy_coverage
    at_half = next(point for point in found.thresholds if point[0] == 0.5)
    names = ("precision, micro", "recall, micro", "exact match")
    return [
        line_figure(
            "accuracy-coverage",
            "Right answers by share of rows answered, most confident first",
            f"{percent(coverage[0][1])} right at {percent(coverage[0][0])} of rows, "
            f"{percent(coverage[-1][1])} right at all rows.",
            {"precision": coverage},
            ("coverage: share of rows answered", "share exactly right"),
        ),
        line_figure(
            "thresholds",
            "Metrics if every label had the same threshold",
            "At 0.5: precision {1:.3f}, recall {2:.3f}, exact match {3:.3f}".format(*at_half),
            {name: [(point[0], point[at]) for point in found.thresholds] for at, name in enumerate(names, start=1)},
            ("threshold", "value"),
        ),
    ]


def _curves(found: Report) -> list[Block]:
    chosen = found.curves[:6]
    names = ", ".join(curve.name for curve in chosen)
    roc = {curve.name: curve.roc for curve in chosen if curve.roc}
    title = "ROC of all labels together and of the most frequent labels"
    axes = ("false positive rate", "true positive rate")
    return [
        line_figure("roc", title, f"True against false positive rate for {names}", roc, axes, diagonal=True),
        line_figure(
            "precision-recall",
            "Precision against recall",
            f"Precision against recall for {names}",
            {curve.name: curve.precision_recall for curve in chosen if curve.precision_recall},
            ("recall", "precision"),
        ),
    ]


def _slices(found: Report) -> list[Block]:
    values = [(f"{part.name} ({part.n:,})", part.exact_match) for part in found.slices]
    ends = [(part.low, part.high) for part in found.slices]
    rows = [(part.name, part.n, part.exact_match, f"{part.low:.4f} to {part.high:.4f}") for part in found.slices]
    title = "Exact match on subsets of the rows, with 95 % intervals"
    return [
        bar_figure("slices", title, values, "{:.3f}", xlabel="exact match", limit=46, errors=ends),
        Table("Slices", ("slice", "rows", "exact match", "95 % interval (Wilson)"), rows),
    ]


def _errors(found: Report) -> Table:
    rows = []
    for error in found.worst_errors:
        top = ", ".join(f"{label} {probability:.3f}" for label, probability in error.top)
        sets = joined(error.gold), joined(error.decided)
        rows.append((str(error.row), error.text, *sets, error.confidence, top))
    columns = ("row", "text", "gold", "decided", "confidence", "most likely labels")
    return Table(f"The most confident of {found.errors:,} wrong answers", columns, rows)


def _cost(found: Report) -> Table:
    cost = found.cost
    rows = [
        ("bundle size", f"{cost.bytes / 1e6:.1f} MB"),
        ("time per text, median", f"{cost.median_ms:.2f} ms"),
        ("time per text, 95th percentile", f"{cost.p95_ms:.2f} ms"),
        ("throughput in batches", f"{cost.texts_per_second:,.0f} texts per second"),
        ("machine", cost.machine),
    ]
    return Table("Size and speed of this bundle", ("measure", "value"), rows)
