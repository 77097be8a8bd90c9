"""A worker: a process that holds models and answers batches. It is started by :mod:`.pool`, never by hand.

It exits when the other end of its socket is closed, or when the kernel says that the server has died: it never outlives
the server, even if the server is killed while this process is stopped or hangs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from .. import registry
from ..classifier import Classifier
from ..errors import BundleCorrupt, PurportError
from ..isolation import die_with, isolate
from ..model import Metered, Usage
from ..signature import PublicKeys
from ..spending import share
from .collection import freeze_gc
from .generation import MOST_AWAY
from .operations import Operation, Request, Result
from .wire import Beat, Do, Done, Drop, Load, Loaded, pack, receive

# After an answer, a worker polls this long for the next batch before it sleeps: waking up takes longer, and a core is
# slow after a sleep.
_SPIN_S = 0.002
# Texts of different lengths, so that no client pays for the first use of a tensor shape.
WARM_UP = ["warm up", "a warm-up of some more words than the one before it has", "warm up " * 40]


class Worker:
    """Reads messages from ``connection`` until the other end is closed."""

    def __init__(
        self, connection: socket.socket, device: str, threads: int, signed_by: PublicKeys | None = None
    ) -> None:
        self._connection = connection
        self._device = device
        self._threads = threads
        self._signed_by = signed_by
        self._models: dict[int, Classifier] = {}
        self._operations: dict[str, Operation] = {}
        self._sending, self._metering = threading.Lock(), threading.Lock()
        self._told: dict[int, Usage] = {}
        self._waiting = ThreadPoolExecutor(MOST_AWAY)

    def run(self) -> None:
        """Answer batches until the connection is closed."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                match receive(self._connection, _SPIN_S):
                    case Do() as work if self._models[work.generation].model.traits.remote:
                        # It waits for a service, and others are answered meanwhile.
                        self._waiting.submit(self._answer, work)
                    case Do() as work:
                        self._answer(work)
                    case Load() as load:
                        # In a thread, so that answers are not interrupted while a model loads.
                        threading.Thread(target=self._load, args=load, daemon=True).start()
                    case Drop(generation):
                        self._models.pop(generation, None)
                        self._told.pop(generation, None)

    def beat(self, every_s: float) -> None:
        """Send signs of life until the connection is closed, and then end the process, whatever it is doing."""
        frame = pack(Beat())
        with contextlib.suppress(OSError):
            while True:
                self._write(frame)
                time.sleep(every_s)
        os._exit(0)

    def _load(self, generation: int, path: str, bundle: str) -> None:
        failure: PurportError | None = None
        try:
            classifier = opened(path, bundle, self._signed_by, device=self._device, threads=self._threads)
            warm_up(classifier)
            if not self._models:
                freeze_gc()
            self._models[generation] = classifier
        except PurportError as error:
            failure = error
        except Exception as error:
            failure = PurportError(f"the model could not be loaded: {error!r}")
        with contextlib.suppress(OSError):
            self._write(pack(Loaded(generation, failure)))

    def _answer(self, work: Do) -> None:
        with contextlib.suppress(OSError):
            self._write(self._frame(work))

    def _frame(self, work: Do) -> bytes:
        done = self._do(work)._replace(spent=self._spent(work.generation))
        try:
            return pack(done)
        except Exception as error:  # results that cannot be pickled
            return pack(Done(work.batch, [repr(error)] * len(work.requests)))

    def _spent(self, generation: int) -> Usage | None:
        """What the model has asked of services since this was called last; ``None`` if it asks none."""
        model = self._models[generation].model
        if not (model.traits.remote and isinstance(model, Metered)):
            return None
        with self._metering:
            before, self._told[generation] = self._told.get(generation, Usage()), model.usage
            return self._told[generation] - before

    def _do(self, work: Do) -> Done:
        classifier, operation = self._models[work.generation], self._operation(work.operation)
        results: list[Result | str]
        began = time.perf_counter()
        try:
            results = [*operation(classifier, work.requests)]
            if len(results) != len(work.requests):
                raise ValueError(f"{len(results)} results for {len(work.requests)} requests")
        except Exception as error:
            # One request is at fault; answer each alone, so that the others get their results.
            results = [repr(error)]
            if len(work.requests) > 1:
                results = [_alone(operation, classifier, request) for request in work.requests]
        return Done(work.batch, results, time.perf_counter() - began)

    def _operation(self, name: str) -> Operation:
        found = self._operations.get(name)
        if found is None:
            found = self._operations[name] = registry.load("operations", name)()
        return found

    def _write(self, frame: bytes) -> None:
        with self._sending:
            self._connection.sendall(frame)


def opened(path: str, bundle: str, signed_by: PublicKeys | None, *, device: str, threads: int) -> Classifier:
    """The bundle at ``path``, whose id must still be ``bundle``, and whose signature must be by one of these keys.

    Raises:
        BundleError, DeviceUnavailable: it cannot be opened, or is another one.
    """
    classifier = Classifier.open(path, device=device, threads=threads, signed_by=signed_by)
    if classifier.bundle.manifest.id != bundle:
        raise BundleCorrupt(path, "manifest.json", "was replaced by the manifest of another bundle")
    return classifier


def warm_up(classifier: Classifier) -> None:
    """Answer a few texts, one after the other; asking a service costs money."""
    for text in () if classifier.model.traits.remote else WARM_UP:
        classifier.predict([text])


def _alone(operation: Operation, classifier: Classifier, request: Request) -> Result | str:
    try:
        (result,) = operation(classifier, [request])
        return result
    except Exception as error:
        return repr(error)


def main() -> None:
    """``python -m purport.serving.worker FD SPENDING DEVICE THREADS BEAT_S KEYS``."""
    isolate()
    # The server decides when workers stop, whoever signals the whole process group.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    die_with(os.getppid())
    descriptor, spending, device, threads, beat_s, keys = sys.argv[1:7]
    share(int(spending))
    worker = Worker(socket.socket(fileno=int(descriptor)), device, int(threads), PublicKeys.of_text(keys))
    threading.Thread(target=worker.beat, args=(float(beat_s),), daemon=True).start()
    worker.run()
    # Do not wait for a model that is being loaded.
    os._exit(0)


if __name__ == "__main__":
    main()
