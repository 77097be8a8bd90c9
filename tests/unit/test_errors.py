"""Every error has a place in the tree that is drawn, an HTTP answer and an exit code."""

from __future__ import annotations

import inspect
import pickle

from purport import errors
from purport.cli.exits import EXIT_CODES, exit_code
from purport.serving.http_errors import HTTP, status_and_label

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.PurportError)]


def make(kind: type[errors.PurportError]) -> errors.PurportError:
    return kind.__new__(kind)


def test_the_drawing_names_every_class_and_no_other() -> None:
    drawing = (errors.__doc__ or "").split("::", 1)[1].split("A message says")[0]
    drawn = set(drawing.replace("├──", " ").replace("└──", " ").replace("│", " ").split())
    names = {kind.__name__ for kind in ALL}
    assert names <= drawn
    assert {word for word in drawn if word[0].isupper() and word.isalpha()} - names <= {"TOML", "HTTP"}


def test_every_request_error_has_its_own_row_in_the_http_table() -> None:
    leaves = [kind for kind in ALL if issubclass(kind, errors.RequestError) and kind is not errors.RequestError]
    assert set(leaves) <= set(HTTP)
    assert len({HTTP[kind] for kind in leaves}) == len(leaves), "two errors share an answer"


def test_every_error_has_a_status_and_an_exit_code() -> None:
    for kind in ALL:
        status, label = status_and_label(make(kind))
        assert 400 <= status <= 504 and label
        assert (status == 500) == (not issubclass(kind, errors.RequestError) or kind is errors.RequestError)
        assert 1 <= exit_code(make(kind)) < 128
    assert set(EXIT_CODES) <= set(ALL)


def test_every_error_can_be_pickled_with_its_facts() -> None:
    made = [
        errors.RowInvalid("a.tsv", [(3, "no text")], "Correct it.", more=2),
        errors.BundleCorrupt("bundle", "model.onnx", "is missing"),
        errors.DependencyMissing("Parquet", "parquet"),
        errors.ServerError(503, "OVERLOADED", "later"),
        errors.Overloaded("too many", 2.5),
        errors.TextEmpty("empty"),
        *(make(kind) for kind in ALL),
    ]
    for error in made:
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)


def test_did_you_mean_offers_the_nearest_or_the_list() -> None:
    assert errors.did_you_mean("epoch", ["epochs", "seed"]) == ' Did you mean "epochs"?'
    assert errors.did_you_mean("zzz", ["epochs", "seed"]) == " Known: epochs, seed."
    assert errors.did_you_mean("zzz", []) == ""
