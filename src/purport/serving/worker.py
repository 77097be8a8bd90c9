"""A worker: one process that owns models and answers batches. Started by :mod:`.pool`, never by hand.

It lives as long as the socket it was given: when the server goes, however it goes, so does the worker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading

from ..classifier import Classifier
from ..errors import BundleCorrupt, PurportError
from .memory import never_collect_what_is_here
from .render import Rendered, Renderer, Wanted
from .wire import Drop, Load, Loaded, Score, Scored, pack, receive

# A worker that has just answered looks out for the next batch for so long before it sleeps: waking up costs more, and
# a core that slept is slow.
_SPIN_S = 0.002
# One text of each length that traffic brings, so that no client pays for the first use of a shape.
_WARM_UP = ["warm up", "a warm-up of some more words than the one before it has", "warm up " * 40]


class Worker:
    """Reads messages from ``connection`` until the other end is closed."""

    def __init__(self, connection: socket.socket, device: str, threads: int) -> None:
        self._connection = connection
        self._device = device
        self._threads = threads
        self._models: dict[int, Renderer] = {}
        self._sending = threading.Lock()

    def run(self) -> None:
        """Answer until the end."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                match receive(self._connection, _SPIN_S):
                    case Score() as score:
                        self._send(self._score(score))
                    case Load() as load:
                        # Beside the answers: a model is swapped without a pause.
                        threading.Thread(target=self._load, args=load, daemon=True).start()
                    case Drop(generation):
                        self._models.pop(generation, None)

    def _load(self, generation: int, path: str, bundle: str) -> None:
        failure: tuple[str, str] | None = None
        try:
            classifier = Classifier.open(path, device=self._device, threads=self._threads)
            if classifier.bundle.manifest.id != bundle:
                raise BundleCorrupt(path, "manifest.json", "was replaced by that of another bundle since it was loaded")
            for text in _WARM_UP:
                classifier.predict([text])
            if not self._models:
                never_collect_what_is_here()
            self._models[generation] = Renderer(classifier)
        except PurportError as error:
            failure = type(error).__name__, str(error)
        except Exception as error:
            failure = "PurportError", f"the model could not be loaded: {error!r}"
        with contextlib.suppress(OSError):
            self._send(Loaded(generation, failure))

    def _score(self, score: Score) -> Scored:
        renderer = self._models[score.generation]
        results: list[Rendered | str]
        try:
            results = [*renderer(score.texts, score.wanted)]
        except Exception:
            # One of them is at fault: each alone, so that the others get their answer.
            results = [_alone(renderer, *pair) for pair in zip(score.texts, score.wanted, strict=True)]
        return Scored(score.batch, results)

    def _send(self, message: object) -> None:
        with self._sending:
            self._connection.sendall(pack(message))


def _alone(renderer: Renderer, text: str, wanted: Wanted) -> Rendered | str:
    try:
        return renderer([text], [wanted])[0]
    except Exception as error:
        return repr(error)


def main() -> None:
    """``python -m purport.serving.worker FD DEVICE THREADS``."""
    # The server decides when it ends; Ctrl-C reaches the whole process group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    descriptor, device, threads = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    Worker(socket.socket(fileno=descriptor), device, threads).run()
    # Without waiting for a model that is being loaded.
    os._exit(0)


if __name__ == "__main__":
    main()
