"""The application context: the parts of a server that routes need."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from ..bundle import locate
from ..settings import ServerSettings
from ..signature import PublicKeys
from . import counters
from .access import Access
from .admission import Admission
from .cache import AnswerCache
from .dispatch import Dispatch
from .generation import Generation
from .operations import CLASSIFY, Request, Result
from .places import Places
from .pool import Events, Pool
from .store import ModelStore
from .turns import Turns

_LONG = 1024  # characters: longer than nearly every message, and a few milliseconds of work


@dataclass(frozen=True)
class AppContext:
    """A server without its HTTP side."""

    settings: ServerSettings
    access: Access
    admission: Admission
    store: ModelStore
    dispatch: Dispatch
    pool: Pool
    turns: Turns = field(default_factory=Turns)

    @classmethod
    def of(cls, settings: ServerSettings, bundles: dict[str, str], workers: int) -> AppContext:
        """Create the parts of a server; nothing is started.

        Raises:
            SettingsError: the API keys, the rate limit, ``models_dir`` or ``require_signature`` cannot be used.
            BundleNotFound: one of the ``bundles`` is not there.
        """
        deadline_s = settings.deadline_ms / 1000
        keys = settings.require_signature
        signed_by = PublicKeys.read([file.strip() for file in keys.split(",")]) if keys else None
        pool = Pool(workers, settings.device, settings.threads, signed_by=signed_by, deadline_s=deadline_s)
        dispatch = Dispatch(pool, AnswerCache(settings.cache, settings.cache_bytes) if settings.cache else None)
        places = Places(map(locate, bundles.values()), settings.models_dir)
        store = ModelStore(bundles, pool, places)
        counters.WORKERS.set_function(lambda: store.able)
        admission = Admission(dispatch, queue=settings.queue_limit, deadline_s=deadline_s)
        return cls(settings, Access(settings), admission, store, dispatch, pool)

    def ask_one(self, request: Request, generation: Generation, client: str) -> asyncio.Future[Result]:
        """The future answer to the only text of an HTTP request of ``client``.

        A long text waits with the bulk texts of its client, or a few clients could keep all others waiting.

        Raises:
            Overloaded, NotReady: it cannot be answered now.
        """
        line = client if len(request.text) > _LONG else None
        self.admission.admit(client=line)  # again: others may have arrived while the body was read
        return self.dispatch.ask(CLASSIFY, request, generation, client=line)

    async def start(self) -> None:
        """Start the workers and load the models."""
        self.pool.start(Events(self.dispatch.run, self.dispatch.done, self.dispatch.lost, self.store.loaded))
        await self.store.start()

    async def stop(self) -> None:
        """Stop the workers."""
        await self.pool.stop()

    async def answer(self, operation: str, text: str, options: Any = None, *, model: str | None = None) -> Result:
        """The result of ``operation`` for one text, within the time limit.

        Raises:
            NotReady, ModelUnknown, Overloaded, DeadlineExceeded: the text cannot be answered.
        """
        self.admission.admit()
        with self.store.get(model).current as generation, self.admission.deadline():
            return await self.dispatch.ask(operation, Request(text, options), generation)
