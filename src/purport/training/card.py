"""The model card: a bundle's README.md, written from the facts in the bundle."""

from __future__ import annotations

from collections.abc import Mapping

from ..data.facts import RARE, DataFacts
from ..evaluation.evaluate import Evaluation
from ..evaluation.metric_table import interval, metric_rows, number
from ..manifest import Likeliest, Manifest, Temperature


def model_card(manifest: Manifest, data: DataFacts, measured: Mapping[str, Evaluation]) -> str:
    """Markdown: what the model is, what it was trained on, what was measured, and what it is not for."""
    provenance = manifest.provenance
    names = sorted(provenance.rows, key=lambda name: (name != "train", name != "valid", name))
    rows = ", ".join(f"{provenance.rows[name]:,} {name}" for name in names)
    facts = manifest.model.model_dump(mode="json")
    model = ", ".join(f"{name} {value}" for name, value in sorted(facts.items()) if not isinstance(value, dict))
    lines = [
        f"# {provenance.dataset}: {manifest.task} intent classifier",
        "",
        "Written by `purport train`; every number below is in `evaluation.json`, `data.json` or `manifest.json`.",
        "",
        f"- **Kind**: {manifest.kind} ({model})",
        f"- **Labels** ({len(manifest.labels)}): {', '.join(f'`{label}`' for label in manifest.labels)}",
        f"- **Data**: {provenance.dataset}, {rows} rows, fingerprint `{provenance.fingerprint[:16]}`",
        f"- **Calibration**: {_calibration(manifest)}",
        f"- **Decision**: {_decision(manifest)}",
    ]
    lines += [f"- **Check** {name.replace('_', ' ')}: {value:g}" for name, value in sorted(manifest.checks.items())]
    lines += _data(data)
    for name, evaluation in measured.items():
        lines += ["", f"## Measured on {name} ({evaluation.n:,} rows)", ""]
        lines += ["| metric | value | 95 % interval |", "|---|---|---|"]
        lines += [f"| {metric} | {value} | {interval} |" for metric, value, interval in metric_rows(evaluation)]
        lines += _labels(evaluation)
        for label, count in evaluation.unseen_labels.items():
            lines += ["", f"`{label}` ({count} rows) is not a label of this model: those rows count as errors."]
        if evaluation.left_out:
            lines += ["", f"No gold rows, so left out of means over labels: {', '.join(evaluation.left_out)}."]
    tested = "the test split was measured once" if "test" in measured else "there was no test split to measure"
    lines += [
        "",
        "## Limits",
        "",
        "The numbers hold for utterances like those of the data above, in their language. What is fitted above was "
        f"fitted on the validation split; {tested}. A text longer than the model reads is answered from its beginning, "
        "and the answer says so.",
        "",
    ]
    return "\n".join(lines)


def _calibration(manifest: Manifest) -> str:
    if isinstance(manifest.calibration, Temperature):
        return f"temperature {manifest.calibration.temperature:.4g}, fitted on the validation split"
    return "none: probabilities are those of the model as it was trained"


def _decision(manifest: Manifest) -> str:
    decision = manifest.decision
    if isinstance(decision, Likeliest):
        below = decision.reject_below
        return "the likeliest label" + (f"; out of scope below {below:g}, as the recipe says" if below else "")
    if not decision.fitted:
        return f"every label from {decision.thresholds[0]:g} up, as the recipe says"
    pairs = zip(manifest.labels, decision.thresholds, strict=True)
    moved = [f"{label} {threshold:.3g}" for label, threshold in pairs if threshold != 0.5]
    return "every label from 0.5 up" + (f"; fitted on the validation split: {', '.join(moved)}" if moved else "")


def _data(data: DataFacts) -> list[str]:
    """What is known of the training data, its defects first."""
    total = sum(data.labels.values())
    most = next(iter(data.labels))
    lines = [
        "",
        "## The data",
        "",
        f"- `{most}` is {100 * data.labels[most] / total:.1f} % of all labels given; rows with several labels: "
        f"{data.several_labels:,}.",
    ]
    if data.rare:
        rare = ", ".join(f"`{label}` ({data.labels[label]})" for label in data.rare)
        lines.append(f"- Labels with fewer than {RARE} training rows, of which little can be expected: {rare}.")
    if data.repeated or data.contradicted:
        lines.append(
            f"- Training rows that repeat an earlier text: {data.repeated:,}; "
            f"whose text stands under other labels too: {data.contradicted:,}."
        )
    for split, count in data.leaked.items():
        if count:
            lines.append(f"- Rows of {split} whose text stands in train too: {count:,}; they make {split} look easier.")
    return lines


def _labels(evaluation: Evaluation) -> list[str]:
    """Every label, the weakest first."""
    rows = sorted(
        ((name, label) for name, label in evaluation.labels.items() if label.f1.value is not None),
        key=lambda item: (item[1].f1.value, item[0]),
    )
    lines = ["", "| label | rows | precision | recall | F1 | 95 % of F1 |", "|---|---|---|---|---|---|"]
    for name, label in rows:
        values = " | ".join(number(part.value) for part in (label.precision, label.recall, label.f1))
        lines.append(f"| `{name}` | {label.support:,} | {values} | {interval(label.f1)} |")
    return lines
