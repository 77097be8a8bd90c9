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


def check_gates(
    conditions: str, measured: Mapping[str, float | None], labels: Mapping[str, str] | None = None
) -> list[Gate]:
    """Check every condition of a comma-separated list; ``labels`` has the label that a measured value belongs to.

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
        label = (labels or {}).get(name, "")
        gates.append(Gate(condition=part.strip(), value=value, holds=holds, label=label))
    return gates
