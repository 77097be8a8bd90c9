"""A hangup that comes while the server is being started asks for nothing that could end it."""

from __future__ import annotations

import subprocess
import sys

WATCH = """
import _signal, sys

class Finder:
    def find_spec(self, name, *_):
        if _signal.getsignal(_signal.SIGHUP) is not _signal.SIG_IGN:
            print(name)

sys.meta_path.insert(0, Finder())
sys.argv = ["purport", *sys.argv[1:]]
import purport.__main__
print(_signal.getsignal(_signal.SIGHUP) is _signal.SIG_IGN)
"""


def imported_before(command: str) -> list[str]:
    """What is imported while a hangup still ends the command; at last, whether it does not in the end."""
    watched = subprocess.run([sys.executable, "-c", WATCH, command], capture_output=True, text=True, check=True)
    return watched.stdout.split()


def test_the_server_ignores_hangups_before_it_imports_anything() -> None:
    assert imported_before("serve") == ["purport", "__future__", "purport.__main__", "True"]


def test_other_commands_are_ended_by_them() -> None:
    assert imported_before("train")[-1] == "False"
