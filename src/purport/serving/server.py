"""The serving process: uvicorn, with draining before shutdown."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

import structlog
import uvicorn

from ..bundle import locate
from ..errors import PurportError, SettingsError
from ..manifest import NAME
from ..settings import ServerSettings, forget_secrets
from .app import create_app
from .collection import freeze_gc
from .connections import Connections, most_connections
from .context import AppContext
from .intent import PATH
from .listen import listening
from .logs import configure
from .protocol import Protocol
from .shedding import Shedding
from .sizing import default_workers
from .store import ModelStore, State

GRACE_S = 20
"""Seconds that requests under way are given once the server closes."""
_WATCH_S = 0.05


def serve(settings: ServerSettings, announce: Callable[[str], None] = lambda where: None) -> None:
    """Serve until SIGTERM or SIGINT. ``announce`` is called with the address once the server is listening.

    Raises:
        BundleError, DeviceUnavailable: the model cannot be loaded.
        SettingsError: a setting is invalid.
    """
    forget_secrets(os.environ)
    bundles = named(settings.bundle)
    folders = [locate(ref) for ref in bundles.values()]
    configure(settings.log_level)
    workers = settings.workers or default_workers(settings.device, settings.threads, folders)
    context = AppContext.of(settings, bundles, workers)
    config = uvicorn.Config(
        create_app(context),
        http=partial(
            Protocol,
            early=Shedding(context.admission, "POST", PATH),
            connections=Connections(most_connections()),
        ),  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        access_log=False,
        # uvicorn's own default believes every client on this machine.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies.split(","),
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=GRACE_S,
    )
    with listening(settings.host, settings.port, settings.unix_socket) as (sockets, where):
        _Server(config, context.store, settings.drain_seconds, partial(announce, where)).run(sockets=sockets)
    failure = context.store.failure
    if isinstance(failure, PurportError):
        raise failure
    if failure is not None:
        raise PurportError(f"the model could not be loaded: {failure!r}") from failure


def named(bundles: str) -> dict[str, str]:
    """Name and directory of each bundle in ``NAME=DIR,DIR,…``; the default name is that of the directory.

    Raises:
        SettingsError: two bundles have the same name, or a name is invalid.
    """
    found: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in bundles.split(","))):
        name, equals, ref = entry.partition("=")
        if not equals:
            name, ref = Path(entry).resolve().name, entry
        if not re.fullmatch(NAME, name):
            raise SettingsError(
                f'bundle: "{name}" is not a valid model name; write NAME={ref}, with letters, digits, ".", "_" and "-"'
            )
        if name in found:
            raise SettingsError(f'bundle: two bundles are called "{name}"; choose their names with NAME=DIR')
        found[name] = ref
    if not found:
        raise SettingsError("bundle: name at least one bundle, for example atis")
    return found


class _Server(uvicorn.Server):
    """Uvicorn that keeps answering for a while after SIGTERM, so that load balancers see ``/ready`` turn to 423."""

    def __init__(
        self, config: uvicorn.Config, store: ModelStore, drain_seconds: float, announce: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._store = store
        self._drain_seconds = drain_seconds
        self._announce = announce
        self._log = structlog.get_logger("purport.server")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, announce the address, and wait for the models in the background."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        await super().startup(sockets)
        freeze_gc()
        if self.started:
            self._announce()
            self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while self._store.state is State.LOADING:
            await asyncio.sleep(_WATCH_S)
        self._log.info("model", state=str(self._store.state))
        if self._store.state is State.FAILED:
            self.should_exit = True

    def _reload(self) -> None:
        self._reloading = asyncio.create_task(self._store.reload())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first SIGTERM, but not on SIGINT or a second signal; a second SIGINT drops what is under way."""
        if sig != signal.SIGTERM or self._store.state is State.DRAINING or not self._drain_seconds:
            super().handle_exit(sig, frame)
            return
        self._store.drain()
        self._log.info("draining", seconds=self._drain_seconds)
        asyncio.get_running_loop().call_later(self._drain_seconds, self._leave, sig)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is under way, and stop the workers; uvicorn itself forgets them on a second Ctrl-C."""
        await super().shutdown(sockets)
        if self.force_exit:
            await self.lifespan.shutdown()

    def _leave(self, sig: int) -> None:
        self.should_exit = True
