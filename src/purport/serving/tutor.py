"""Teaches a bundle on the disk, or takes that back, in a process of its own: a model may hang in its native code."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..bundle import Bundle
from ..data.reading import Example
from ..errors import (
    BundleError,
    BundleInvalid,
    DeviceUnavailable,
    LabelUnknown,
    NotTaught,
    OutputExists,
    OutputUnwritable,
    PurportError,
    TeachingError,
)  # fmt: skip
from ..teaching.teach import teach, undo
from . import errand

# CLINC150 with its validation rows takes 4 s on two cores, and a slow machine ten times as long.
_SECONDS = 60.0
# As when a bundle is tried, and what the validation rows and libraries with many threads need.
_MEMORY, _TIMES = 4 * 2**30, 8
_NICE = 5  # the workers, which answer, come first
_REFUSED, _INVALID, _FAILED = 3, 4, 5


@dataclass(frozen=True)
class Wish:
    """What a bundle is to be taught; without ``examples``, the last teaching is taken back."""

    examples: Sequence[Example] | None = None
    allow_flips: int = 0
    force: bool = False


async def carry_out(wish: Wish, bundle: Bundle) -> dict[str, Any]:
    """Fulfil ``wish`` for the directory of ``bundle``: what changed, as the fields of an answer.

    Raises:
        NotTaught, BundleInvalid: the bundle is unchanged.
    """
    examples = [] if wish.examples is None else [[each.text, list(each.labels)] for each in wish.examples]
    given = {"path": str(bundle.path), "undo": wish.examples is None, "examples": examples,
             "flips": wish.allow_flips, "force": wish.force}  # fmt: skip
    seconds = int(_SECONDS) * (os.cpu_count() or 1)
    try:
        code, said = await errand.run(
            __name__, given=json.dumps(given).encode(),
            limits=errand.Limits(_SECONDS, seconds, _MEMORY + _TIMES * bundle.size, _NICE),
        )  # fmt: skip
    except TimeoutError:
        raise NotTaught(
            f"Teaching took longer than {_SECONDS:g} seconds and was ended; teach a copy with `purport teach` "
            "and put it."
        ) from None
    if code < 0 or not said:
        raise NotTaught("the process that teaches was killed; check the memory of the server, and try again")
    done = json.loads(said)
    match code:
        case 0:
            return dict(done)
        case _ if code == _REFUSED:
            raise NotTaught(done)
        case _ if code == _INVALID:
            raise BundleInvalid(done)
    raise PurportError(f"teaching failed: {done}")


def _fulfilled(given: dict[str, Any]) -> dict[str, Any]:
    if given["undo"]:
        undo(given["path"])
        return {}
    examples = [Example(text, tuple(labels)) for text, labels in given["examples"]]
    done = teach(given["path"], examples, allow_flips=given["flips"], force=given["force"])
    flips = [
        {"text": flip.text, "gold": flip.gold, "before": flip.before, "after": flip.after, "broken": flip.broken}
        for flip in done.flips
    ]
    return {"checked": done.checked, "flips": flips}


def main() -> None:
    """``python -m purport.serving.tutor LIMITS…``, with the wish on stdin; the exit code says whose fault it is."""
    errand.begin()
    try:
        code, said = 0, json.dumps(_fulfilled(json.load(sys.stdin)))
    except (TeachingError, LabelUnknown, OutputExists, OutputUnwritable) as error:
        code, said = _REFUSED, json.dumps(str(error))
    except (BundleError, DeviceUnavailable) as error:
        code, said = _INVALID, json.dumps(str(error))
    except MemoryError:
        code, said = _REFUSED, json.dumps("teaching would take more memory than it may")
    except Exception:
        code, said = _FAILED, json.dumps(traceback.format_exc())
    errand.end(code, said)


if __name__ == "__main__":
    main()
