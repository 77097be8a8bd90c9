"""The batch endpoints of OpenAI (files and batches) and Anthropic (message batches), for the scripted service.

The shapes are those of the vendors' own clients (``openai.types.Batch``, ``anthropic.types.messages.MessageBatch``) and
of their guides for the lines of files: platform.openai.com/docs/guides/batch and
platform.claude.com/docs/en/build-with-claude/batch-processing.
"""

from __future__ import annotations

import email
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .scripted_llm import Script

_PATHS = ("/v1/files", "/v1/batches", "/v1/messages/batches")
_WHEN = "2026-01-01T00:00:00Z"
_MOST_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")


@dataclass
class Batch:
    """A batch: the lines that it was sent, those that it has made, and how often it was asked for."""

    id: str
    given: list[dict[str, Any]]
    good: list[Any]
    bad: list[Any]
    status: str
    polled: int = 0


class OfBatches:
    """What a handler answers about batches."""

    script: Script
    path: str
    headers: Any
    send: Any
    written: Any
    wfile: Any
    close_connection: bool

    def posted_for_a_batch(self, raw: bytes) -> bool:
        """Answer a POST, if it is about batches."""
        if self.path not in _PATHS:
            known = not self.path.endswith(("/files", "/batches"))
            if not known:
                self.send(404, {"detail": "Not Found"})
            return not known
        if self.path.endswith("/messages/batches"):
            self._begin(json.loads(raw)["requests"], anthropic=True)
        elif self.path.endswith("/files"):
            self.send(200, {"id": "file-in", "object": "file", "bytes": len(raw), "created_at": 1,
                            "status": "processed", "filename": "requests.jsonl",
                            "purpose": self._uploaded(raw)})  # fmt: skip
        else:
            body = json.loads(raw)
            assert body["endpoint"] == "/v1/chat/completions" and body["completion_window"] == "24h"
            assert body["input_file_id"] == "file-in"
            self._begin(self._lines, anthropic=False)
        return True

    def get_of_a_batch(self) -> None:
        """Answer about a batch that was sent, or with its results."""
        what = self.path.split("/")
        found = [each for each in self.script.batches if each.id in what or f"{each.id}-out" in what
                 or f"{each.id}-bad" in what]  # fmt: skip
        if not found:
            return self.send(404, {"error": {"message": "no such batch", "type": "not_found_error"}})
        batch, anthropic = found[0], "messages" in what
        if what[-1] == "content" or what[-1] == "results":
            lines = batch.good if what[-2].endswith("-out") else batch.bad if what[-2].endswith("-bad") else [
                *batch.bad, *batch.good]  # fmt: skip
            return self.send(200, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines).encode())
        batch.polled += 1
        return self.send(200, self._shown(batch, anthropic=anthropic))

    def _uploaded(self, raw: bytes) -> Any:
        """Read the form of an upload; its purpose."""
        form = email.message_from_bytes(b"Content-Type: " + self.headers["content-type"].encode() + b"\r\n\r\n" + raw)
        parts: dict[Any, Any] = {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in form.get_payload()  # type: ignore[union-attr]
        }
        assert parts["purpose"] == b"batch"
        type(self)._lines = [json.loads(line) for line in parts["file"].decode().splitlines()]
        assert all((line["method"], line["url"]) == ("POST", "/v1/chat/completions") for line in self._lines)
        return "batch"

    _lines: list[dict[str, Any]] = []  # noqa: RUF012

    def _begin(self, given: list[dict[str, Any]], *, anthropic: bool) -> None:
        script = self.script
        names = [line["custom_id"] for line in given]
        assert len({*names}) == len(names) and all(map(_MOST_NAME.match, names))
        batch = Batch(f"batch-{len(script.batches) + 1}", given, [], [], script.final or "completed")
        for line in given:
            fault = script.lines.popleft() if script.lines else None
            failed = fault == "expired" or isinstance(fault, int)
            made = (self._message if anthropic else self._completion)(line, fault)
            (batch.bad if failed else batch.good).append(made)
        script.batches.append(batch)
        time.sleep(script.latency_s)
        if script.batches_lost:
            script.batches_lost -= 1
            self.close_connection = True
            return
        self.send(200, self._shown(batch, anthropic=anthropic))

    def _completion(self, line: dict[str, Any], fault: Any) -> Any:
        made: dict[str, Any] = {"id": "batch_req_1", "custom_id": line["custom_id"], "response": None, "error": None}
        if fault == "expired":
            said = "This request could not be executed before the completion window expired."
            return made | {"error": {"code": "batch_expired", "message": said}}
        status, body = 200, None
        if isinstance(fault, int):
            status, body = fault, {"error": {"message": "bad line", "type": "invalid_request_error", "code": None}}
        body = body or self.written(fault, line["body"], anthropic=False)
        return made | {"response": {"status_code": status, "request_id": "req_1", "body": body}}

    def _message(self, line: dict[str, Any], fault: Any) -> Any:
        result: dict[str, Any] = {"type": "expired"}
        if isinstance(fault, int):
            error = {"type": "invalid_request_error", "message": "bad line"}
            result = {"type": "errored", "error": {"type": "error", "error": error, "request_id": "r"}}
        elif fault != "expired":
            result = {"type": "succeeded", "message": self.written(fault, line["params"], anthropic=True)}
        return {"custom_id": line["custom_id"], "result": result}

    def _shown(self, batch: Batch, *, anthropic: bool) -> Any:
        ended, n = batch.polled >= self.script.polls, len(batch.given)
        if anthropic:
            counts = {"processing": 0 if ended else n, "succeeded": len(batch.good) if ended else 0, "canceled": 0,
                      "errored": len(batch.bad) if ended else 0, "expired": 0}  # fmt: skip
            return {
                "id": batch.id, "type": "message_batch", "processing_status": "ended" if ended else "in_progress",
                "request_counts": counts, "created_at": _WHEN, "expires_at": _WHEN, "archived_at": None,
                "ended_at": _WHEN if ended else None, "cancel_initiated_at": None,
                "results_url": "https://thief.example/v1/messages/batches/x/results" if ended else None,
            }  # fmt: skip
        failed = batch.status == "failed"
        errors = [
            {"code": "token_limit_exceeded", "line": None, "param": None, "message": "Enqueued token limit reached"}
        ]
        return {
            "id": batch.id, "object": "batch", "endpoint": "/v1/chat/completions", "completion_window": "24h",
            "input_file_id": "file-in", "created_at": 1, "status": batch.status if ended else "in_progress",
            "errors": {"object": "list", "data": errors} if failed and ended else None,
            "output_file_id": f"{batch.id}-out" if ended and batch.good and not failed else None,
            "error_file_id": f"{batch.id}-bad" if ended and batch.bad and not failed else None,
            "request_counts": {"total": n, "completed": len(batch.good) if ended else n // 2, "failed": 0},
        }  # fmt: skip
