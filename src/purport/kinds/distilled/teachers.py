"""Teachers: an encoder whose layers the student shares, and any bundle, of which only the probabilities are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...bundle import Bundle
from ...classifier import Classifier
from ...errors import RecipeError
from ...labels import Task
from ...manifest import Calibration, Decision, Uncalibrated
from ...model import Answers, BoolArray, FloatArray
from ...runtime.asking import ask, without_reply
from ...runtime.calibration import probabilities
from ...runtime.decision import decide
from ..encoder.batching import Collator, TokenRows
from ..encoder.fit import torch_logits
from ..encoder.network import IntentModel, losses
from ..run import Run
from .recipe import DistilledRecipe
from .supply import Drawn

_ANSWERS = "checkpoints/teacher.npz"  # what is kept of an unfinished run


class Teacher(Protocol):
    """What a student is to reproduce."""

    def to(self, where: str) -> None:
        """Move to the device ``where``, if it is a network of torch."""
        ...

    def targets(self, drawn: Sequence[Drawn]) -> FloatArray | None:
        """``(n, n_labels)``, what it says of texts, if that can be said before the student reads them."""
        ...

    def loss(self, batch: dict[str, Tensor], hidden: Tensor, logits: Tensor) -> Tensor:
        """How far the student is from it, weighted: its last ``hidden (n, tokens, width)`` and ``logits (n, labels)``.

        ``batch`` has ``input_ids``, ``attention_mask``, ``weights (n,)``, and ``targets`` if there are some.
        """
        ...

    def same(self, reference: FloatArray, rows: TokenRows, collator: Collator) -> BoolArray:
        """``(n,) bool``: whether the student, whose logits are ``reference``, decides the validation ``rows`` alike."""
        ...


class Network:
    """An encoder, of which everything is known: probabilities, logits and last hidden states."""

    def __init__(self, network: IntentModel, recipe: DistilledRecipe, calibration: Calibration, decision: Decision):
        self.network = network
        self._recipe, self._calibration, self._decision = recipe, calibration, decision

    def to(self, where: str) -> None:
        """See :class:`Teacher`."""
        self.network.to(where)

    def targets(self, drawn: Sequence[Drawn]) -> None:
        """See :class:`Teacher`. It reads what the student reads, in the same batches."""

    def loss(self, batch: dict[str, Tensor], hidden: Tensor, logits: Tensor) -> Tensor:
        """See :class:`Teacher`."""
        mask, weights, temperature = batch["attention_mask"], batch["weights"], self._calibration.temperature
        recipe = self._recipe
        with torch.no_grad():
            its_hidden, _, its_logits = self.network.read(batch["input_ids"], mask)
        its_hidden, its_logits, hidden, logits = its_hidden.float(), its_logits.float(), hidden.float(), logits.float()
        scaled = its_logits / temperature
        target = scaled.sigmoid() if recipe.task is Task.MULTILABEL else scaled.softmax(dim=1)
        learnt = (losses(logits / temperature, target, recipe.task) * weights).mean()
        tokens = mask.unsqueeze(-1).float()
        far = (its_hidden - hidden) ** 2 * tokens * weights[:, None, None]
        hidden_loss = far.sum() / (tokens.sum() * its_hidden.shape[-1])
        logits_loss = (((its_logits - logits) ** 2).sum(dim=1) * weights).mean()
        return learnt + recipe.fit.logits_weight * logits_loss + recipe.fit.hidden_weight * hidden_loss

    def same(self, reference: FloatArray, rows: TokenRows, collator: Collator) -> BoolArray:
        """See :class:`Teacher`."""
        expected = torch_logits(self.network.cpu().eval(), rows, collator)
        own, its = (
            decide(probabilities(logits, self._recipe.task, self._calibration), self._decision)
            for logits in (reference, expected)
        )
        return own.same(its)


class Answering:
    """Any bundle: its calibrated probabilities, and nothing else.

    It reads texts without the typing errors that the student reads. A bundle that asks a service is asked about each
    training and validation text once, before the training, and not about texts that are made from them.
    """

    def __init__(self, classifier: Classifier, run: Run[DistilledRecipe]) -> None:
        self._classifier, self._run = classifier, run
        # A teacher has the same labels, perhaps in another order.
        self._columns = np.array([classifier.labels.names.index(name) for name in run.labels], dtype=np.intp)
        self.remote = classifier.model.traits.remote
        self._known = self._asked_before() if self.remote else None

    def to(self, where: str) -> None:
        """See :class:`Teacher`. It answers on the CPU."""

    def targets(self, drawn: Sequence[Drawn]) -> FloatArray:
        """See :class:`Teacher`; 0 for all labels where it has no answer."""
        if self._known is not None:
            found: FloatArray = self._known[[each.row for each in drawn]]
            return found
        return self._of(self._classifier.answer([each.meant for each in drawn]))

    def loss(self, batch: dict[str, Tensor], hidden: Tensor, logits: Tensor) -> Tensor:
        """See :class:`Teacher`. Texts without an answer count nothing."""
        target = batch["targets"]
        weights = batch["weights"] * target.any(dim=1)
        return (losses(logits.float(), target, self._run.recipe.task) * weights).mean()

    def same(self, reference: FloatArray, rows: TokenRows, collator: Collator) -> BoolArray:
        """See :class:`Teacher`."""
        run, decision = self._run, self._classifier.bundle.manifest.decision
        own = probabilities(reference, run.recipe.task, Uncalibrated())
        its = self._ask(run.valid.texts)
        # A decision has an order of labels, too: that of the teacher.
        back = np.argsort(self._columns)
        return decide(own[:, back], decision).same(decide(its[:, back], decision))

    def _ask(self, texts: Sequence[str]) -> FloatArray:
        size = self._classifier.model.traits.max_batch
        return self._of(ask(self._classifier.answer, texts, self._run.reporter, size=size, what="asking the teacher"))

    def _of(self, answers: Answers) -> FloatArray:
        found: FloatArray = answers.probabilities[:, self._columns]
        return np.where(without_reply(answers)[:, None], np.float32(0), found)

    def _asked_before(self) -> FloatArray:
        """What it says of the training rows; a resumed run has it in a file."""
        run, file = self._run, Path(self._run.work, _ANSWERS)
        if run.resume and file.is_file():
            kept: NDArray[Any] = np.load(file)["probabilities"]
            if kept.shape == (len(run.train), len(run.labels)):
                return kept
        found = self._ask(run.train.texts)
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, probabilities=found)
        return found


def require_alike(bundle: Bundle, run: Run[DistilledRecipe]) -> None:
    """Check that a teacher answers the same question.

    Raises:
        RecipeError: it has another task or other labels.
    """
    ref, manifest = run.recipe.teacher.bundle, bundle.manifest
    own, its = set(run.labels.names), set(manifest.labels)
    if manifest.task is not run.recipe.task:
        raise RecipeError(
            f"teacher.bundle {ref} must have the same task: it is {manifest.task}, and the recipe says task = "
            f'"{run.recipe.task}"'
        )
    if own != its:
        lacks, more = sorted(own - its)[:3], sorted(its - own)[:3]
        said = [f"{how} {', '.join(names)}" for how, names in (("it lacks", lacks), ("only it has", more)) if names]
        raise RecipeError(
            f"teacher.bundle {ref} must have the labels of the training rows: {'; '.join(said)}; name another teacher, "
            "or correct the rows"
        )
