"""Tries a bundle in a process of its own, with limits, before any worker loads it.

ONNX Runtime and tokenizers read a bundle in native code. A bundle from a stranger can keep them busy for ever, make
them take all memory, or crash them. That must not happen in a worker, where the texts of others are answered.
"""

from __future__ import annotations

import json

from ..bundle import Bundle
from ..errors import BundleError, BundleUnsupported, PurportError
from ..signature import PublicKeys
from . import errand
from .worker import WARM_UP, opened, warm_up

_SECONDS = 30.0
# Private memory: what Python and the libraries need, and a multiple of the files, which are copied and rearranged.
_MEMORY, _TIMES = 2**30, 6
_NICE = 10
_REFUSED = 3
_TOGETHER = 8
"""How often the texts are answered together: about a batch."""
_ENVIRONMENT = {"TOKENIZERS_PARALLELISM": "false", "MALLOC_ARENA_MAX": "1"}


async def probe(bundle: Bundle, device: str = "cpu", signed_by: PublicKeys | None = None) -> None:
    """Open ``bundle`` and answer texts with it in another process, which is gone afterwards.

    Raises:
        BundleError: that failed, took longer than 30 seconds, took too much memory, or killed the process.
    """
    memory = _MEMORY + _TIMES * bundle.size if device == "cpu" else 0  # drivers of graphics cards reserve any amount
    keys = signed_by.to_text() if signed_by else ""
    try:
        code, said = await errand.run(
            __name__, str(bundle.path), bundle.manifest.id, device, keys,
            limits=errand.Limits(_SECONDS, int(_SECONDS), memory, _NICE), environment=_ENVIRONMENT,
        )  # fmt: skip
    except TimeoutError:
        raise BundleUnsupported(
            f"{bundle.path}: the model took longer than {_SECONDS:g} seconds to load and to answer a few texts"
        ) from None
    if code == _REFUSED:
        raise BundleError(str(json.loads(said)))
    if code:
        raise BundleUnsupported(f"{bundle.path}: the process that tried the model died of {code}; check memory")


def main() -> None:
    """``python -m purport.serving.probe LIMITS… PATH ID DEVICE KEYS``; exit code 3: it is refused."""
    path, bundle, device, keys = errand.begin()
    try:
        classifier = opened(path, bundle, PublicKeys.of_text(keys), device=device, threads=1)
        warm_up(classifier)
        if not classifier.model.traits.remote:
            classifier.predict(WARM_UP * _TOGETHER)
    except PurportError as error:
        errand.end(_REFUSED, json.dumps(str(error)))
    errand.end(0)


if __name__ == "__main__":
    main()
