"""The evaluation component alone: measure the shipped bundle on texts of our own."""

import importlib.util

from purport import Classifier, Dataset, Example, evaluate

assert not importlib.util.find_spec("torch"), "the evaluation environment has torch"
classifier = Classifier.open("atis")
dataset = Dataset.from_examples(
    {
        "test": [
            Example("flights from boston to denver", ("flight",)),
            Example("what is the cheapest fare to denver", ("airfare",)),
        ]
    }
)
result = evaluate(classifier, dataset["test"], resamples=50)
assert result.n == 2 and result.metrics["f1_micro"].value is not None
