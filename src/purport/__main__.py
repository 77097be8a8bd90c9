"""The ``purport`` command, also as ``python -m purport``, which ``torchrun -m purport`` needs."""

import sys

if sys.argv[1:2] == ["serve"]:
    # Before anything else, because a request to reload may come before any model was read, and importing the commands
    # takes a while. `signal` itself could come from the working directory; this one is a part of the interpreter.
    import _signal  # type: ignore[import-not-found]

    _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)

from .isolation import skip_working_directory


def main() -> None:
    """Entry point of the command."""
    from .cli.main import run

    run()


if __name__ == "__main__":
    skip_working_directory()
    main()
