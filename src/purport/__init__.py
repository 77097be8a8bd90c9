"""Train, evaluate, bundle and serve intent classifiers that people can trust in production.

>>> from purport import Classifier
>>> Classifier.open("atis").predict(["show me flights from boston to denver"])[0].labels
('flight',)
"""

from __future__ import annotations

TYPE_CHECKING = False  # that of `typing`, which takes longer to import than everything else here
if TYPE_CHECKING:
    from typing import Any

    from .bundle import Bundle
    from .classifier import Classifier
    from .client import AsyncClient, Client
    from .data.catalog import load as load_dataset
    from .data.dataset import Dataset
    from .data.reading import Example
    from .errors import PurportError
    from .evaluation.evaluate import evaluate
    from .explaining.explanation import Explanation
    from .labels import LabelSet, Task
    from .prediction import Prediction, ScoredLabel, SimilarExample
    from .teaching.teach import teach
    from .training.pipeline import train
    from .training.recipe import load_recipe

__version__ = "0.1.0"

_HOME = {
    "AsyncClient": "client",
    "Bundle": "bundle",
    "Classifier": "classifier",
    "Client": "client",
    "Dataset": "data.dataset",
    "Example": "data.dataset",
    "Explanation": "explaining.explanation",
    "LabelSet": "labels",
    "Prediction": "prediction",
    "PurportError": "errors",
    "ScoredLabel": "prediction",
    "SimilarExample": "prediction",
    "Task": "labels",
    "evaluate": "evaluation.evaluate",
    "load_dataset": "data.catalog:load",
    "load_recipe": "training.recipe",
    "teach": "teaching.teach",
    "train": "training.pipeline",
}

__all__ = [
    "AsyncClient",
    "Bundle",
    "Classifier",
    "Client",
    "Dataset",
    "Example",
    "Explanation",
    "LabelSet",
    "Prediction",
    "PurportError",
    "ScoredLabel",
    "SimilarExample",
    "Task",
    "__version__",
    "evaluate",
    "load_dataset",
    "load_recipe",
    "teach",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562), so that ``import purport`` costs nothing."""
    from importlib import import_module

    try:
        module, _, attribute = _HOME[name].partition(":")
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(f".{module}", __name__), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
