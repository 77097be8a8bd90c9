"""The one place where errors become exit codes (after ``sysexits.h``) and messages."""

from __future__ import annotations

import errno
import tempfile
import traceback

from .. import errors

USAGE = 2
"""A wrong command line: the code of Typer, whoever notices it."""
EXIT_CODES: dict[type[errors.PurportError], int] = {
    errors.PurportError: 1,
    errors.DataError: 65,
    errors.DatasetNotFound: 66,
    errors.DownloadFailed: 69,
    errors.RecipeError: 78,
    errors.TrainingError: 70,
    errors.OutputExists: 73,
    errors.OutputUnwritable: 73,
    errors.RunMismatch: 73,
    errors.BundleError: 65,
    errors.BundleNotFound: 66,
    errors.TeachingError: 65,
    errors.OthersChange: 1,
    errors.SettingsError: 78,
    errors.FlagInvalid: USAGE,
    errors.GateInvalid: USAGE,
    errors.MethodUnfit: USAGE,
    errors.DependencyMissing: 69,
    errors.DeviceUnavailable: 69,
    errors.WorkerLost: 70,
    errors.ServerError: 69,
    errors.ProviderError: 69,
    errors.RequestError: 65,
}
IO_ERROR = 74
DEFECT = 70
INTERRUPTED = 130
TERMINATED = 143

_REMEDIES = {
    errno.EACCES: "check the permissions, or choose another path",
    errno.EPERM: "check the permissions, or choose another path",
    errno.EROFS: "choose a path on a file system that can be written",
    errno.ENOSPC: "free some space, or choose a path on another disk",
    errno.EDQUOT: "free some space, or choose a path on another disk",
    errno.EFBIG: "the limit of file sizes is too low here (ulimit -f), or choose another path",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def exit_code(error: BaseException) -> int:
    """The code of the nearest class in the table; other exceptions are I/O errors or defects."""
    if isinstance(error, errors.PurportError):
        return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)
    return IO_ERROR if isinstance(error, OSError | MemoryError) else DEFECT


def message(error: BaseException) -> str:
    """What a user reads about ``error``: what happened, to what, and what to do next."""
    if isinstance(error, errors.PurportError):
        return str(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory; use less data or a larger machine"
    if isinstance(error, OSError):
        return _of_system(error)
    return _of_defect(error)


def _of_system(error: OSError) -> str:
    if error.errno == errno.ENOENT and not error.filename:
        return "the current directory does not exist any more; change to another one"
    what = error.strerror or str(error) or type(error).__name__
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{what}; {_REMEDIES.get(error.errno or 0, 'check the path')}"


def _of_defect(error: BaseException) -> str:
    kept = ""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="purport-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.writelines(traceback.format_exception(error))
        kept = f" The details are in {file.name}."
    except OSError:
        pass
    return (
        f"this is a defect in purport ({type(error).__name__}: {error}).{kept} "
        "Please report it; PURPORT_DEBUG=1 shows the details here"
    )
