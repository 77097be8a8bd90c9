"""The models of a server by name, what each was before, and what it costs to ask them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

from ..bundle import Bundle
from ..errors import ModelUnknown, NothingBefore, did_you_mean

_NUMBERS = itertools.count(1)
# Characters that a token stands for, roughly; what the estimate gets wrong, the measured cost evens out.
_CHARACTERS = 4
_OVERHEAD_UNITS = 3
_FIRST_COST_S = 2e-4
_SMOOTHING = 0.1


@dataclass(eq=False)
class Generation:
    """One bundle as it was loaded once. A swap makes a new one; requests keep the one they came in with.

    ``cost`` is the measured time of a worker per unit in seconds, ``text_cost`` that per text; units estimate tokens.
    ``under_way`` counts texts that wait or are being answered.
    """

    bundle: Bundle
    number: int = field(default_factory=lambda: next(_NUMBERS))
    cost: float = _FIRST_COST_S
    text_cost: float = 0.0
    under_way: int = 0

    def units(self, text: str) -> int:
        """An estimate of the tokens that are read of ``text``."""
        return min(len(text) // _CHARACTERS, self._most_tokens()) + _OVERHEAD_UNITS

    def _most_tokens(self) -> int:
        return int(self.bundle.manifest.model.get("max_length", 512))

    def observe(self, texts: int, units: int, seconds: float) -> None:
        """Learn from a batch; moves slowly, and never far at once: one stall is not a slower model."""
        seen = min(seconds / units, 4 * self.cost)
        self.cost += _SMOOTHING * (seen - self.cost)
        self.text_cost += _SMOOTHING * (seen * units / texts - self.text_cost)


@dataclass
class Model:
    """What a name stands for now, and what it stood for before the last change."""

    name: str
    current: Generation
    previous: Generation | None = None

    @property
    def path(self) -> Path:
        """Where the current bundle lies."""
        return self.current.bundle.path


class Models:
    """The models of a server by name; the first is the default."""

    def __init__(self) -> None:
        self._by_name: dict[str, Model] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    def all(self) -> list[Model]:
        """Every model, the default first."""
        return list(self._by_name.values())

    def get(self, name: str | None = None) -> Model:
        """The model called ``name``, or the default.

        Raises:
            ModelUnknown: there is none.
        """
        if name is None:
            return next(iter(self._by_name.values()))
        try:
            return self._by_name[name]
        except KeyError:
            raise ModelUnknown(f'There is no model "{name}".{did_you_mean(name, self._by_name)}') from None

    def find(self, name: str) -> Model | None:
        """The model called ``name``, if there is one."""
        return self._by_name.get(name)

    def put(self, name: str, generation: Generation) -> Generation | None:
        """Let ``name`` stand for ``generation``; returns the generation that nothing can bring back any more."""
        model = self._by_name.get(name)
        if model is None:
            self._by_name[name] = Model(name, generation)
            return None
        forgotten, model.previous, model.current = model.previous, model.current, generation
        return forgotten

    def roll_back(self, name: str) -> Model:
        """Exchange what ``name`` stands for with what it stood for before.

        Raises:
            ModelUnknown, NothingBefore: there is nothing to go back to.
        """
        model = self.get(name)
        if model.previous is None:
            raise NothingBefore(f'Model "{name}" has had no other bundle since the server started.')
        model.current, model.previous = model.previous, model.current
        return model
