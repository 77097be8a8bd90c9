"""What trains a kind is imported when training starts, and only what an extra brings is said to be missing from it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from purport import registry
from purport.errors import DependencyMissing
from purport.kinds.kind import Kind
from purport.kinds.recipe import Recipe
from purport.kinds.run import Run

NOTHING = cast("Run[Any]", None)
"""What the fits of these tests are given: they do not look at it."""
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes the modules of a package that somebody has installed; they are forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def module(name: str, content: str = "") -> None:
        file = tmp_path / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, "utf-8")

    yield module
    for name in set(sys.modules) - before:
        if name.partition(".")[0].startswith("theirs"):
            del sys.modules[name]


def kind(fit: Any, extra: str | None = "train") -> Kind:
    return Kind(Recipe, fit=fit, opener="linear", extra=extra)


def test_what_trains_a_kind_is_imported_when_it_is_asked_for(write: Write) -> None:
    write("theirs.fit", "def fit(run):\n    return 'fitted'\n")
    made = kind("theirs.fit:fit")
    assert "theirs.fit" not in sys.modules
    assert made.load_fit()(NOTHING) == "fitted"


def test_a_function_is_taken_as_it_is() -> None:
    def fit(run: Run[Any]) -> None:
        return None

    assert kind(fit).load_fit() is fit


def test_a_library_that_is_missing_names_itself_and_the_extra(write: Write) -> None:
    write("theirs.fit", "import missing_library.part\n\ndef fit(run): ...\n")
    with pytest.raises(DependencyMissing, match=r"training \(missing_library\).*pip install .*\[train\]'") as refused:
        kind("theirs.fit:fit").load_fit()
    assert refused.value.extra == "train"


def test_a_library_of_a_library_that_is_missing_names_the_extra_too(write: Write) -> None:
    write("theirs_dependency", "import missing_library\n")
    write("theirs.fit", "import theirs_dependency\n")
    with pytest.raises(DependencyMissing, match="missing_library"):
        kind("theirs.fit:fit").load_fit()


def test_a_kind_that_names_no_extra_is_given_none(write: Write) -> None:
    write("theirs.fit", "import missing_library\n")
    with pytest.raises(ModuleNotFoundError, match="missing_library"):
        kind("theirs.fit:fit", extra=None).load_fit()


@pytest.mark.parametrize(
    "fit", ["theirs.tif:fit", "theirs_not_there.fit:fit", "theirs.fit:fit", "purport.kinds.liner.fit:fit"]
)
def test_a_module_of_the_kinds_own_that_is_missing_is_no_extra(write: Write, fit: str) -> None:
    write("theirs.fit", "from theirs.not_there import anything\n")
    with pytest.raises(ModuleNotFoundError) as refused:
        kind(fit).load_fit()
    assert (refused.value.name or "").startswith(("theirs", "purport"))


def test_a_module_of_ours_that_they_import_and_we_do_not_have_is_no_extra(write: Write) -> None:
    write("theirs.fit", "from purport.not_there import anything\n")
    with pytest.raises(ModuleNotFoundError, match=r"purport\.not_there"):
        kind("theirs.fit:fit").load_fit()


def test_a_function_that_is_not_there_is_named(write: Write) -> None:
    write("theirs.fit", "def fti(run): ...\n")
    with pytest.raises(AttributeError, match="'fit'"):
        kind("theirs.fit:fit").load_fit()


def test_what_training_itself_does_not_find_is_no_missing_extra(write: Write) -> None:
    write("theirs.fit", "def fit(run):\n    import missing_library\n")
    fit = kind("theirs.fit:fit").load_fit()
    with pytest.raises(ModuleNotFoundError, match="missing_library"):
        fit(NOTHING)


@pytest.mark.parametrize("name", registry.names("kinds"))
def test_a_kind_is_known_without_what_trains_it(name: str) -> None:
    """``import purport`` and ``purport serve`` cost what serving needs, in an interpreter of their own."""
    import subprocess

    libraries = ("torch", "transformers", "sklearn")
    code = (
        f"import sys; from purport import registry; kind = registry.load('kinds', {name!r}); assert kind.opener; "
        f"assert not set({libraries}) & set(sys.modules), set({libraries}) & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1] / "e2e" / "plugin")
