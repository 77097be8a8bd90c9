"""What a service that decides is asked: a choice between all labels and that none applies, or about each label."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import ProviderError
from ...labels import LabelSet, Task, none_of_these
from .prompt import PromptFile, quoted
from .provider import Request
from .recipe import Service

_AROUND = 40  # tokens of an answer besides the name of the label


@dataclass(frozen=True)
class Questions:
    """The requests for texts, in place of a :class:`~.prompt.Prompt`.

    Attributes:
        answers: the labels, and for one label per text that none applies.
        criteria: what each of ``answers`` means.
        parts: the slices of ``answers`` that a request asks about.
    """

    system: str
    labels: LabelSet
    several: bool
    answers: tuple[str, ...]
    criteria: tuple[str, ...]
    parts: tuple[slice, ...]

    @classmethod
    def of(cls, written: PromptFile, labels: LabelSet, task: Task, service: Service) -> Questions:
        """The questions of a bundle with these ``labels`` for ``service``.

        Raises:
            ProviderError: a text has one of more labels than the service can choose between.
        """
        several, none, most = task is Task.MULTILABEL, none_of_these(labels), service.provider().abilities.most_labels
        answers = labels.names if several else (*labels.names, none)
        if not several and len(answers) > most:
            raise ProviderError(
                f"the provider {service.name} chooses between at most {most - 1:,} labels, and there are "
                f"{len(labels):,}; join rare labels, or take another provider"
            )
        about = {none: written.out_of_scope, **written.descriptions}
        shown: dict[str, list[str]] = {name: [] for name in answers}
        for example in written.examples:
            for name in example.labels or (() if several else (none,)):
                shown[name].append(example.text)
        criteria = tuple(_meaning(about.get(name, name), shown[name]) for name in answers)
        parts = tuple(slice(start, start + most) for start in range(0, len(answers), most))
        return cls(" ".join(written.instructions.split()), labels, several, answers, criteria, parts)

    def requests(self, text: str, *, logprobs: bool = False) -> list[Request]:
        """The requests about ``text``: one for each part."""
        user = quoted(text)
        return [
            Request(
                system=self.system,
                user=user,
                labels=self.answers[part],
                several=self.several,
                # What a service may count that writes its probabilities down; it cannot be told a limit.
                max_tokens=sum(len(json.dumps(name)) + _AROUND for name in self.answers[part]),
                logprobs=logprobs,
                criteria=self.criteria[part],
            )
            for part in self.parts
        ]


def _meaning(about: str, examples: Sequence[str]) -> str:
    """What an answer means, with the texts that are shown for it."""
    shown = ", ".join(map(quoted, examples))
    return " ".join(about.split()) + (f" Examples: {shown}" if shown else "")
