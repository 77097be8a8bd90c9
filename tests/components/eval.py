"""The evaluation component alone: measure the shipped bundle on texts of our own."""

import importlib.util
import tempfile
from pathlib import Path

from purport import Classifier, Dataset, Example, evaluate
from purport.data.reading import Reading
from purport.data.table import RowTable
from purport.doctor.diagnose import diagnose
from purport.doctor.diagnosis_page import page as doctor_page
from purport.evaluation.compare import compare
from purport.evaluation.compare_page import page as compare_page
from purport.evaluation.explore.exploration_page import page as explore_page
from purport.evaluation.explore.measure import explore
from purport.evaluation.report import report_on
from purport.evaluation.report_page import page as report_page

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

table = RowTable.load("sample", Reading(unlabelled="out_of_scope"))
pages = (
    explore_page(explore(table)),
    doctor_page(diagnose(table)),
    report_page(report_on(classifier, dataset["test"], resamples=20)),
    compare_page(compare(classifier, classifier, dataset["test"], resamples=20)),
)
with tempfile.TemporaryDirectory() as directory:
    for number, page in enumerate(pages):
        assert page.write(Path(directory) / str(number)).stat().st_size > 5_000
