"""Forwards the progress of ``transformers.Trainer`` to a reporter."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from ...progress import Line, Metric, Progress, Reporter

_SHOWN = ("loss", "f1_micro", "f1_macro", "exact_match")


class ReportProgress(TrainerCallback):  # type: ignore[misc]
    """Reports steps, loss and the validation metrics of each evaluation."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report a finished step."""
        self._reporter.emit(Progress("training", state.global_step, state.max_steps, "steps"))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Report the latest loss."""
        if logs and "loss" in logs:
            self._reporter.emit(Metric("loss", float(logs["loss"]), state.global_step))

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        """Report the validation metrics."""
        for name in _SHOWN:
            self._reporter.emit(Metric(f"valid_{name}", metrics[f"eval_{name}"], state.global_step))
        shown = "  ".join(f"{name} {metrics[f'eval_{name}']:.4f}" for name in _SHOWN)
        self._reporter.emit(Line(f"epoch {state.epoch:.4g}/{state.num_train_epochs:.4g}  valid: {shown}"))
