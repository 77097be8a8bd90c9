"""The ``purport`` command, also as ``python -m purport``, which ``torchrun -m purport`` needs."""

import sys

from .isolation import skip_working_directory


def main() -> None:
    """Entry point of the command."""
    if sys.argv[1:2] == ["serve"]:
        import signal

        # A request to reload that comes before any model was read: importing the commands takes a while.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from .cli.main import run

    run()


if __name__ == "__main__":
    skip_working_directory()
    main()
