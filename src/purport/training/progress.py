"""Progress of a training run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from transformers import TrainerCallback

from .run import Report

_LINE_EVERY_S = 15.0


class ProgressLines(TrainerCallback):  # type: ignore[misc]
    """Shows steps, loss and the validation metrics of each evaluation."""

    def __init__(self, report: Report, *, interactive: bool) -> None:
        self._report = report
        self._bar: Progress | None = None
        self._loss = ""
        self._last_line = 0.0
        if interactive:
            self._bar = Progress(
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("steps {task.fields[loss]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the bar."""
        self._last_line = time.monotonic()
        if self._bar:
            self._bar.add_task("steps", total=state.max_steps, completed=state.global_step, loss="")
            self._bar.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the bar, or print a line now and then."""
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=state.global_step, loss=self._loss)
        elif time.monotonic() - self._last_line > _LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._report(f"step {state.global_step}/{state.max_steps} {self._loss}".rstrip())

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Remember the latest loss."""
        if logs and "loss" in logs:
            self._loss = f"loss {float(logs['loss']):.4f}"

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        """Print what the validation split says."""
        names = ("loss", "f1_micro", "f1_macro", "exact_match")
        shown = "  ".join(f"{name} {metrics[f'eval_{name}']:.4f}" for name in names)
        line = f"epoch {state.epoch:.4g}/{state.num_train_epochs:.4g}  valid: {shown}"
        if self._bar:
            self._bar.console.print(line, highlight=False)
        else:
            self._report(line)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the bar."""
        if self._bar:
            self._bar.stop()
