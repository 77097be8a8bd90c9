"""Device and precision for training, and a context that restores global state afterwards."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from transformers import set_seed
from transformers.utils import logging as library_logging

from ...errors import RecipeError
from ...resources import cpus
from .recipe import Precision


def device() -> str:
    """``cuda`` if available, otherwise ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def precision_on(device: str, chosen: Precision) -> str:
    """``fp32``, ``bf16`` or ``fp16``; ``auto`` means bf16 if the hardware supports it, otherwise fp32.

    Raises:
        RecipeError: fp16 without a GPU.
    """
    if chosen == "fp16" and device == "cpu":
        raise RecipeError("fit.precision fp16 needs a GPU; set it to bf16, fp32 or auto")
    if chosen != "auto":
        return chosen
    on_cpu = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    native = torch.cuda.is_bf16_supported() if device == "cuda" else on_cpu()
    return "bf16" if native else "fp32"


@contextmanager
def contained(seed: int) -> Iterator[None]:
    """Seed random generators, silence ``transformers`` and limit torch to the usable CPUs; restore all afterwards."""
    with torch.random.fork_rng(), warnings.catch_warnings(), ExitStack() as after:
        after.callback(np.random.set_state, np.random.get_state())
        after.callback(random.setstate, random.getstate())
        after.callback(library_logging.set_verbosity, library_logging.get_verbosity())
        if library_logging.is_progress_bar_enabled():
            after.callback(library_logging.enable_progress_bar)
        after.callback(torch.set_num_threads, torch.get_num_threads())
        # Torch counts the machine's cores, not what a container may use. A number that is set is wanted: torchrun gives
        # each process its share.
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(min(torch.get_num_threads(), cpus()))
        set_seed(seed)
        # The library's progress bars and warnings would hide the progress that is reported here.
        library_logging.set_verbosity_error()
        library_logging.disable_progress_bar()
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
        yield
