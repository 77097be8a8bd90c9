"""uvicorn's HTTP protocol, with bounds for each connection, and with the contract's errors.

It also reacts to disconnects at once, and answers a client that has sent its request and closed its side.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ..errors import BodyInvalid, Overloaded, RequestError
from ..settings import UNIX
from .connections import (
    HEAD_BYTES,
    HEAD_S,
    LARGE,
    PAUSE_S,
    PIECE,
    PIPELINED,
    REST_S,
    STALL_S,
    Connections,
    Flow,
    Joined,
    Timer,
)  # fmt: skip
from .early import Answered, Early, Place, end
from .heads import problem, too_large
from .http_errors import last
from .logs import PENDING_KEY
from .operations import Result
from .unread import LARGE_ANSWER, Unread

_PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"
_FIRST_PROBE_S, _LAST_PROBE_S = 0.002, 1.0


class Protocol(HttpToolsProtocol):
    """The protocol of one connection; ``early`` may answer a request as soon as its headers have arrived."""

    flow: Flow

    def __init__(self, *args: Any, early: Early, connections: Connections, **options: Any) -> None:
        super().__init__(*args, **options)
        self._early, self._all = early, connections
        self._pending: set[asyncio.Future[Result]] = set()
        self._timer = Timer(self.give_up)
        self._reading = Timer(self._abort)  # by the client, of what was written
        self._rest_until = 0.0
        self._refusal: RequestError | None = None
        self._refused = False
        self._place = Place(early)
        self._running: RequestResponseCycle | Answered = Answered()
        self._answers = Unread()
        self._postponed = False  # the next request, until the client has read the last answer
        self._in_head = self._in_message = False
        self._head = 0  # bytes of a message since it began or since its body: the head, trailers, what is around chunks
        self._unread = bytearray()  # arrived, and waits for answers to what arrived before
        self._fed = self._offered = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self.flow = Flow(transport)
        transport.set_write_buffer_limits(LARGE_ANSWER)
        if self.server and self.server[1] is None:  # a Unix socket: no client has an address
            self.client = UNIX, 0
        if not self._all.make_room(len(self.connections)):
            self._refuse(Overloaded("There are too many connections; try again later.", 1.0))
            return
        self._all.waits(self)
        self._timer.start(self.loop, HEAD_S)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._refused:
            return
        if len(data) <= PIECE and not self._unread:
            self._feed(data)
            return
        self._unread += data
        self._feed_on()
        if len(data) >= LARGE and self._in_message:
            self.flow.hold(self.loop, self._all.next_turn(len(data), self.loop.time()))

    def _feed_on(self) -> None:
        """Parse what has arrived, as long as few requests wait behind one another."""
        while self._unread and len(self.pipeline) < PIPELINED and not (self._refused or self.transport.is_closing()):
            piece = bytes(self._unread[:PIECE])
            del self._unread[:PIECE]
            self._feed(piece)
        if self._unread:
            self.flow.pause_reading()

    def _feed(self, data: bytes) -> None:
        self._head += len(data)
        self._fed = data
        super().data_received(data)
        if self._refused or not self._in_message:
            self._head = 0
        elif self._head > HEAD_BYTES:
            if self._in_head or self._is_answering():
                self._refuse(too_large())
            else:
                self.give_up()
        elif self._in_head:
            self._timer.start(self.loop, HEAD_S)
        else:
            self._wait_for_rest()

    def _wait_for_rest(self) -> None:
        """A part of a body is still to come."""
        self._all.waits(self)
        if not self._is_answering():
            self._timer.stop()
            self._timer.start(self.loop, min(PAUSE_S, max(self._rest_until - self.loop.time(), 0.0)))

    def _unsupported_upgrade_warning(self) -> None:
        """Go on in HTTP/1.1 as if the client had not offered another protocol: feed the same request without it.

        The parser has left its body for that protocol.
        """
        offset = sys.exc_info()[1].args[0]  # type: ignore[union-attr]  # called where this was caught
        self.parser = httptools.HttpRequestParser(self)
        head, self._offered = self._offered, b""
        self._feed(head + self._fed[offset:])

    def on_message_begin(self) -> None:
        """A request begins: attach the set of futures that it will wait for."""
        super().on_message_begin()
        self._in_head = self._in_message = True
        self.scope[PENDING_KEY] = self._pending  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        """The headers of a request have arrived."""
        self._timer.stop()
        self._all.busy(self)
        parser, size, self._head = self.parser, self._head, 0
        self._refusal = problem(parser.get_method(), parser.get_http_version(), self.url, self.headers, size)
        if self._refusal:
            raise self._refusal  # the parser stops, and send_400_response answers
        if self.parser.should_upgrade():
            kept = [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
            self._offered = b"%s %s HTTP/1.1\r\n%s\r\n" % (self.parser.get_method(), self.url, b"".join(kept))
            return
        found = self._early(self.parser.get_method(), self.url) if self._is_simple() else None
        if found is None:
            super().on_headers_complete()
        else:
            self.cycle = Answered()  # type: ignore[assignment]
            self.transport.write(found)
            self.on_response_complete()
        self._in_head = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        if cycle.scope["method"] != "HEAD":
            cycle.transport = Joined(self.transport)  # type: ignore[assignment]
        super()._start_asgi_task(cycle, app)
        if not cycle.more_body:  # it waited behind another one, and is whole
            self._place.take(cycle)

    def _is_simple(self) -> bool:
        """Whether no other request is open on this connection, and the connection stays open after the response."""
        parser = self.parser
        return (
            not (self._is_answering() or self.flow.write_paused)
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not (self.expect_100_continue or parser.should_upgrade())
        )

    def _is_answering(self) -> bool:
        """Whether a request of this connection is not answered yet."""
        return self.cycle is not None and not (self.cycle.response_complete or self.cycle.disconnected)

    def on_body(self, body: bytes) -> None:
        """A part of a body has arrived."""
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request has arrived."""
        if self._offered:
            return
        self._in_message = False
        super().on_message_complete()
        if not self._is_answering():  # refused before
            self._timer.stop()
            self._become_idle()
            return
        self._all.busy(self)
        if not self.pipeline:
            self._place.take(self.cycle)
        if not (self.pipeline or self._unread):
            # A large body stops reading; without reading, nobody would see that the client has gone.
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """A response was written."""
        self._place.give()
        self._answers.add(self._running.scope, read=not self.flow.write_paused)
        if self.flow.write_paused and self.pipeline and not self.transport.is_closing():
            self._postponed = True
            return
        super().on_response_complete()
        if self._unread and not self.transport.is_closing():
            self.flow.pause_reading()
            self.loop.call_soon(self._feed_on)
            return
        if self.transport.is_closing() or self.pipeline:
            return
        if self._in_message:
            self._rest_until = self.loop.time() + REST_S
            self._wait_for_rest()
        else:
            self._all.waits(self)

    def _become_idle(self) -> None:
        self.flow.resume_reading()
        self._all.waits(self)
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client has closed its side: whether the connection stays open for the response.

        A client that waits for it ignores an interim response; one that has gone resets the connection by it.
        """
        if self._in_message or self._unread or self._refused or not self._is_answering():
            return False
        if self.scope["http_version"] == "1.1":
            self._probe(_FIRST_PROBE_S)
        self.cycle.keep_alive = False
        return True

    def _probe(self, seconds: float) -> None:
        """Write an interim response, until the response begins: the second one fails if the client has gone."""
        if self.transport.is_closing() or self.pipeline or self.cycle.response_started:
            return
        self.transport.write(_PROBE)
        self.loop.call_later(seconds, self._probe, min(4 * seconds, _LAST_PROBE_S))

    def pause_writing(self) -> None:
        """The client does not read fast enough."""
        super().pause_writing()
        self._reading.start(self.loop, STALL_S)
        self._all.waits(self)

    def resume_writing(self) -> None:
        """The client has read what was written."""
        super().resume_writing()
        self._reading.stop()
        self._answers.clear()
        if self._is_answering() and not self._in_message:
            self._all.busy(self)
        if self._postponed:
            self._postponed = False
            self.on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client disconnected: cancel the answers that its requests wait for."""
        self._all.busy(self)
        self._place.give()
        self._answers.clear()
        end(self._running)  # uvicorn tells the last one of the connection
        self.pipeline.clear()
        for future in tuple(self._pending):
            future.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn leaves it where the client has reset the connection
        # What holds this object and is held by it would wait for the collector: 80 ms for 4,000 connections at once.
        self._timer.end()
        self._reading.end()
        self._running, self.cycle, self.parser = Answered(), None, None  # type: ignore[assignment]

    def make_room(self) -> None:
        """Close the connection at once: its client is waited for."""
        if self.transport.get_write_buffer_size():
            self._abort()
        else:
            self.give_up()

    def give_up(self) -> None:
        """Close the connection, after what was written."""
        if not self.transport.is_closing():
            self.transport.close()

    def _abort(self) -> None:
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP with a JSON error like every other error."""
        refusal, self._refusal = self._refusal or BodyInvalid(msg), None
        self._refuse(refusal)

    def _refuse(self, error: RequestError) -> None:
        """Answer what cannot be served with ``error``, and read no more from this connection."""
        self._refused = True
        self._timer.stop()
        in_body = self._in_message and not self._in_head
        if in_body and self.pipeline:
            self.pipeline.popleft()
            self.cycle = self.pipeline[0][0] if self.pipeline else self._running  # type: ignore[assignment]
        elif in_body:
            end(self.cycle)
        if self._is_answering():
            # Requests before this one get their answers first.
            self.cycle.keep_alive = False
            return
        if not (in_body and self.cycle.response_started):
            self.transport.write(last(error))
        self.transport.close()
