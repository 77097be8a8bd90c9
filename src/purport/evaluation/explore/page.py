"""An exploration as a page."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.figures import Figure, bars, bars_height, heatmap, lines
from ...report.page import Notice, Page, Section, Table, Text, cell, percent
from .facts import Counted, Drift, Exploration, SplitFacts

_MOST_SPLITS = 4  # side by side in a figure or a list
_MOST_LABELS = 40

Block = Text | Notice | Table | Figure


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
        title=f"What is in {found.dataset}",
        subtitle=f"{rows:,} rows in {len(found.splits)} splits; fingerprint {found.fingerprint[:16]}",
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
    def line(name: str, values: Sequence[object]) -> tuple[object, ...]:
        return (name, *values)

    splits = found.splits
    rows = [
        line("rows", [split.rows for split in splits]),
        line("unusable rows", [split.unusable for split in splits]),
        line("rows without a label", [split.unlabelled for split in splits]),
        line("rows with several labels", [split.several_labels for split in splits]),
        line("repeated texts", [split.duplicate_texts for split in splits]),
        line("repeated texts with the same labels", [split.duplicate_rows for split in splits]),
        line("labels", [len(split.labels) for split in splits]),
        line("labels per row", [split.labels_per_row for split in splits]),
        line("label combinations", [split.label_combinations for split in splits]),
        line("imbalance ratio", [split.imbalance for split in splits]),
        line("evenness of labels", [split.evenness for split in splits]),
        line("words, median", [split.words.median for split in splits]),
        line(f"over {found.token_limit} {found.token_unit}", [percent(split.over_limit, 2) for split in splits]),
        line("vocabulary", [split.vocabulary.vocabulary for split in splits]),
        line("words not in the first split", [percent(split.vocabulary.unknown_words, 2) for split in splits]),
    ]
    blocks: list[Block] = [Table("Splits side by side", ("", *(split.name for split in splits)), rows)]
    for split in splits:
        for label, count in split.labels_not_in_training.items():
            text = f'"{label}" stands in {count:,} rows of {split.name} and in no training row.'
            blocks.append(Notice("error", text))
    return Section("Splits", blocks)


def _labels(found: Exploration, shown: list[SplitFacts]) -> Section:
    names = list(dict.fromkeys(label for split in shown for label in split.labels))
    if not names:
        return Section("Labels", [Notice("error", "No row has a label: there is nothing to learn.")])
    share = {
        split.name: [split.labels[name].share if name in split.labels else 0.0 for name in names] for split in shown
    }
    top = names[:_MOST_LABELS]
    columns = ["label"]
    for split in shown:
        columns += [f"{split.name} rows", "share", "alone"]
    rows = []
    for name in names:
        row: list[object] = [name]
        for split in shown:
            facts = split.labels.get(name)
            row += [facts.rows, facts.share, facts.alone] if facts else [0, 0.0, 0]
        rows.append(row)
    first = shown[0]
    ratio = (
        f"the most frequent label is {first.imbalance:,.1f} times as frequent as the rarest" if first.imbalance else ""
    )
    more = f", the first {_MOST_LABELS} of {len(names)}" if len(names) > _MOST_LABELS else ""
    return Section(
        "Labels",
        [
            Text(f"In {first.name}, {ratio}. Evenness is 1 where every label is as frequent as any other."),
            Figure(
                "label-shares",
                f"Share of rows with each label, log scale{more}",
                "Bars of label shares: "
                + "; ".join(
                    f"{name} {', '.join(f'{split} {percent(share[split][at])}' for split in share)}"
                    for at, name in enumerate(top[:10])
                ),
                bars(
                    top,
                    {split: values[: len(top)] for split, values in share.items()},
                    xlabel="share of rows",
                    log=True,
                ),
                height=bars_height(len(top), len(shown)),
            ),
            Table("Labels", columns, rows, folded=len(rows) > 30),
        ],
    )


def _combinations(found: Exploration, shown: list[SplitFacts]) -> Section:
    blocks: list[Block] = []
    for split in found.splits:
        if split.combinations_not_in_training:
            blocks.append(
                Notice(
                    "warning",
                    f"{split.name}: {split.combinations_not_in_training} label combinations "
                    f"({split.rows_with_new_combination} rows) are in no training row.",
                )
            )
    for split in shown:
        pairs = [(entry.item or "none", entry.count) for entry in split.combinations]
        blocks.append(Table(f"Combinations of {split.name}", ("labels", "rows"), pairs, folded=True))
    several = any(split.several_labels for split in found.splits)
    if several:
        names = found.cooccurrence_labels
        matrix = [[0 if a == b else value for b, value in enumerate(row)] for a, row in enumerate(found.cooccurrence)]
        together = sorted(
            ((matrix[a][b], names[a], names[b]) for a in range(len(names)) for b in range(a)), reverse=True
        )[:8]
        size = max(3.4, 0.9 + 0.2 * len(names))
        blocks.append(
            Figure(
                "co-occurrence",
                "Labels that stand together in one row, all splits",
                "Most frequent pairs: " + "; ".join(f"{a} with {b} {count}" for count, a, b in together if count),
                heatmap(matrix, names, names, xlabel="", ylabel=""),
                height=size,
                width=max(4.6, size),
            )
        )
    return Section("Combinations of labels", blocks)


def _lengths(found: Exploration, shown: list[SplitFacts]) -> Section:
    rows = []
    for split in found.splits:
        for unit, spread in (
            ("characters", split.characters),
            ("words", split.words),
            (found.token_unit, split.tokens),
        ):
            numbers = (spread.smallest, spread.median, spread.mean, spread.p95, spread.p99, spread.largest)
            rows.append((split.name, unit, *numbers))
    first = shown[0]
    names = list(first.labels)[:_MOST_LABELS] or ["(no label)"]
    medians = [first.labels[name].words if name in first.labels else first.words.median for name in names]
    columns = ("split", "unit", "smallest", "median", "mean", "95 %", "99 %", "largest")
    per_label = [
        (name, facts.rows, facts.words, facts.tokens, percent(facts.over_limit, 2))
        for name, facts in first.labels.items()
    ]
    return Section(
        "Lengths",
        [
            Text(
                f"Tokens are those of {found.tokenizer}, special ones included; the model reads {found.token_limit} "
                f"{found.token_unit}."
            ),
            Table("Lengths of texts", columns, rows, folded=len(rows) > 15),
            Figure(
                "length-per-label",
                f"Median words of texts with each label, {first.name}",
                "Bars: " + "; ".join(f"{name} {value:g}" for name, value in zip(names, medians, strict=True)),
                bars(names, {"words": medians}, xlabel="words, median"),
                height=bars_height(len(names)),
            ),
            Table(
                f"Lengths per label, {first.name}",
                ("label", "rows", "words, median", f"{found.token_unit}, median", "over the limit"),
                per_label,
                folded=True,
            ),
        ],
    )


def _words(shown: list[SplitFacts]) -> Section:
    rows = [
        (
            split.name,
            split.vocabulary.running_words,
            split.vocabulary.vocabulary,
            split.vocabulary.once_only,
            percent(split.vocabulary.unknown_words, 2),
            percent(split.vocabulary.unknown_vocabulary, 2),
            split.vocabulary.zipf_slope,
        )
        for split in shown
    ]
    columns = (
        "split",
        "words",
        "vocabulary",
        "seen once",
        "words unknown to first",
        "vocabulary unknown",
        "Zipf slope",
    )
    series = {split.name: tuple(zip(*split.vocabulary.zipf, strict=True)) for split in shown if split.vocabulary.zipf}
    blocks: list[Block] = [Table("Vocabulary", columns, rows)]
    if series:
        blocks.append(
            Figure(
                "zipf",
                "Frequency of words by rank",
                "Lines on logarithmic axes; slopes: "
                + "; ".join(f"{split.name} {cell(split.vocabulary.zipf_slope)}" for split in shown),
                lines(series, xlabel="rank", ylabel="frequency", logx=True, logy=True),  # type: ignore[arg-type]
            )
        )
    blocks.append(_side_by_side("Most common words", [(s.name, s.vocabulary.most_common) for s in shown], folded=False))
    blocks.append(_side_by_side("Least common words", [(s.name, s.vocabulary.least_common) for s in shown]))
    return Section("Words", blocks)


def _side_by_side(title: str, lists: Sequence[tuple[str, list[Counted]]], *, folded: bool = True) -> Table:
    depth = max((len(entries) for _, entries in lists), default=0)
    columns = [part for name, _ in lists for part in (name, "count")]
    rows = []
    for at in range(depth):
        row: list[object] = []
        for _, entries in lists:
            row += [entries[at].item, entries[at].count] if at < len(entries) else ["", None]
        rows.append(row)
    return Table(title, columns, rows, folded=folded)


def _ngrams(shown: list[SplitFacts]) -> Section:
    first = shown[0]
    blocks: list[Block] = [Text("Stop words are those of English (scikit-learn's list).")]
    figures = (
        ("bigrams", "Word pairs", first.vocabulary.bigrams),
        ("bigrams-without-stop-words", "Word pairs without stop words", first.vocabulary.bigrams_without_stop_words),
        ("trigrams", "Word triples", first.vocabulary.trigrams),
        ("trigrams-without-stop-words", "Triples without stop words", first.vocabulary.trigrams_without_stop_words),
    )
    for name, title, entries in figures:
        if entries:
            blocks.append(
                Figure(
                    name,
                    f"{title}, {first.name}",
                    "Bars: " + "; ".join(f"{entry.item} {entry.count}" for entry in entries),
                    bars([e.item for e in entries], {"count": [e.count for e in entries]}, xlabel="occurrences"),
                    height=bars_height(len(entries)),
                )
            )
    for attribute, title in (
        ("bigrams", "Word pairs"),
        ("bigrams_without_stop_words", "Word pairs without stop words"),
        ("trigrams", "Word triples"),
        ("trigrams_without_stop_words", "Word triples without stop words"),
    ):
        lists = [(split.name, getattr(split.vocabulary, attribute)) for split in shown]
        blocks.append(_side_by_side(f"{title}, every split", lists))
    return Section("Word pairs and triples", blocks)


def _clusters(found: Exploration) -> Section:
    text = f"{found.clustered_rows:,} rows are in {found.clusters:,} clusters of texts that differ in about a word."
    rows = [
        (
            cluster.size,
            ", ".join(f"{split} {count}" for split, count in cluster.splits.items()),
            cluster.label_sets,
            cluster.text,
        )
        for cluster in found.largest_clusters
    ]
    blocks: list[Block] = [Text(text)]
    if rows:
        columns = ("rows", "splits", "different labels", "first text")
        blocks.append(Table("The largest clusters", columns, rows, folded=True))
    return Section("Near-duplicates", blocks)


def _drift(drifts: list[Drift]) -> Section:
    blocks: list[Block] = []
    for drift in drifts:
        auc = (
            "–"
            if drift.classifier_auc is None
            else f"{drift.classifier_auc:.3f} ({drift.classifier_auc_low:.3f} to {drift.classifier_auc_high:.3f})"
        )
        told = (drift.classifier_auc_low or 0) > 0.6
        words = "Words tell the splits apart" if told else "Words hardly tell the splits apart"
        shifted = drift.label_p_value < 0.01
        label = "labels are distributed otherwise" if shifted else "no shift of labels is shown"
        blocks.append(
            Notice(
                "warning" if told or shifted else "good",
                f"{drift.against} to {drift.split}: {words} (AUC {auc}); {label} (p = {drift.label_p_value:.3g}).",
            )
        )
    columns = ("split", "measure", "value", "by chance", "what it says")
    rows: list[tuple[object, ...]] = []
    for d in drifts:
        rows += [
            (
                d.split,
                "label distance",
                d.label_distance,
                d.label_distance_by_chance,
                "0 same shares, 1 none in common",
            ),
            (d.split, "label shift, p", d.label_p_value, None, "chance of so much shift without a cause"),
            (d.split, "divergence of words", d.unigram_divergence, d.unigram_divergence_by_chance, "bits"),
            (d.split, "divergence of pairs", d.bigram_divergence, d.bigram_divergence_by_chance, "bits"),
            (d.split, "two-sample AUC", d.classifier_auc, 0.5, f"{d.classifier_rows:,} rows, out of fold"),
        ]
    blocks.append(Table("Drift", columns, rows))
    return Section("Drift", blocks)
