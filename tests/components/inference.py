"""The inference component alone: open the shipped bundle, answer, answer a file; no training library here."""

import importlib.util
import tempfile
from pathlib import Path

from commands import check_commands

from purport import Classifier
from purport.predict_file import predict_file

HEAVY = ("torch", "transformers", "peft", "sklearn", "pandas", "fastapi")
present = [name for name in HEAVY if importlib.util.find_spec(name)]
assert not present, f"the inference environment has {present}"

classifier = Classifier.open("atis")
(prediction,) = classifier.predict(["show me flights from boston to denver"])
assert prediction.labels == ("flight",), prediction
with tempfile.TemporaryDirectory() as folder:
    source, target = Path(folder, "in.csv"), Path(folder, "out.jsonl")
    source.write_text("text\nwhat does the fare code q mean\n", "utf-8")
    assert predict_file(classifier, source, target).answered == 1
    assert '"abbreviation"' in target.read_text("utf-8")
check_commands()
