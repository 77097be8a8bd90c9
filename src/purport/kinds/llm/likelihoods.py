"""The seam to models that run in this process: the log-likelihood of each allowed answer, nothing is generated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Tokens = Sequence[int]
Likely = NDArray[np.float64]


class LocalModel(Protocol):
    """A causal language model in memory. It is used by one thread at a time."""

    context: int
    """Most tokens of a prompt and an answer together."""

    def prompt(self, system: str, user: str) -> list[int]:
        """The tokens of a conversation up to where the answer begins; ``user`` is one JSON string."""
        ...

    def answer(self, text: str) -> list[int]:
        """The tokens of an answer, one or more."""
        ...

    def keep(self, prefix: Tokens) -> None:
        """Remember what prompts usually begin with, so that it is read once."""
        ...

    def score(self, prompts: Sequence[Tokens], answers: Answers) -> Likely:
        """The natural logarithm of the probability of each answer after each prompt, ``(n_prompts, n_answers)``.

        It is the sum over all tokens of an answer.
        """
        ...

    def verified(self, prompts: Sequence[Tokens], answers: Answers) -> bool:
        """Whether :meth:`score` gives what reading each answer alone gives; if not, it reads them alone from now on."""
        ...


class Node(NamedTuple):
    """A token, and the number of the one before it: ``-1`` where it is the first."""

    token: int
    before: int


@dataclass(frozen=True)
class Answers:
    """Answers as a tree, in which those that begin alike share nodes: what they share is computed once.

    Attributes:
        tokens: those of each answer.
        nodes: every node comes after the one before it.
        paths: the nodes of each answer.
    """

    tokens: tuple[tuple[int, ...], ...]
    nodes: tuple[Node, ...]
    paths: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, answers: Sequence[Tokens]) -> Answers:
        """The tree of ``answers``."""
        numbers: dict[Node, int] = {}
        paths = []
        for answer in answers:
            path: list[int] = []
            for token in answer:
                node = Node(token, path[-1] if path else -1)
                path.append(numbers.setdefault(node, len(numbers)))
            paths.append(tuple(path))
        return cls(tuple(map(tuple, answers)), tuple(numbers), tuple(paths))

    @property
    def longest(self) -> int:
        """Tokens of the longest answer."""
        return max(map(len, self.tokens))

    @cached_property
    def after(self) -> dict[int, list[int]]:
        """The nodes that come after each node that has any; after -1, those that answers begin with."""
        found: dict[int, list[int]] = {}
        for number, node in enumerate(self.nodes):
            found.setdefault(node.before, []).append(number)
        return found

    def summed(self, each: NDArray[np.float64]) -> NDArray[np.float64]:
        """The log-likelihood of each answer from that of each node ``(n_nodes,)``."""
        return np.array([each[list(path)].sum() for path in self.paths])


def shared(tokens: Tokens, other: Tokens) -> int:
    """How many tokens both begin with."""
    different = (n for n, (one, two) in enumerate(zip(tokens, other, strict=False)) if one != two)
    return next(different, min(len(tokens), len(other)))


class Question(NamedTuple):
    """A token whose successors are wanted: for prompt ``row``, after node ``after`` of the answers (-1: the prompt)."""

    row: int
    after: int


@dataclass(frozen=True)
class Pack:
    """Several prompts with all answers in one sequence, behind a prefix that all of them share.

    Every token sees the prefix, and of the sequence what comes before it in its own prompt and answer: the answers to a
    text cannot depend on the texts beside it.

    Attributes:
        tokens: ``(n,)``.
        depths: ``(n,)``, the place of each token behind the prefix.
        sees: ``(n, n) bool``, whether a token sees another one.
        questions: where successors are wanted, by number of the token.
    """

    tokens: NDArray[np.int64]
    depths: NDArray[np.int64]
    sees: NDArray[np.bool_]
    questions: dict[int, Question]

    @classmethod
    def of(cls, prompts: Sequence[Tokens], answers: Answers) -> Pack:
        """The sequence of ``prompts`` (without the prefix, at least a token each)."""
        nodes: list[Node] = []
        questions = {}
        for row, prompt in enumerate(prompts):
            before = -1
            for token in prompt:
                nodes.append(Node(token, before))
                before = len(nodes) - 1
            questions[before] = Question(row, -1)
            numbers = {-1: before}
            for inner in sorted(
                answers.after.keys() - {-1}
            ):  # the last token of an answer is not fed: nothing comes after it
                node = answers.nodes[inner]
                nodes.append(Node(node.token, numbers[node.before]))
                numbers[inner] = len(nodes) - 1
                questions[numbers[inner]] = Question(row, inner)
        sees, depths = np.eye(len(nodes), dtype=np.bool_), np.zeros(len(nodes), dtype=np.int64)
        for number, node in enumerate(nodes):
            if node.before >= 0:
                sees[number] |= sees[node.before]
                depths[number] = depths[node.before] + 1
        return cls(np.array([node.token for node in nodes]), depths, sees, questions)


def groups(sizes: Sequence[int], most: int) -> Iterator[slice]:
    """Consecutive items whose ``sizes`` together are at most ``most``; a larger one is alone."""
    start = total = 0
    for number, size in enumerate(sizes):
        if number > start and total + size > most:
            yield slice(start, number)
            start, total = number, 0
        total += size
    if sizes:
        yield slice(start, len(sizes))
