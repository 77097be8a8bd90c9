"""Conditions on a comparison, such as ``f1_micro>=-0.002,flips<=0.01``."""

from __future__ import annotations

import operator
import re
from collections.abc import Collection, Iterator, Mapping

from ..errors import GateInvalid, did_you_mean
from ..frozen import Frozen

_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
_CONDITION = re.compile(rf"\s*(?P<name>[^<>=]+?)\s*(?P<sign><=|>=|<|>)\s*(?P<limit>{_NUMBER})\s*")
_ENDS = (".low", ".high")
_MOST_MEANT = 3
_SIGNS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


class Gate(Frozen):
    """A condition, the measured value, and whether the condition holds; it never does for an undefined value.

    ``label`` is the label that the value belongs to, where the gate is over all labels.
    """

    condition: str
    value: float | None
    holds: bool
    label: str = ""

    def __str__(self) -> str:
        value = "undefined" if self.value is None else f"{self.value:.6g}"
        label = f' for "{self.label}"' if self.label else ""
        return f"gate {self.condition} {'passed' if self.holds else 'failed'}: measured {value}{label}"


def gate_names(conditions: str) -> list[str]:
    """The names in the conditions of a comma-separated list, without ``.low`` and ``.high``.

    Raises:
        GateInvalid: a condition cannot be parsed.
    """
    return [match["name"].removesuffix(".low").removesuffix(".high") for match in _parsed(conditions)]


def check_gates(
    conditions: str,
    measured: Mapping[str, float | None],
    labels: Mapping[str, str] | None = None,
    *,
    on_request: Collection[str] = (),
) -> list[Gate]:
    """Check every condition of a comma-separated list, which may be empty.

    ``labels`` has the label that a measured value belongs to. ``on_request`` are names that would have been measured
    if a gate had used them.

    Raises:
        GateInvalid: a condition cannot be parsed, or its name is not in ``measured``.
    """
    gates = []
    for match in _parsed(conditions):
        name, value = match["name"], measured.get(match["name"])
        if name not in measured:
            if name in on_request:
                raise GateInvalid(f'"{name}" was not measured; pass the gate to the comparison itself')
            raise GateInvalid(f'a gate cannot use "{name}".{_nearest(name, {*measured, *on_request})}')
        holds = value is not None and bool(_SIGNS[match["sign"]](value, float(match["limit"])))
        label = (labels or {}).get(name, "")
        gates.append(Gate(condition=match[0].strip(), value=value, holds=holds, label=label))
    return gates


def _nearest(name: str, known: Collection[str]) -> str:
    """The names that may be meant, and where all of them are described; those of ends only for a name of an end."""
    own = [each for each in known if "." in name or not each.endswith(_ENDS)]
    meant = did_you_mean(name, own, most=_MOST_MEANT, otherwise="")
    return f"{meant} `purport compare --help` describes all names."


def _parsed(conditions: str) -> Iterator[re.Match[str]]:
    if not conditions:
        return
    for part in re.split(r",(?![^\[]*\])", conditions):  # commas outside brackets: label names may contain commas
        if not part.strip():
            raise GateInvalid(f'empty condition in "{conditions}"; write, for example, f1_micro>=-0.002,flips<=0.01')
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise GateInvalid(f'cannot parse the gate "{part.strip()}"; write, for example, f1_micro>=-0.002')
        yield match
