"""Where commands write: answers to standard output, everything else to standard error."""

from __future__ import annotations

import sys

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def report(line: str) -> None:
    """One line of progress."""
    err.print(line, markup=False)


def interactive() -> bool:
    """Whether somebody watches standard error."""
    return sys.stderr.isatty()


def download_progress(url: str, done: int, total: int | None) -> None:
    """One line that is written over on a terminal; the end of each file elsewhere."""
    share = f"{done / total:.0%} of {total / 1e6:.1f} MB" if total else f"{done / 1e6:.1f} MB"
    if interactive():
        err.print(f"\rdownloading {url.rsplit('/', 1)[-1]}: {share} ", end="\n" if done == total else "")
    elif done == total:
        report(f"downloaded {url} ({share})")
