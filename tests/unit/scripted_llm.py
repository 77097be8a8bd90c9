"""A real HTTP server that speaks the protocols of the services that are asked, and misbehaves as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .scripted_batches import Batch, OfBatches

WORDS = {"flight": ("fly", "flight"), "fare": ("cost", "fare"), "meal": ("food", "meal")}


@dataclass
class Script:
    """What the server does: ``faults`` are taken one a request, then it answers by ``words`` in the text.

    ``first``: it always takes the label that is listed first. ``asked`` has every request body, ``keys`` the credential
    of each, ``peers`` the port that each came from.

    ``batches`` are those that were sent, each ended after so many ``polls``, with the status ``final`` if that is set;
    ``lines`` has a fault for each next line (``"expired"``, a status, a text in place of the answer), or ``None``. Of
    ``batches_lost``, the next one, the answer to its creation is lost.
    """

    words: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(WORDS))
    faults: deque[Any] = field(default_factory=deque)
    logprobs: bool = False
    usage: tuple[int, int] = (100, 10)
    latency_s: float = 0.0
    first: bool = False
    answer: Callable[[str, list[str]], Any] | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    peers: list[int] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""
    polls: int = 1
    lines: deque[Any] = field(default_factory=deque)
    final: str = ""
    batches: list[Batch] = field(default_factory=list)
    batches_lost: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def content(self, body: dict[str, Any], schema: dict[str, Any]) -> str:
        """The answer to a request."""
        text = json.loads(body["messages"][-1]["content"])
        several = "labels" in schema["properties"]
        labels = schema["properties"]["labels"]["items"]["enum"] if several else schema["properties"]["label"]["enum"]
        if self.first:
            listed = body["messages"][0]["content"].partition("Labels:\n- ")[2]
            return json.dumps({"label": json.loads(listed.partition("\n")[0])})
        if self.answer is not None:
            return json.dumps(self.answer(text, labels))
        found = [label for label, words in self.words.items() if label in labels and any(w in text for w in words)]
        if several:
            return json.dumps({"labels": found})
        return json.dumps({"label": found[0] if found else labels[-1]})


def _completion(
    script: Script, content: str, *, logprobs: bool, finish: str = "stop", refusal: str | None = None
) -> Any:
    tokens = None
    if logprobs and script.logprobs:
        pieces = [content[i : i + 4] for i in range(0, len(content), 4)]
        tokens = {"content": [
            {"token": piece, "logprob": -0.105, "bytes": None,
             "top_logprobs": [{"token": piece, "logprob": -0.105, "bytes": None}]}
            for piece in pieces
        ], "refusal": None}  # fmt: skip
    message = {"role": "assistant", "content": None if refusal else content, "refusal": refusal}
    given, made = script.usage
    return {
        "id": "x", "object": "chat.completion", "created": 1, "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": tokens}],
        "usage": {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made,
                  "prompt_tokens_details": {"cached_tokens": 0}},
    }  # fmt: skip


class _Handler(OfBatches, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer about batches."""
        self.get_of_a_batch()

    def do_POST(self) -> None:
        """Answer."""
        raw = self.rfile.read(int(self.headers["content-length"]))
        if self.posted_for_a_batch(raw):
            return
        script, body = self.script, json.loads(raw)
        with script.lock:
            script.asked.append(body)
            script.peers.append(self.client_address[1])
            script.keys.append(self.headers.get("authorization") or self.headers.get("x-api-key")
                               or self.headers.get("x-goog-api-key") or "")  # fmt: skip
            fault = script.faults.popleft() if script.faults else None
            script.at_once += 1
            script.most_at_once = max(script.most_at_once, script.at_once)
        try:
            time.sleep(script.latency_s)
            self._answer(fault, body)
        finally:
            with script.lock:
                script.at_once -= 1

    def _answer(self, fault: Any, body: dict[str, Any]) -> None:
        anthropic = self.path.endswith("/messages")
        if isinstance(fault, tuple):  # status, body, headers
            return self.send(*fault)
        if isinstance(fault, int | float):  # hang
            time.sleep(fault)
        if isinstance(fault, bytes):  # not the protocol
            return self.send(200, fault)
        if self.path.endswith("/systemone"):
            return self.send(200, fault if isinstance(fault, dict) else self._decided(body))
        if self.path.endswith(":generateContent"):
            return self.send(200, fault if isinstance(fault, dict) else self._generated(fault, body))
        return self.send(200, self.written(fault, body, anthropic=anthropic))

    def written(self, fault: Any, body: dict[str, Any], *, anthropic: bool) -> Any:
        """The completion or message that answers ``body``."""
        script = self.script
        schema = (body["output_config"]["format"] if anthropic else body["response_format"]["json_schema"])["schema"]
        content = fault if isinstance(fault, str) else script.content(body, schema)
        if anthropic:
            return {
                "id": "x", "type": "message", "role": "assistant", "model": "scripted",
                "content": [{"type": "text", "text": content}], "stop_reason": "end_turn", "stop_sequence": None,
                "usage": {"input_tokens": 20, "output_tokens": 10, "cache_read_input_tokens": 50,
                          "cache_creation_input_tokens": 30},
            }  # fmt: skip
        asked, extra = bool(body.get("logprobs")), fault if isinstance(fault, dict) else {}
        return _completion(script, content, logprobs=asked, **extra)

    def _decided(self, body: dict[str, Any]) -> Any:
        script, given, made = self.script, *self.script.usage
        words = {label for label, words in script.words.items() if any(word in body["state"] for word in words)}
        answers: dict[str, Any] = {}
        for name, question in body["questions"].items():
            if question["type"] == "noul":
                answers[name] = {"type": "noul", "noul": 0.9 if name in words else 0.1}
                continue
            options = [*question["criteria"]]
            best = next((each for each in options if each in words), options[-1])
            rest = 0.2 / (len(options) - 1)
            shares = {each: 0.8 if each == best else rest for each in options}
            answers[name] = {"type": "choice", "choice": best, "confidence": 0.5, "probabilities": shares}
        return {"model": "jev-1", "answers": answers, "usage": {"input_tokens": given, "output_tokens": made}}

    def _generated(self, fault: Any, body: dict[str, Any]) -> Any:
        turn, config = body["contents"][-1], body["generationConfig"]
        asked = {"messages": [{"content": body["systemInstruction"]["parts"][0]["text"]},
                              {"content": turn["parts"][0]["text"]}]}  # fmt: skip
        content = fault if isinstance(fault, str) else self.script.content(asked, config["responseJsonSchema"])
        parts = [{"text": "so far so good", "thought": True}, {"text": content}]
        return {
            "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 10, "thoughtsTokenCount": 5,
                              "cachedContentTokenCount": 40, "totalTokenCount": 115},
        }  # fmt: skip

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """Send a response."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: Any) -> None:
        """A client that has left is no error."""


@contextmanager
def serving(script: Script) -> Iterator[Script]:
    """The server, on a free port, at ``script.url``."""
    handler = type("Handler", (_Handler,), {"script": script})
    server = _Server(("127.0.0.1", 0), handler)
    script.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
