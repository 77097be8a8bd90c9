"""Integrated gradients of an encoder's logit, from the weights that its bundle keeps."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import ValidationError

from ...bundle import Bundle
from ...errors import MethodUnfit
from ...explaining.explainer import Weighed
from ...explaining.question import Question, Read, read_of
from ...model import BoolArray
from ...optional import needs
from ...runtime.calibration import Calibrated
from ...runtime.onnx import OnnxScorer

if TYPE_CHECKING:
    from .network import IntentModel

_WEIGHTS = "adapter/trained.safetensors"
_FIRST_STEPS = 32
_COMPLETE = 0.005  # gap, as a share of the difference of the logits, from which on no more steps are made
_AT_ONCE = 16  # steps in a pass
_NOTE = (
    "A weight is the sum over the tokens of the word of the gradient of the logit, integrated on the way from a text "
    "of {baseline} to this one, by the trained weights in full precision. Base, the logit of that text, and weights "
    "add up to the logit, but for the gap of {share:.2%} of the difference that {steps} steps leave."
)


class IntegratedGradients:
    """Integrated gradients (Sundararajan et al. 2017) over the token embeddings, by Captum.

    Steps are doubled until what is missing is below half a percent of the difference, or ``calls`` are used up. The
    last restored model is kept.

    Args:
        baseline: the tokens of the text that says nothing: ``pad``, or ``mask`` where the tokenizer has such a token.
    """

    calls = 1024
    served = False

    def __init__(self, baseline: Literal["pad", "mask"] = "pad") -> None:
        self._baseline = baseline
        self._held: tuple[str, IntentModel] | None = None

    def unfit(self, bundle: Bundle) -> str | None:
        """See :class:`~purport.explaining.explainer.Explainer`: it needs the trained weights."""
        if bundle.manifest.kind == "encoder" and _WEIGHTS in bundle.manifest.files:
            return None
        return "only bundles of kind encoder keep the weights that gradients need; use shapley"

    def units(self, calls: int) -> int:
        """See :class:`~purport.explaining.explainer.Explainer`: it asks no text again."""
        return 2**20

    def plan(self, n: int, calls: int) -> BoolArray:
        """See :class:`~purport.explaining.explainer.Explainer`: nothing."""
        return np.zeros((0, n), dtype=np.bool_)

    def __call__(self, question: Question, label: int, calls: int) -> Weighed:
        """See :class:`~purport.explaining.explainer.Explainer`; a step counts as a call."""
        with needs("integrated gradients", "explain"):
            import torch
            from captum.attr import LayerIntegratedGradients

        model, scorer = self._restored(question.answering.bundle), _scorer(question)
        read = read_of(question)
        located = scorer.reader.located(read.text)
        ids = torch.tensor([[token for token, _ in located]])
        blank = self._blank(scorer)
        start = torch.tensor([[token if place is None else blank for token, place in located]])
        mask = torch.ones_like(ids)

        def forward(tokens: Any, attention: Any) -> Any:
            return model(tokens, attention)[:, label]

        method = LayerIntegratedGradients(forward, model.encoder.get_input_embeddings())  # type: ignore[operator]
        with torch.no_grad():
            full, base = float(forward(ids, mask)[0]), float(forward(start, mask)[0])
        steps = min(_FIRST_STEPS, calls)
        while True:
            found = method.attribute(ids, start, additional_forward_args=(mask,), n_steps=steps,
                                     internal_batch_size=_AT_ONCE)  # fmt: skip
            tokens = found[0].sum(dim=-1).double().numpy()
            share = abs(full - base - float(tokens.sum())) / max(abs(full - base), 1e-9)
            if share <= _COMPLETE or 2 * steps > calls:
                break
            steps *= 2
        note = _NOTE.format(baseline=f"{self._baseline} tokens", share=share, steps=steps)
        return Weighed(_merged(tokens, located, read, question), "logit", full, base, note=note + read.note)

    def _restored(self, bundle: Bundle) -> IntentModel:
        if self._held is None or self._held[0] != bundle.manifest.id:
            with needs("integrated gradients", "explain"):
                from .recipe import EncoderRecipe
                from .restoring import restored
            try:
                recipe = EncoderRecipe.model_validate({**bundle.manifest.recipe, "decide": {}})
            except ValidationError:
                raise MethodUnfit(
                    f"the recipe of bundle {bundle.manifest.id} is that of another version; train it again"
                ) from None
            model = restored(bundle, recipe).requires_grad_(False)
            self._held = bundle.manifest.id, model
        return self._held[1]

    def _blank(self, scorer: OnnxScorer) -> int:
        """The token of the text that says nothing."""
        if self._baseline == "pad":
            return scorer.reader.pad_id
        for name in ("[MASK]", "<mask>"):
            if (token := scorer.reader.token(name)) is not None:
                return token
        raise MethodUnfit("the tokenizer of the bundle has no mask token; use integrated_gradients")


def _scorer(question: Question) -> OnnxScorer:
    model = question.answering.model
    assert isinstance(model, Calibrated) and isinstance(model.scorer, OnnxScorer), "fits"
    return model.scorer


def _merged(tokens: Any, located: list[tuple[int, int | None]], read: Read, question: Question) -> Any:
    """The sum of the ``tokens (n_tokens,)`` of each unit of ``question``, of which ``read`` was read."""
    starts, found = [start for start, _ in question.units.places], np.zeros(len(question.units))
    for value, (_, place) in zip(tokens.tolist(), located, strict=True):
        if place is not None:
            found[max(0, bisect_right(starts, read.start + place) - 1)] += value
    return found


INTEGRATED_GRADIENTS = IntegratedGradients()
WITH_MASK = IntegratedGradients("mask")
