"""The simulated autoscaler does what Kubernetes documents, and the manifest holds what the simulation shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import autoscaler
import manifests
import numpy as np
import pytest
from hpa import DOWN, UP, Autoscaler, Policy, Reading, Rules, wanted

REPORT = json.loads((Path(__file__).resolve().parents[2] / "results/autoscaler.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("current", "reading", "replicas"),
    [
        (2, Reading(mean=200, pods=2, target=100), 4),
        (2, Reading(mean=50, pods=2, target=100), 1),
        (10, Reading(mean=109, pods=10, target=100), 10),  # within the tolerance
        (10, Reading(mean=111, pods=10, target=100), 12),
        (10, Reading(mean=91, pods=10, target=100), 10),
        (10, Reading(mean=200, pods=5, target=100), 10),  # five that start count as idle
        (10, Reading(mean=300, pods=5, target=100), 15),
        (10, Reading(mean=50, pods=5, target=100), 3),
    ],
)
def test_a_metric_asks_for_the_documented_number(current: int, reading: Reading, replicas: int) -> None:
    assert wanted(current, reading) == replicas


def run(scaler: Autoscaler, means: list[float]) -> list[int]:
    """The replicas at each sync, every pod ready."""
    found = []
    for number, mean in enumerate(means):
        found.append(scaler.sync(number * 15, [Reading(mean, scaler.replicas, 100)]))
    return found


def test_pods_are_added_at_once_but_no_faster_than_the_policies_say() -> None:
    assert run(Autoscaler(1, 100), [1000, 1000, 1000, 1000]) == [5, 10, 20, 40]


def test_the_most_that_was_asked_for_in_five_minutes_stays() -> None:
    replicas = run(Autoscaler(1, 100, replicas=10), [100, *[50.0] * 21])
    assert replicas[:21] == [10] * 21
    assert replicas[21] == 5


def test_pods_are_removed_no_faster_than_the_policy_says() -> None:
    slow = Autoscaler(1, 100, UP, Rules(0, (Policy("Percent", 10, 60),)), replicas=100)
    assert run(slow, [1, 1, 1, 1, 1, 1]) == [90, 90, 90, 90, 81, 81]


def test_bounds_hold_and_the_most_of_several_metrics_counts() -> None:
    scaler = Autoscaler(3, 8, replicas=4)
    assert scaler.sync(0, [Reading(1, 4, 100), Reading(150, 4, 100)]) == 6
    assert scaler.sync(15, [Reading(1, 6, 100), Reading(900, 6, 100)]) == 8
    assert Autoscaler(3, 8, UP, Rules(0, DOWN.policies), replicas=8).sync(0, [Reading(0, 8, 100)]) == 3


def test_a_load_that_the_fewest_pods_can_answer_loses_nothing() -> None:
    found = outcome(share=0.5)
    assert (found["lost"], found["most_pods"]) == (0, autoscaler.LEAST)


def test_a_load_that_the_most_pods_cannot_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoscaler, "MOST", autoscaler.LEAST)
    found = outcome(share=2)
    _, left = autoscaler.Pod.measured().overload
    assert 0.5 < found["refused"] <= 1 - left / 2
    assert found["lost"] == pytest.approx(1, abs=0.01)  # the queues are full: whoever is answered waited too long


def outcome(share: float) -> dict[str, Any]:
    """An hour at a share of what the fewest pods can answer."""
    pod = autoscaler.Pod.measured()
    arrivals = np.full(3600, round(share * autoscaler.LEAST * pod.per_s))
    candidate = autoscaler.Candidate(cpu=100, queue=None, down=next(iter(autoscaler.DOWN)))
    return autoscaler.simulate(candidate, pod, arrivals, 5)[0]


def test_the_committed_result_is_what_the_simulation_gives() -> None:
    chosen = dict(REPORT["chosen"])
    candidate = autoscaler.Candidate(chosen["cpu"], chosen["queue"], chosen["down"])
    found, _ = autoscaler.worst(candidate, autoscaler.Pod.measured(), autoscaler.PLACED_S, less=0)
    assert found == chosen["room"]
    assert autoscaler.choose(REPORT["candidates"]) == chosen


def test_the_manifest_has_the_chosen_targets_policies_and_bounds() -> None:
    objects = manifests.render(manifests.FOLDER / "overlays" / "cpu")
    (spec,) = [each["spec"] for each in objects if each["kind"] == "HorizontalPodAutoscaler"]
    cpu, queue = spec["metrics"]
    chosen = REPORT["chosen"]
    assert cpu["resource"]["target"]["averageUtilization"] == chosen["cpu"]
    assert queue["pods"]["target"]["averageValue"] == str(chosen["queue"])
    assert rules(spec["behavior"]["scaleUp"]) == UP
    assert rules(spec["behavior"]["scaleDown"]) == autoscaler.DOWN[chosen["down"]]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (REPORT["min_replicas"], REPORT["max_replicas"])


def rules(behavior: dict[str, Any]) -> Rules:
    policies = tuple(Policy(each["type"], each["value"], each["periodSeconds"]) for each in behavior["policies"])
    return Rules(behavior["stabilizationWindowSeconds"], policies)
