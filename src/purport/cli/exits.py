"""The one place where errors become exit codes (after ``sysexits.h``)."""

from __future__ import annotations

from .. import errors

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
    errors.SettingsError: 78,
    errors.GateInvalid: 64,
    errors.DependencyMissing: 69,
    errors.DeviceUnavailable: 69,
    errors.WorkerLost: 70,
    errors.ServerError: 69,
    errors.RequestError: 65,
}
IO_ERROR = 74
INTERRUPTED = 130


def exit_code(error: errors.PurportError) -> int:
    """The code of the nearest class in the table."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)
