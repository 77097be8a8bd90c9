"""Every error that Purport raises deliberately.

::

    PurportError
    ├── DataError                  the labelled utterances
    │   ├── DatasetNotFound  FormatUnknown  SplitUnknown  LabelUnknown  DownloadFailed
    │   ├── RowInvalid             bad rows; the message names file, rows and remedy
    │   └── PlanInvalid  QueueInvalid    a fix plan that does not match the data; no review queue
    ├── RecipeError                the TOML file that configures a training run
    ├── TrainingError
    │   ├── RunMismatch            --resume with a different recipe or different data
    │   ├── CheckFailed            the trained model did not pass a check
    │   └── OutputExists  OutputUnwritable  RowsTooFew  PromiseUnkept  PromiseConflict
    ├── BundleError                the directory that is deployed
    │   └── BundleNotFound  BundleCorrupt  BundleUnsupported  BundleUnsigned  MemoryMissing
    ├── TeachingError              examples that a bundle is to be taught
    │   └── ExamplesUnfit  OthersChange
    ├── SettingsError              environment, purport.toml
    │   └── FlagInvalid            a command-line option with a value that cannot be used
    ├── DependencyMissing          an extra that is not installed
    ├── GateInvalid  MethodUnfit  DeviceUnavailable  WorkerLost
    ├── ProviderError              the service of a language model
    │   └── BudgetSpent            the next request could cost more than is left
    ├── ServerError                an error that the client received from a server
    └── RequestError               an error that the HTTP service returns to its client
        ├── TextEmpty  TextMissing  TextInvalid  TextsInvalid  OptionInvalid
        ├── BodyInvalid  BodyTooLarge  HeadTooLarge  MediaTypeUnsupported  PathUnknown  MethodNotAllowed
        ├── ModelUnknown  ModelConflict  BundleInvalid  NothingBefore  NotTaught
        ├── NotExplained  EntryChanged  OptionUnknown
        ├── Unauthenticated  Forbidden  RateLimited
        └── NotReady  Overloaded  DeadlineExceeded

A message says what happened, to what, and what to do next. ``purport.serving.http_errors`` maps the tree to HTTP
responses, ``purport.cli.exits`` maps it to exit codes.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..installation import install_command
from ..wording import did_you_mean as did_you_mean
from .refusals import *  # noqa: F403
from .root import PurportError as PurportError


class DataError(PurportError):
    """Something is wrong with a dataset."""


class DatasetNotFound(DataError):
    """No file, directory or catalog entry has that name."""


class FormatUnknown(DataError):
    """The format cannot be told from the file name."""


class RowInvalid(DataError):
    """One or more rows of a file cannot be used.

    ``path`` is the file; ``problems`` are pairs of (row number from 1, what is wrong).
    """

    def __init__(self, path: object, problems: Sequence[tuple[int, str]], remedy: str, more: int = 0) -> None:
        self.path, self.problems, self.remedy = str(path), tuple(problems), remedy
        lines = [f"{path}:{row}: {problem}" for row, problem in problems]
        if more:
            lines.append(f"... and {more} more bad row{'s' * (more > 1)}")
        super().__init__("\n".join([*lines, remedy]))


class SplitUnknown(DataError):
    """The dataset has no split of that name."""


class LabelUnknown(DataError):
    """A label that is not in the label set."""


class PlanInvalid(DataError):
    """A fix plan that cannot be read or does not match the data."""


class QueueInvalid(DataError):
    """A file that is no review queue."""


class DownloadFailed(DataError):
    """A catalog dataset could not be downloaded, or its content is not as expected."""


class RecipeError(PurportError):
    """A recipe that cannot be used: an unknown key, an invalid value, or not TOML."""


class TrainingError(PurportError):
    """Training or export cannot continue."""


class OutputExists(TrainingError):
    """The output path is already in use."""


class OutputUnwritable(TrainingError):
    """Nothing can be written at the output path."""


class RunMismatch(TrainingError):
    """An unfinished run was started with a different recipe or different data."""


class CheckFailed(TrainingError):
    """A trained model did not pass a check, for example because its export decides differently."""


class RowsTooFew(TrainingError):
    """There are fewer calibration rows than a promise needs even if no answer is wrong; the message has the number."""


class PromiseUnkept(TrainingError):
    """Wherever answers are cut off, the calibration rows do not show that the trained model keeps a promise."""


class PromiseConflict(TrainingError):
    """The trained model keeps each promise alone, but no cut keeps all of them."""


class BundleError(PurportError):
    """A bundle that cannot be opened."""


class BundleNotFound(BundleError):
    """No such directory and no bundle of that name ships with the package."""


class BundleCorrupt(BundleError):
    """A file of the bundle is missing or does not match the manifest."""

    def __init__(self, path: object, file: str, problem: str) -> None:
        self.path, self.file = str(path), file
        super().__init__(f"{path}: {file} {problem}; copy or train the bundle again")


class BundleUnsupported(BundleError):
    """The bundle has a format or kind that this version cannot open."""


class BundleUnsigned(BundleError):
    """The bundle has no signature by a key that is required."""


class MemoryMissing(BundleError):
    """The bundle does not remember its training examples."""


class TeachingError(PurportError):
    """A bundle cannot be taught these examples, or there is nothing to take back."""


class ExamplesUnfit(TeachingError):
    """There is no text, a label is unknown, or the like; the message names the example."""


class OthersChange(TeachingError):
    """Other answers would become wrong; the message says which."""


class SettingsError(PurportError):
    """An invalid flag, environment variable or purport.toml value."""


class FlagInvalid(SettingsError):
    """An option on the command line has a value that cannot be used, or lacks another option."""


class GateInvalid(PurportError):
    """A condition of ``purport compare`` that cannot be parsed or uses an unknown name."""


class MethodUnfit(PurportError):
    """There is no such method of explaining, or it does not fit the bundle."""


class DependencyMissing(PurportError):
    """An optional dependency is needed and not installed."""

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs more packages: {install_command(extra)}")


class DeviceUnavailable(PurportError):
    """The requested device is not available on this machine."""


class WorkerLost(PurportError):
    """The worker processes that had a text died before answering it."""


class ProviderError(PurportError):
    """A language model's service is unknown, refuses, or does not answer."""


class BudgetSpent(ProviderError):
    """The next request to a language model could cost more than the budget has left."""


class ServerError(PurportError):
    """An error that :class:`purport.client.Client` received: HTTP ``status`` (0 if unreachable) and ``label``."""

    def __init__(self, status: int, label: str, message: str) -> None:
        self.status, self.label = status, label
        super().__init__(f"{label}: {message}" if label else message)
