"""What holds in every process of Purport: nothing leaves the machine unasked, and no strange module gets in."""

import os
import sys

_PR_SET_PDEATHSIG = 1


def isolate() -> None:
    """Switch telemetry off, here and in processes that are started from here; those import nothing from the working
    directory (as with ``python -P``)."""
    silence()
    os.environ["PYTHONSAFEPATH"] = "1"


def silence() -> None:
    """Switch the telemetry of other libraries off, which works only before they are imported.

    ONNX Runtime (from 1.29) writes a device id below the home directory when it is imported, and later sends facts
    about the machine and the models to its maker; this is its only full switch. Whoever wants the telemetry of the
    Hugging Face libraries can switch it on.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # `transformers` would ask a robot on the hub to convert weights that are not safetensors.
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")


def skip_working_directory() -> None:
    """Import nothing from the working directory, which ``python -m`` puts first: a ``json.py`` there would be imported.

    To be called once, before anything else is imported. What ``PYTHONPATH`` names stays.
    """
    if sys.flags.safe_path:
        return
    try:
        here = os.getcwd()  # noqa: PTH109 - pathlib could come from there
    except OSError:  # it was deleted
        here = ""
    if sys.path[0] in ("", here):
        del sys.path[0]


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread of process ``parent`` that started it ends (``prctl(2)``).

    A process that is stopped, or that hangs in native code, would never see that its socket or pipe is closed.
    """
    if sys.platform != "linux":
        return
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)
