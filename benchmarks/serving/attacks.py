"""What hostile clients do. The tests and ``hostile.py`` share it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

Address = tuple[str, int]
BODY = b'{"text":"where is my parcel"}'
NDJSON = "application/x-ndjson"


def request(path: str, body: bytes, *more: str, media: str = "application/json", host: str = "x") -> bytes:
    """The bytes of a POST."""
    head = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Type: {media}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    """A piece of a body in chunks."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def texts(*of: str) -> bytes:
    """The body of a bulk request."""
    return json.dumps({"texts": of}).encode()


INTENT = request("/intent", BODY)
STREAM = (
    b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
)
STREAM_OF_LONG_ANSWERS = STREAM.replace(b"/v1/classify", b"/v1/classify?probabilities=true&top_k=100")
"""A stream whose answers name every label twice."""

CHUNKED = b"POST /intent HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

TAILS = {
    "a huge trailer": CHUNKED + chunk(BODY) + b"0\r\nX: " + b"a" * 20_000_000,
    "many trailers": CHUNKED + chunk(BODY) + b"0\r\n" + b"a: b\r\n" * 3_000_000,
    "a huge chunk extension": CHUNKED + b"1;" + b"a" * 20_000_000,
}
"""Requests with megabytes that are neither head nor body."""

HEADS = {
    "huge header": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000_000,
    "long url": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "many headers": b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 150 + b"\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "connect": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
"""Requests whose head is not acceptable."""

BODIES = {
    "unknown field": b'{"texts":["a"],"topk":1}',
    "surrogate": b'{"texts":["a"],"model":"\\ud800"}',
    "odd field": b'{"texts":["a"],"\\ud800":1}',
    "long model name": b'{"texts":["a"],"model":"' + b"x" * 4_000_000 + b'"}',
    "long field name": b'{"texts":["a"],"' + b"x" * 4_000_000 + b'":1}',
    "millions of lists": b'{"texts":[' + b",".join([b"[]"] * 1_300_000) + b"]}",
    "millions of numbers": b'{"texts":[' + b",".join([b"1"] * 2_000_000) + b"]}",
    "nested": b"[" * 1_000_000,
    "infinite": b'{"texts":["a"],"threshold":1e999}',
}
"""Bodies of bulk requests that are not acceptable."""

MEGABYTES = texts("where is my parcel " * 200_000, "refund")
"""A text that is longer than any model reads, and one that is not."""

LONG = b'{"text":"' + b"where is my parcel and why is it late. " * 1_450 + b'"}'
"""A single text of 57 KB."""

MANY = texts(*(f"parcel {number} " + "and where is it " * 200 for number in range(1_000)))
"""As many texts as a request may have, all long."""

UNFINISHED = request("/v1/classify", b'{"texts":["' + b"a" * 4_000_000 + b'"]}')[:-1]
"""All of a large request but its last byte."""

LINES = (json.dumps({"text": "where is my parcel " * 60}).encode() + b"\n") * 50
"""A part of a stream."""


WHY = request("/v1/explain", b'{"text":"where is my parcel and why is it late again this week","method":"shapley"}')
"""The dearest explanation of a usual text: hundreds of texts."""

QUESTIONS = request(
    "/v1/systemone",
    json.dumps({"state": "where is my parcel " * 200, "questions": {"flight": {"type": "noul"}}}).encode(),
)
"""A decision about a long state."""

BOUNDARY = "b0undary"


def upload(path: str, table: bytes) -> bytes:
    """The form of a page with the file ``table``."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="t.csv"\r\n\r\n'.encode()
    media = f"multipart/form-data; boundary={BOUNDARY}"
    return request(path, head + table + f"\r\n--{BOUNDARY}--\r\n".encode(), media=media, host="localhost")


TABLE = b"text\n" + b"".join(b"where is my parcel number %d\n" % number for number in range(1_000))
"""A table of a thousand texts."""

TRIED = request(
    "/ui/try",
    b"text=where+is+my+parcel+and+why+is+it+late",
    media="application/x-www-form-urlencoded",
    host="localhost",
)
"""The form of *Try*."""


class Peer:
    """A client that speaks bytes, from the address ``source``."""

    def __init__(self, address: Address, seconds: float = 8, source: str = "") -> None:
        self.socket = socket.create_connection(address, source_address=(source, 0) if source else None)
        self.socket.settimeout(seconds)

    def send(self, data: bytes) -> None:
        """Send ``data``, or as much of it as the server takes."""
        with suppress(OSError):  # the server has had enough; what it said is still to be read
            self.socket.sendall(data)

    def read(self, until: bytes = b"\0") -> bytes:
        """What the server says, until it closes the connection or says ``until``."""
        said = b""
        with suppress(ConnectionError):
            while until not in said and (part := self.socket.recv(65_536)):
                said += part
        return said

    def close(self) -> None:
        """Leave."""
        self.socket.close()


def gone(connection: socket.socket) -> bool:
    """Whether the server has closed ``connection``."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def until_closed(connection: socket.socket, data: bytes, over: threading.Event) -> None:
    """Send ``data`` again and again until ``over``, or the server closes the connection."""
    with suppress(OSError):
        while not over.is_set():
            connection.sendall(data)


@contextmanager
def streams(address: Address, count: int, source: str = "") -> Iterator[None]:
    """``count`` streams without a pause during the block."""
    over = threading.Event()
    peers = [Peer(address, 60, source) for _ in range(count)]
    threads = []
    for peer in peers:
        peer.send(STREAM)
        threads.append(threading.Thread(target=until_closed, args=[peer.socket, chunk(LINES), over]))
        threads.append(threading.Thread(target=peer.read))
    for each in threads:
        each.start()
    try:
        yield
    finally:
        over.set()
        for peer in peers:
            with suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
        for each in threads:
            each.join()
        for peer in peers:
            peer.close()


@dataclass(frozen=True)
class Target:
    """The server, and from which address it is attacked."""

    address: Address
    source: str = ""

    def peer(self, seconds: float = 8) -> Peer:
        """A new connection."""
        return Peer(self.address, seconds, self.source)

    def say(self, data: bytes) -> str:
        """The status of the answer to ``data`` on a connection of its own."""
        with closing(self.peer(30)) as peer:
            peer.send(data)
            try:
                return status(peer.read(b"\r\n\r\n"))
            except TimeoutError:
                return "no answer"


def status(said: bytes) -> str:
    """The status of an answer."""
    return said[9:12].decode() if said.startswith(b"HTTP/") else "closed"


Round = Callable[[Target, float], Iterator[str]]
"""One round of an attack, which takes that many seconds if it lasts; the statuses that it got."""


def saying(*what: bytes) -> Round:
    """Requests one after the other, each on its own connection."""

    def attack(target: Target, seconds: float) -> Iterator[str]:
        for each in what:
            yield target.say(each)

    return attack


def _unfinished_bodies(target: Target, seconds: float) -> Iterator[str]:
    peers = [target.peer(seconds) for _ in range(40)]
    threads = [threading.Thread(target=peer.send, args=[UNFINISHED]) for peer in peers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for peer in peers:
        with closing(peer):
            try:
                yield status(peer.read(b"\r\n\r\n"))
            except TimeoutError:
                yield "no answer"


def _slow_heads(target: Target, seconds: float) -> Iterator[str]:
    peers = [target.peer() for _ in range(200)]
    for peer in peers:
        peer.send(b"GET /healthz HTTP/1.1\r\n")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for peer in peers:
            peer.send(b"X: y\r\n")
        time.sleep(0.5)
    for peer in peers:
        yield "closed" if gone(peer.socket) else "open"
        peer.close()


def _idle(target: Target, seconds: float) -> Iterator[str]:
    peers = [target.peer() for _ in range(4_300)]
    time.sleep(seconds)
    for peer in peers:
        yield "closed" if gone(peer.socket) else "open"
        peer.close()


def _half_closed(target: Target, seconds: float) -> Iterator[str]:
    with closing(target.peer()) as peer:
        peer.send(request("/v1/classify", texts(*(f"parcel {number}" for number in range(300)))))
        peer.socket.shutdown(socket.SHUT_WR)
        yield status(peer.read().replace(b"HTTP/1.1 100 Continue\r\n\r\n", b""))


def _gone(target: Target, seconds: float) -> Iterator[str]:
    for _ in range(30):
        peer = target.peer()
        peer.send(request("/v1/classify", MANY))
        peer.close()
        yield "left"


def _leaving(target: Target, seconds: float) -> Iterator[str]:
    peer = target.peer()
    peer.send(WHY)
    time.sleep(0.02)
    peer.close()
    yield "left"


def _pipelined(target: Target, seconds: float) -> Iterator[str]:
    with closing(target.peer()) as peer:
        peer.send(b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n" * 3_000)
        said = b""
        count = 0
        while count < 3_000 and (part := peer.socket.recv(65_536)):
            said += part
            count = said.count(b"HTTP/1.1 404 Not Found\r\n")
        yield from ["404"] * count


def _streams(target: Target, seconds: float) -> Iterator[str]:
    with streams(target.address, 40, target.source):
        time.sleep(seconds)
    yield from ["stream"] * 40


def _never_reads(target: Target, seconds: float, count: int = 5, head: bytes = STREAM) -> Iterator[str]:
    over = threading.Event()
    peers = [target.peer(3) for _ in range(count)]
    for peer in peers:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        peer.send(head)
    data = chunk((BODY + b"\n") * 100)
    threads = [threading.Thread(target=until_closed, args=[peer.socket, data, over]) for peer in peers]
    for each in threads:
        each.start()
    time.sleep(seconds)
    over.set()
    for each in threads:
        each.join()
    for peer in peers:
        peer.close()
        yield "stream"


def _long_answers_unread(target: Target, seconds: float) -> Iterator[str]:
    yield from _never_reads(target, seconds, 100, STREAM_OF_LONG_ANSWERS)


def _without_a_pause(target: Target, seconds: float) -> Iterator[str]:
    end = time.monotonic() + seconds
    with closing(target.peer()) as peer:
        while time.monotonic() < end:
            peer.send(INTENT)
            yield status(peer.read(b"]}"))


@dataclass(frozen=True)
class Attack:
    """Rounds of ``round``, one after the other, by ``clients`` at once."""

    round: Round
    clients: int = 1


ATTACKS: dict[str, Attack] = {
    **{name: Attack(saying(data)) for name, data in HEADS.items()},
    **{name: Attack(saying(data)) for name, data in TAILS.items()},
    **{name: Attack(saying(request("/v1/classify", body))) for name, body in BODIES.items()},
    "a text of megabytes": Attack(saying(request("/v1/classify", MEGABYTES)), 4),
    "16 clients with a text of 57 KB": Attack(saying(request("/intent", LONG)), 16),
    "40 unfinished bodies": Attack(_unfinished_bodies),
    "200 slow heads": Attack(_slow_heads),
    "4,300 idle connections": Attack(_idle),
    "half-closed clients": Attack(_half_closed, 2),
    "bulk requests of clients that left": Attack(_gone),
    "offers of HTTP/2": Attack(
        saying(request("/intent", BODY, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA")), 2
    ),
    "3,000 requests behind one another": Attack(_pipelined),
    "40 bulk requests at once": Attack(saying(request("/v1/classify", MANY)), 40),
    "8 clients without a pause": Attack(_without_a_pause, 8),
    "40 streams": Attack(_streams),
    "streams that are never read": Attack(_never_reads),
    "8 clients with the dearest explanations": Attack(saying(WHY), 8),
    "16 clients that leave their explanations": Attack(_leaving, 16),
    "8 clients with questions about a long state": Attack(saying(QUESTIONS), 8),
    "8 clients of a page": Attack(saying(TRIED), 8),
    "8 uploads of a thousand rows": Attack(saying(upload("/ui/batch", TABLE)), 8),
    "8 uploads that do not end": Attack(saying(upload("/ui/batch", b"text\n" + b"a" * 4_000_000)[:-1]), 8),
    "100 streams of long answers that are never read": Attack(_long_answers_unread),
    "the OpenAPI document": Attack(saying(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 4),
}
"""By name, in the order in which they are tried."""
