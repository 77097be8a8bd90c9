"""Every error that Purport raises on purpose.

::

    PurportError
    ├── DataError                  the table of utterances
    │   ├── DatasetNotFound
    │   ├── FormatUnknown
    │   ├── RowInvalid             bad rows; names file, row and remedy
    │   ├── SplitUnknown
    │   ├── LabelUnknown
    │   ├── PlanInvalid            a plan of fixes that does not fit the data
    │   └── DownloadFailed
    ├── RecipeError                the TOML that decides a training run
    ├── TrainingError
    │   ├── OutputExists
    │   ├── RunMismatch            --resume with another recipe or other data
    │   └── CheckFailed            the trained model may not become a bundle
    ├── BundleError                the directory that is deployed
    │   ├── BundleNotFound
    │   ├── BundleCorrupt
    │   └── BundleUnsupported
    ├── SettingsError              flags, environment, purport.toml
    ├── GateInvalid                a condition that cannot be read
    ├── DependencyMissing          an extra that is not installed
    ├── DeviceUnavailable
    ├── WorkerLost                 the processes that were to answer died
    ├── ServerError                what a server told our client
    └── RequestError               what a client of the HTTP service is told
        ├── TextEmpty  TextMissing  TextInvalid
        ├── BodyInvalid  BodyTooLarge  MediaTypeUnsupported
        ├── PathUnknown  MethodNotAllowed
        ├── TextsInvalid  OptionInvalid
        ├── ModelUnknown  BundleInvalid  NothingBefore
        ├── Unauthenticated  Forbidden  RateLimited
        └── NotReady  Overloaded  DeadlineExceeded

A message says what happened, to which thing, and what to do next. ``purport.serving.http_errors`` translates
the tree to HTTP, ``purport.cli.exits`` to exit codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from .installation import install_command


class PurportError(Exception):
    """Base of everything Purport raises on purpose; subclasses keep facts as attributes. Can be pickled with them."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Not through __init__: a subclass makes its message of other arguments.
        return Exception.__new__, (type(self), *self.args), self.__dict__


class DataError(PurportError):
    """Something is wrong with a dataset."""


class DatasetNotFound(DataError):
    """No file, directory or catalog entry has that name."""


class FormatUnknown(DataError):
    """The file name does not say which format it has."""


class RowInvalid(DataError):
    """One or more rows of a file cannot be used.

    ``path`` is the file, ``problems`` pairs of (row number counted from 1, what is wrong).
    """

    def __init__(self, path: object, problems: Sequence[tuple[int, str]], remedy: str, more: int = 0) -> None:
        self.path = str(path)
        self.problems = tuple(problems)
        self.remedy = remedy
        lines = [f"{path}:{row}: {problem}" for row, problem in problems]
        if more:
            lines.append(f"... and {more} more bad row{'s' * (more > 1)}")
        super().__init__("\n".join([*lines, remedy]))


class SplitUnknown(DataError):
    """The dataset has no split of that name."""


class LabelUnknown(DataError):
    """A label that is not in the label set."""


class PlanInvalid(DataError):
    """A plan of fixes that cannot be read or does not fit the data."""


class DownloadFailed(DataError):
    """A catalog dataset could not be fetched, or what came is not what was expected."""


class RecipeError(PurportError):
    """A recipe that cannot be run: unknown key, wrong value, not TOML."""


class TrainingError(PurportError):
    """Training or exporting cannot go on."""


class OutputExists(TrainingError):
    """The place to write to is taken."""


class RunMismatch(TrainingError):
    """An unfinished run was made from another recipe or other data."""


class CheckFailed(TrainingError):
    """The exported model does not decide what the trained model decides, or depends on batch-mates."""


class BundleError(PurportError):
    """A bundle that cannot be opened."""


class BundleNotFound(BundleError):
    """No such directory and no bundle of that name ships with the package."""


class BundleCorrupt(BundleError):
    """A file of the bundle is missing or not what the manifest says."""

    def __init__(self, path: object, file: str, problem: str) -> None:
        self.path = str(path)
        self.file = file
        super().__init__(f"{path}: {file} {problem}; copy or train the bundle again")


class BundleUnsupported(BundleError):
    """The bundle is of a format or kind that this version cannot open."""


class SettingsError(PurportError):
    """A flag, environment variable or purport.toml value that cannot be used."""


class GateInvalid(PurportError):
    """A condition on a comparison that cannot be read or names what is not measured."""


class DependencyMissing(PurportError):
    """An optional dependency is needed and not installed."""

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs more packages: {install_command(extra)}")


class DeviceUnavailable(PurportError):
    """The device asked for is not on this machine."""


class WorkerLost(PurportError):
    """The worker processes that were to answer a text died."""


class ServerError(PurportError):
    """What a server told :class:`purport.client.Client`: HTTP ``status`` (0 when it was not reached) and ``label``."""

    def __init__(self, status: int, label: str, message: str) -> None:
        self.status = status
        self.label = label
        super().__init__(f"{label}: {message}" if label else message)


class RequestError(PurportError):
    """A request that is answered with an error; ``retry_after`` is in seconds where waiting helps."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class TextEmpty(RequestError):
    """``text`` holds nothing but white space."""

    def __init__(self) -> None:
        super().__init__('"text" is empty.')


class TextMissing(RequestError):
    """The body has no ``text``."""

    def __init__(self) -> None:
        super().__init__('"text" is missing.')


class TextInvalid(RequestError):
    """``text`` is not a string of Unicode characters."""


class BodyInvalid(RequestError):
    """No body, not JSON, or not an object."""


class BodyTooLarge(RequestError):
    """The body is over the limit."""


class MediaTypeUnsupported(RequestError):
    """The body is declared as something other than JSON."""


class PathUnknown(RequestError):
    """No such path."""


class MethodNotAllowed(RequestError):
    """The path exists, the method does not."""


class TextsInvalid(RequestError):
    """``texts`` is missing, no list, empty or too long."""


class OptionInvalid(RequestError):
    """A field beside the texts has a value that it cannot have."""


class ModelUnknown(RequestError):
    """The server has no model of that name."""


class BundleInvalid(RequestError):
    """A bundle that the server was asked to load cannot be opened."""


class NothingBefore(RequestError):
    """A rollback, and no earlier bundle."""


class Unauthenticated(RequestError):
    """Missing or invalid key."""


class Forbidden(RequestError):
    """The key lacks the permission."""


class RateLimited(RequestError):
    """Too many requests."""


class NotReady(RequestError):
    """The model is not loaded, or the server is about to stop."""


class Overloaded(RequestError):
    """The queue is full."""


class DeadlineExceeded(RequestError):
    """The answer would have come too late."""


@contextmanager
def needs(what: str, extra: str | None, own: str = "purport") -> Iterator[None]:
    """Inside the block a third-party package that is not installed is the lack of ``extra``.

    A module that a package of ours, ``own`` or an installed one lacks is a defect, and raised as it is.

    Raises:
        DependencyMissing: a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if extra is None or missing in ("", "purport", own) or find_spec(missing):
            raise
        raise DependencyMissing(f"{what} ({error.name})", extra) from None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` Did you mean "x"?`` with the nearest of ``known``, or the list of what there is."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f' Did you mean "{near[0]}"?'
    return f" Known: {', '.join(known)}." if known else ""
