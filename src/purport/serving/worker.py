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

from .. import registry
from ..classifier import Classifier
from ..errors import BundleCorrupt, PurportError
from .memory import freeze_gc
from .operations import Operation, Request, Result
from .wire import Do, Done, Drop, Load, Loaded, pack, receive

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
        self._models: dict[int, Classifier] = {}
        self._operations: dict[str, Operation] = {}
        self._sending = threading.Lock()

    def run(self) -> None:
        """Answer until the end."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                match receive(self._connection, _SPIN_S):
                    case Do() as work:
                        self._write(self._frame(work))
                    case Load() as load:
                        # Beside the answers: a model is swapped without a pause.
                        threading.Thread(target=self._load, args=load, daemon=True).start()
                    case Drop(generation):
                        self._models.pop(generation, None)

    def _load(self, generation: int, path: str, bundle: str) -> None:
        failure: PurportError | None = None
        try:
            classifier = Classifier.open(path, device=self._device, threads=self._threads)
            if classifier.bundle.manifest.id != bundle:
                raise BundleCorrupt(path, "manifest.json", "was replaced by that of another bundle since it was loaded")
            for text in _WARM_UP:
                classifier.predict([text])
            if not self._models:
                freeze_gc()
            self._models[generation] = classifier
        except PurportError as error:
            failure = error
        except Exception as error:
            failure = PurportError(f"the model could not be loaded: {error!r}")
        with contextlib.suppress(OSError):
            self._write(pack(Loaded(generation, failure)))

    def _frame(self, work: Do) -> bytes:
        done = self._do(work)
        try:
            return pack(done)
        except Exception as error:  # a result that cannot be sent
            return pack(Done(work.batch, [repr(error)] * len(work.requests)))

    def _do(self, work: Do) -> Done:
        classifier, operation = self._models[work.generation], self._operation(work.operation)
        results: list[Result | str]
        try:
            results = [*operation(classifier, work.requests)]
            if len(results) != len(work.requests):
                raise ValueError(f"{len(results)} results for {len(work.requests)} requests")
        except Exception:
            # One of them is at fault: each alone, so that the others get their answer.
            results = [_alone(operation, classifier, request) for request in work.requests]
        return Done(work.batch, results)

    def _operation(self, name: str) -> Operation:
        found = self._operations.get(name)
        if found is None:
            found = self._operations[name] = registry.load("operations", name)()
        return found

    def _write(self, frame: bytes) -> None:
        with self._sending:
            self._connection.sendall(frame)


def _alone(operation: Operation, classifier: Classifier, request: Request) -> Result | str:
    try:
        (result,) = operation(classifier, [request])
        return result
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
