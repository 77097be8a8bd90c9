"""Turns an exploration into a page."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest

import numpy as np

from ...report.figures import Figure, bar_figure, bars, heatmap, line_figure
from ...report.page import Block, Notice, Page, Section, Table, Text, cell, percent
from ...wording import count
from .exploration import Drift, Exploration, LabelFacts, SplitFacts

_MOST_SPLITS = 4  # side by side in a figure or a list
_MOST_LABELS = 40
_WIDE = 20  # shares that differ by more than this factor are drawn on a logarithmic axis
# Attributes of the vocabulary, and their titles.
_NGRAMS = {
    "bigrams": "Word pairs",
    "bigrams_without_stop_words": "Word pairs without stop words",
    "trigrams": "Word triples",
    "trigrams_without_stop_words": "Word triples without stop words",
}


def page(found: Exploration) -> Page:
    """Sizes, labels, lengths, words, n-grams, near-duplicates and drift."""
    rows = sum(split.rows for split in found.splits)
    shown = found.splits[:_MOST_SPLITS]
    sections = [
        _splits(found),
        _labels(found, shown),
        _combinations(found, shown),
        _lengths(found, shown),
        _words(shown),
        _ngrams(shown),
        _clusters(found),
    ]
    if found.drift:
        sections.append(_drift(found.drift))
    return Page(
        title=f"Dataset {found.dataset}",
        subtitle=f"{count(rows, 'row')} in {count(len(found.splits), 'split')}; fingerprint {found.fingerprint[:16]}",
        headline=[
            ("rows", f"{rows:,}"),
            ("labels", f"{found.labels:,}"),
            ("rows with several labels", percent(sum(split.several_labels for split in found.splits) / rows)),
            ("imbalance ratio", cell(found.splits[0].imbalance and round(found.splits[0].imbalance, 1))),
            ("near-duplicate clusters", f"{found.clusters:,}"),
        ],
        sections=sections,
        facts=found,
        command=f"purport explore {found.dataset} --seed {found.seed}",
    )


def _splits(found: Exploration) -> Section:
    splits = found.splits
    rows: list[tuple[object, ...]] = [
        ("rows", *(split.rows for split in splits)),
        ("unusable rows", *(split.unusable for split in splits)),
        ("rows without a label", *(split.unlabelled for split in splits)),
        ("rows with several labels", *(split.several_labels for split in splits)),
        ("repeated texts", *(split.duplicate_texts for split in splits)),
        ("repeated texts with the same labels", *(split.duplicate_rows for split in splits)),
        ("labels", *(len(split.labels) for split in splits)),
        ("labels per row", *(split.labels_per_row for split in splits)),
        ("label combinations", *(split.label_combinations for split in splits)),
        ("imbalance ratio", *(split.imbalance for split in splits)),
        ("evenness of labels", *(split.evenness for split in splits)),
        ("words, median", *(split.words.median for split in splits)),
        (f"longer than {found.token_limit} {found.token_unit}", *(percent(split.over_limit, 2) for split in splits)),
        ("vocabulary", *(split.vocabulary.vocabulary for split in splits)),
        ("words not in the first split", *(percent(split.vocabulary.unknown_words, 2) for split in splits)),
    ]
    blocks: list[Block] = [Table("Splits side by side", ("", *(split.name for split in splits)), rows)]
    for split in splits:
        for label, number in split.labels_not_in_training.items():
            text = f'"{label}" is in {count(number, "row")} of {split.name} but in no training row.'
            blocks.append(Notice("error", text))
    return Section("Splits", blocks)


def _labels(found: Exploration, shown: list[SplitFacts]) -> Section:
    names = list(dict.fromkeys(label for split in shown for label in split.labels))
    if not names:
        return Section("Labels", [Notice("error", "No row has a label, so a model has nothing to learn from.")])
    top = names[:_MOST_LABELS]
    share: dict[str, Sequence[float]] = {
        split.name: [split.labels[name].share if name in split.labels else 0.0 for name in top] for split in shown
    }
    columns = ["label", *chain.from_iterable((f"{split.name} rows", "share", "alone") for split in shown)]
    absent = LabelFacts(rows=0, share=0.0, alone=0, words=0.0, tokens=0.0, over_limit=0.0)
    rows = []
    for name in names:
        found_in = [split.labels.get(name, absent) for split in shown]
        rows.append([name, *chain.from_iterable((facts.rows, facts.share, facts.alone) for facts in found_in)])
    first = shown[0]
    ratio = ""
    if first.imbalance:
        ratio = f"In {first.name}, the most frequent label is {first.imbalance:,.1f} times as frequent as the rarest. "
    values = [value for shares in share.values() for value in shares if value]
    # Shares of similar size on a logarithmic axis would look very different.
    wide = max(values) > _WIDE * min(values)
    notes = ["log scale"] * wide + [f"the first {_MOST_LABELS} of {len(names)}"] * (len(names) > _MOST_LABELS)
    more = f" ({', '.join(notes)})" if notes else ""
    words = [
        f"{name} " + ", ".join(f"{split} {percent(share[split][at])}" for split in share)
        for at, name in enumerate(top[:10])
    ]
    title, alt = f"Share of rows with each label{more}", f"Bars of label shares: {'; '.join(words)}"
    return Section(
        "Labels",
        [
            Text(f"{ratio}Evenness is 1 if all labels are equally frequent."),
            bars("label-shares", title, alt, top, share, xlabel="share of rows", log=wide),
            Table("Labels", columns, rows, folded=len(rows) > 30),
        ],
    )


def _combinations(found: Exploration, shown: list[SplitFacts]) -> Section:
    blocks: list[Block] = []
    for split in found.splits:
        if split.combinations_not_in_training:
            new, rows = split.combinations_not_in_training, split.rows_with_new_combination
            text = (
                f"{split.name}: {count(new, 'label combination')} ({count(rows, 'row')}) not among the training rows."
            )
            blocks.append(Notice("warning", text))
    for split in shown:
        pairs = [(entry.item or "none", entry.count) for entry in split.combinations]
        blocks.append(Table(f"Label combinations in {split.name}", ("labels", "rows"), pairs, folded=True))
    if any(split.several_labels for split in found.splits):
        names = found.cooccurrence_labels
        matrix = np.array(found.cooccurrence)
        np.fill_diagonal(matrix, 0)
        counted = [(matrix[a, b], names[a], names[b]) for a, b in zip(*np.tril(matrix).nonzero(), strict=True)]
        together = "; ".join(f"{a} with {b} {number}" for number, a, b in sorted(counted, reverse=True)[:8])
        title, alt = "Labels that occur together in a row, all splits", f"Most frequent pairs: {together}"
        size = max(3.4, 0.9 + 0.2 * len(names))
        draw = heatmap(matrix, names, names, xlabel="", ylabel="")
        blocks.append(Figure("co-occurrence", title, alt, draw, size, max(4.6, size)))
    return Section("Label combinations", blocks)


def _lengths(found: Exploration, shown: list[SplitFacts]) -> Section:
    first, unit = shown[0], found.token_unit
    rows = []
    for split in found.splits:
        for measure, spread in (("characters", split.characters), ("words", split.words), (unit, split.tokens)):
            rows.append((split.name, measure, *spread.model_dump().values()))
    columns = ("split", "unit", "shortest", "median", "mean", "95th percentile", "99th percentile", "longest")
    medians = [(name, facts.words) for name, facts in first.labels.items()] or [("(no label)", first.words.median)]
    title = f"Median length in words per label, {first.name}"
    per_label = [
        (name, facts.rows, facts.words, facts.tokens, percent(facts.over_limit, 2))
        for name, facts in first.labels.items()
    ]
    heads = ("label", "rows", "words, median", f"{unit}, median", "over the limit")
    reads = (
        f"Lengths in {unit} are those of the bundle {found.tokenizer}, special tokens included. Its model reads at "
        f"most {found.token_limit} {unit}."
    )
    return Section(
        "Lengths",
        [
            Text(reads),
            Table("Lengths of texts", columns, rows, folded=len(rows) > 15),
            bar_figure("length-per-label", title, medians[:_MOST_LABELS], "{:g}", xlabel="words, median"),
            Table(f"Lengths per label, {first.name}", heads, per_label, folded=True),
        ],
    )


def _words(shown: list[SplitFacts]) -> Section:
    rows = []
    for split in shown:
        facts = split.vocabulary
        unknown = percent(facts.unknown_words, 2), percent(facts.unknown_vocabulary, 2)
        rows.append((split.name, facts.running_words, facts.vocabulary, facts.once_only, *unknown, facts.zipf_slope))
    kinds = ("words", "vocabulary", "seen once", "words not in first split", "vocabulary not in first split")
    blocks: list[Block] = [Table("Vocabulary", ("split", *kinds, "Zipf slope"), rows)]
    series = {split.name: split.vocabulary.zipf for split in shown if split.vocabulary.zipf}
    if series:
        slopes = "; ".join(f"{split.name} {cell(split.vocabulary.zipf_slope)}" for split in shown)
        title, alt = "Word frequency by rank", f"Lines on logarithmic axes; slopes: {slopes}"
        blocks.append(line_figure("zipf", title, alt, series, ("rank", "frequency"), log="xy"))
    blocks.append(_side_by_side("Most common words", shown, "most_common", folded=False))
    blocks.append(_side_by_side("Least common words", shown, "least_common"))
    return Section("Words", blocks)


def _side_by_side(title: str, shown: list[SplitFacts], attribute: str, *, folded: bool = True) -> Table:
    """A list from the vocabulary of every split, each in two columns."""
    columns = list(chain.from_iterable((split.name, "count") for split in shown))
    rows = []
    for entries in zip_longest(*(getattr(split.vocabulary, attribute) for split in shown)):
        rows.append([part for entry in entries for part in ((entry.item, entry.count) if entry else ("", None))])
    return Table(title, columns, rows, folded=folded)


def _ngrams(shown: list[SplitFacts]) -> Section:
    first = shown[0]
    blocks: list[Block] = [Text("The stop words are scikit-learn's list for English.")]
    for attribute, title in _NGRAMS.items():
        values = [(entry.item, entry.count) for entry in getattr(first.vocabulary, attribute)]
        if values:
            name = attribute.replace("_", "-")
            blocks.append(bar_figure(name, f"{title}, {first.name}", values, "{}", xlabel="occurrences"))
    blocks += [_side_by_side(f"{title}, by split", shown, attribute) for attribute, title in _NGRAMS.items()]
    return Section("Word pairs and triples", blocks)


def _clusters(found: Exploration) -> Section:
    text = (
        f"{count(found.clustered_rows, 'row')} in {count(found.clusters, 'cluster')} of texts that differ by about one "
        "word."
    )
    rows = []
    for cluster in found.largest_clusters:
        splits = ", ".join(f"{split} {number}" for split, number in cluster.splits.items())
        rows.append((cluster.size, splits, cluster.label_sets, cluster.text))
    blocks: list[Block] = [Text(text)]
    if rows:
        columns = ("rows", "splits", "different labels", "first text")
        blocks.append(Table("The largest clusters", columns, rows, folded=True))
    return Section("Near-duplicates", blocks)


def _drift(drifts: list[Drift]) -> Section:
    blocks: list[Block] = []
    rows: list[tuple[object, ...]] = []
    for d in drifts:
        auc = "–"
        if d.classifier_auc is not None:
            auc = f"{d.classifier_auc:.3f} ({d.classifier_auc_low:.3f} to {d.classifier_auc_high:.3f})"
        told, shifted = (d.classifier_auc_low or 0) > 0.6, d.label_p_value < 0.01
        words = "their words differ" if told else "their words hardly differ"
        label = "their label distributions differ" if shifted else "no significant difference in labels"
        text = f"{d.against} and {d.split}: {words} (AUC {auc}); {label} (p = {d.label_p_value:.3g})."
        blocks.append(Notice("warning" if told or shifted else "good", text))
        measures = [
            ("label distance", d.label_distance, d.label_distance_by_chance, "0: equal shares, 1: nothing in common"),
            ("label shift, p", d.label_p_value, None, "probability of a shift this large by chance"),
            ("divergence of words", d.unigram_divergence, d.unigram_divergence_by_chance, "Jensen-Shannon, bits"),
            ("divergence of word pairs", d.bigram_divergence, d.bigram_divergence_by_chance, "Jensen-Shannon, bits"),
            ("AUC of telling splits apart", d.classifier_auc, 0.5, f"{d.classifier_rows:,} rows, out of fold"),
        ]
        rows += [(d.split, *measure) for measure in measures]
    columns = ("split", "measure", "value", "by chance", "meaning")
    blocks.append(Table("Drift", columns, rows))
    return Section("Drift", blocks)
