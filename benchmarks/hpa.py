"""The HorizontalPodAutoscaler as documented: how many pods it wants, and how fast it may get there.

https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/ (algorithm details, configurable
scaling behavior). Time is in seconds; nothing here knows of a cluster.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

SYNC_S = 15
TOLERANCE = 0.1


@dataclass(frozen=True)
class Policy:
    """At most so many pods, or so many percent of them, within a period."""

    type: Literal["Percent", "Pods"]
    value: int
    period_s: int


@dataclass(frozen=True)
class Rules:
    """How fast pods may be added, or removed: of several policies the one that allows most counts."""

    window_s: int
    policies: tuple[Policy, ...]


# What Kubernetes does where nothing is said.
UP = Rules(0, (Policy("Percent", 100, 15), Policy("Pods", 4, 15)))
DOWN = Rules(300, (Policy("Percent", 100, 15),))


@dataclass(frozen=True)
class Reading:
    """A metric's mean over the pods that have one, how many those are, and the mean that is wanted."""

    mean: float
    pods: int
    target: float


def wanted(current: int, reading: Reading) -> int:
    """The replicas that one metric asks for; pods that are not ready count as idle when it asks for more."""
    ratio = reading.mean / reading.target
    starting = current - reading.pods
    if starting <= 0 or ratio <= 1:
        return current if abs(ratio - 1) <= TOLERANCE else math.ceil(round(ratio * reading.pods, 9))
    ratio = ratio * reading.pods / current
    return current if ratio <= 1 + TOLERANCE else math.ceil(round(ratio * current, 9))


@dataclass
class Autoscaler:
    """Replicas over time: give ``sync`` the readings every ``SYNC_S`` seconds."""

    least: int
    most: int
    up: Rules = UP
    down: Rules = DOWN
    replicas: int = 0
    _asked: deque[tuple[float, int]] = field(default_factory=deque)
    _changes: deque[tuple[float, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.replicas = self.replicas or self.least

    def sync(self, now: float, readings: Sequence[Reading]) -> int:
        """The replicas from now on: the most that any metric asks for, within windows, policies and bounds."""
        most = max(wanted(self.replicas, reading) for reading in readings)
        desired = self._within_policies(now, self._steady(now, most))
        desired = min(max(desired, self.least), self.most)
        if desired != self.replicas:
            self._changes.append((now, desired - self.replicas))
            self.replicas = desired
        return desired

    def _steady(self, now: float, desired: int) -> int:
        """The least change that was asked for within the stabilisation windows."""
        self._asked.append((now, desired))
        while self._asked[0][0] < now - max(self.up.window_s, self.down.window_s):
            self._asked.popleft()
        low = min(asked for at, asked in self._asked if at >= now - self.up.window_s)
        high = max(asked for at, asked in self._asked if at >= now - self.down.window_s)
        return min(max(self.replicas, low), high)

    def _within_policies(self, now: float, desired: int) -> int:
        if desired > self.replicas:
            return min(desired, max(self._limit(now, policy, 1) for policy in self.up.policies))
        return max(desired, min(self._limit(now, policy, -1) for policy in self.down.policies))

    def _limit(self, now: float, policy: Policy, sign: int) -> int:
        """The replicas that ``policy`` allows now, reckoned from those at the beginning of its period."""
        start = self.replicas - sum(change for at, change in self._changes if at > now - policy.period_s)
        if policy.type == "Pods":
            return start + sign * policy.value
        share = start * (1 + sign * policy.value / 100)
        return math.ceil(round(share, 9)) if sign > 0 else math.floor(round(share, 9))
