"""results/serving/README.md from the JSON files beside it.

python benchmarks/serving/report.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "results" / "serving"


def main() -> None:
    found = {path.stem: json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*.json")}
    parts = [
        "# Serving",
        "Written by `python benchmarks/serving/report.py` from the JSON files beside it; do not edit. `make bench` makes all of\n"
        "them. Distinct ATIS test texts, cache off, the load generator (`wrk`, for the soak our own clients) on the same\n"
        "cores as the server. The machine is shared and drifts: read ratios, which are of runs beside each other.",
    ]
    sections = {
        "load": ("The server", load), "load-fast": ("The server with the distilled bundle", load),
        "peers": ("Beside other servers", peers), "engine": ("The engine alone", engine),
        "overload": ("Overload, and a worker that is killed", overload), "soak": ("Soak", soak),
    }  # fmt: skip
    for name, (title, section) in sections.items():
        if name in found:
            command = f"`{found[name]['command']}`, {found[name]['machine']}."
            parts += [f"## {title}", command, *section(found[name])]
    (RESULTS / "README.md").write_text("\n\n".join(parts) + "\n", "utf-8")


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table."""
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def load(found: dict[str, Any]) -> list[str]:
    names = {
        "short_1": "1 client, texts of up to 6 words",
        "poisson_50%": "Poisson, 50 %",
        "poisson_80%": "Poisson, 80 %",
    }
    rows = [
        (names.get(name, f"{name.removeprefix('closed_')} clients"), run["per_s"], *(run[f"p{q}_ms"] for q in (50, 95, 99)), run["errors"])
        for name, run in found["runs"].items()
    ]  # fmt: skip
    raw, ratio = found["engine_without_http_per_s"], found["closed_64_over_engine"]
    return [
        f"Medians of {found['rounds']} rounds. Memory of all processes {found['memory_mib']} MiB, {found['workers']} workers.",
        table(("load", "answers/s", "p50 ms", "p95 ms", "p99 ms", "errors"), rows),
        f"The engine without HTTP, one process per core, batches of 64: {raw['median']} texts/s. The server at 64 clients "
        f"reaches {ratio['median']:.0%} of that (rounds: {', '.join(f'{each:.0%}' for each in ratio['all'])}).",
    ]


def peers(found: dict[str, Any]) -> list[str]:
    rows = [
        (f"{name} {peer['version']}", *(cell for n in ("1", "16", "64") for cell in (peer["peer"][n]["per_s"], f"{peer['ratio'][n]}×")),
         peer["peer"]["64"]["p99_ms"], peer["purport"]["64"]["p99_ms"], peer["peer"]["64"]["memory_mib"])
        for name, peer in found["peers"].items()
    ]  # fmt: skip
    head = ("peer", "1 client", "ours", "16 clients", "ours", "64 clients", "ours", "p99 ms at 64", "ours", "MiB")
    notes = [f"- {name}: {peer['notes']}" for name, peer in found["peers"].items()]
    return ["Answers a second, and how many times as many ours gave beside it.", table(head, rows), "\n".join(notes)]


def engine(found: dict[str, Any]) -> list[str]:
    rows = [
        (name, each["per_s"], f"{each['over_static_int8']}×", each["one_text_ms"], f"{each['same_decisions_as_fp32']:.2%}",
         each["decisions_that_depend_on_batch_mates"], each["largest_change_by_batch_mates"])
        for name, each in found["variants"].items()
    ]  # fmt: skip
    head = (
        "variant",
        "texts/s",
        "over static int8",
        "one text ms",
        "decides as fp32",
        "flips by batch-mates",
        "largest change",
    )
    floor, spent = found["floor"], found["microseconds_per_text_by_operator"]
    kinds = sorted(
        {kind for each in spent.values() for kind in each},
        key=lambda kind: -max(e.get(kind, 0) for e in spent.values()),
    )
    operators = [(kind, *(each.get(kind, "–") for each in spent.values())) for kind in kinds[:16]]
    sums = ("all", *(round(sum(each.values()), 1) for each in spent.values()))
    return [
        table(head, rows),
        f"The floor: {floor['operations_per_text'] / 1e9:.3f} G operations a text over {floor['int8_operations_per_s'] / 1e9:.0f} G a "
        f"second, the rate of one large int8 product here: {floor['texts_per_s']} texts/s if nothing else took any time.",
        "Microseconds a text, by operator, as ONNX Runtime's profiler reports them:",
        table(("operator", *spent), [*operators, sums]),
    ]  # fmt: skip


def overload(found: dict[str, Any]) -> list[str]:
    killed = found["killed_worker"]
    return [
        f"Capacity {found['capacity_per_s']}/s, offered {found['offered_per_s']}/s for a minute: {found['accepted_per_s']}/s answered "
        f"({found['accepted_over_capacity']:.0%} of capacity), the rest {found['not_200']}. Of all answers the median took "
        f"{found['all_p50_ms']} ms, 99.8 % less than {found['all_p99_8_ms']} ms, the slowest {found['all_max_ms']} ms; the deadline is "
        f"{found['deadline_ms']} ms. In the first two seconds after: {found['first_two_seconds_after_per_s']}/s, p99 "
        f"{found['first_two_seconds_after_p99_ms']} ms.",
        f"`kill -9` of a worker under 64 clients: its process was back in {killed['process_back_s']} s, errors: {killed['not_200'] or 'none'}, "
        f"broken connections: {killed['socket_errors']}, slowest answer {killed['max_ms']} ms.",
    ]  # fmt: skip


def soak(found: dict[str, Any]) -> list[str]:
    return [
        f"{found['seconds']:g} s at {found['requests_per_s']} requests/s ({found['capacity_per_s']}/s is what the same clients get without a "
        f"pause), {found['swaps']} swaps, {found['clients_that_left']} clients that left before their answer. Statuses: {found['statuses']}. "
        f"Answers checked: {sum(found['answers_checked'].values())}, wrong: {found['wrong_answers']}, unexpected: {len(found['unexpected'])}. "
        f"p50 {found['p50_ms']} ms, p99 {found['p99_ms']} ms.",
        f"Memory after the first minute {found['memory_mib']['after_warm_up']} MiB, at the end {found['memory_mib']['end']} MiB: "
        f"growth of the minute's median {found['memory_growth']:.1%}. Descriptors {found['descriptors']['after_warm_up']} and "
        f"{found['descriptors']['end']}.",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
