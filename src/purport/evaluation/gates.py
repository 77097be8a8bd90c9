"""Conditions on a comparison, such as ``f1_micro>=-0.002,flips<=0.01``."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping

from ..errors import GateInvalid, did_you_mean
from ..frozen import Frozen

_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
_CONDITION = re.compile(rf"\s*(?P<name>[^<>=]+?)\s*(?P<sign><=|>=|<|>)\s*(?P<limit>{_NUMBER})\s*")
_SIGNS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


class Gate(Frozen):
    """A condition, the measured value, and whether the condition holds; it never does for an undefined value."""

    condition: str
    value: float | None
    holds: bool


def check_gates(conditions: str, measured: Mapping[str, float | None]) -> list[Gate]:
    """Check every condition of a comma-separated list.

    Raises:
        GateInvalid: a condition cannot be parsed, or its name is not in ``measured``.
    """
    gates = []
    for part in re.split(r",(?![^\[]*\])", conditions):  # commas outside brackets: label names may contain commas
        if not part.strip():
            raise GateInvalid(f'empty condition in "{conditions}"; write, for example, f1_micro>=-0.002,flips<=0.01')
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise GateInvalid(f'cannot parse the gate "{part.strip()}"; write, for example, f1_micro>=-0.002')
        name, value = match["name"], measured.get(match["name"])
        if name not in measured:
            raise GateInvalid(f'a gate cannot use "{name}".{did_you_mean(name, measured)}')
        holds = value is not None and bool(_SIGNS[match["sign"]](value, float(match["limit"])))
        gates.append(Gate(condition=part.strip(), value=value, holds=holds))
    return gates
