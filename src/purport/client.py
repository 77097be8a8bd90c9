"""Asking a server from Python, blocking or not: the same calls, the same answers, the same retries.

::

    with Client("http://127.0.0.1:8000") as client:
        client.intent("flights from boston to denver")

What to send, how to read the answer and when to try again stands once, in generators that yield a request to
be sent or a pause to be made; :class:`Client` and :class:`AsyncClient` only do as they are told.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar
from urllib.parse import quote

from .errors import DependencyMissing, ServerError
from .prediction import Prediction, ScoredLabel

try:
    import httpx
except ModuleNotFoundError:
    raise DependencyMissing("the client (httpx)", "client") from None

MOST_TEXTS = 1024
# Worth another try: not ready, over the rate limit, overloaded.
_AGAIN = frozenset({423, 429, 503})
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0
# A server that wants to be left alone for longer is not waited for.
_LONGEST_RETRY_AFTER_S = 60.0
# What the server allows itself for a model.
_LOAD_S = 150.0

T = TypeVar("T")
Outcome: TypeAlias = "httpx.Response | httpx.TransportError | None"
Steps: TypeAlias = "Generator[httpx.Request | float, Outcome, T]"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model of a server: its name, the id of its bundle and of the one before, and its labels."""

    name: str
    bundle: str
    previous: str | None
    labels: tuple[str, ...]


class _Calls:
    """What both clients share: requests, answers, retries.

    Args:
        url: where the server listens.
        api_key: sent with every request.
        timeout: seconds that one attempt may take.
        retries: further attempts after one that may succeed later. Pauses double from 0.1 s, with full jitter
            (Brooker 2015, "Exponential Backoff and Jitter"), and are never shorter than the server's ``Retry-After``.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8000", *, api_key: str | None = None, timeout: float = 10.0, retries: int = 4
    ) -> None:
        self._url = httpx.URL(url.rstrip("/"))
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout = timeout
        self._retries = retries

    def _request(
        self, method: str, path: str, body: object = None, *, timeout: float | None = None, twice: bool = True
    ) -> Steps[Any]:
        """``twice``: the server may get the request again when its answer did not come."""
        extensions = {"timeout": httpx.Timeout(timeout or self._timeout).as_dict()}
        url = self._url.copy_with(path=self._url.path.rstrip("/") + path)
        # Escaped, so that whatever is no text is the server's to refuse.
        content = json.dumps(body).encode() if body is not None else None
        headers = self._headers | ({"Content-Type": "application/json"} if content is not None else {})
        request = httpx.Request(method, url, content=content, headers=headers, extensions=extensions)
        for attempt in range(self._retries + 1):
            outcome = yield request
            last = attempt == self._retries
            if isinstance(outcome, httpx.Response) and (last or outcome.status_code not in _AGAIN):
                return _read(outcome)
            unsure = isinstance(outcome, httpx.TransportError) and not isinstance(outcome, httpx.ConnectError)
            if isinstance(outcome, httpx.TransportError) and (last or (unsure and not twice)):
                raise ServerError(0, "", f"cannot ask {self._url} ({outcome or type(outcome).__name__})") from outcome
            pause = _pause(attempt, outcome)
            if isinstance(outcome, httpx.Response) and pause > _LONGEST_RETRY_AFTER_S:
                return _read(outcome)
            yield pause
        raise AssertionError("the last attempt returns or raises")

    def _intent(self, text: str) -> Steps[tuple[ScoredLabel, ...]]:
        answer = yield from self._request("POST", "/intent", {"text": text})
        return _ranked(answer["intents"])

    def _classify(
        self, texts: Sequence[str], model: str | None, top_k: int, threshold: float | None
    ) -> Steps[list[Prediction | ServerError]]:
        found: list[Prediction | ServerError] = []
        for start in range(0, len(texts), MOST_TEXTS):
            body = {"texts": list(texts[start : start + MOST_TEXTS]), "top_k": top_k}
            body |= {"model": model} if model is not None else {}
            body |= {"threshold": threshold} if threshold is not None else {}
            answer = yield from self._request("POST", "/v1/classify", body)
            found += [_prediction(each, answer["bundle"]) for each in answer["results"]]
        return found

    def _models(self) -> Steps[list[ServedModel]]:
        answer = yield from self._request("GET", "/v1/models")
        return [_model(each) for each in answer["models"]]

    def _put_model(self, name: str, bundle: str | None) -> Steps[ServedModel]:
        path = f"/v1/models/{quote(name, safe='')}"
        answer = yield from self._request("PUT", path, {"bundle": bundle}, timeout=max(self._timeout, _LOAD_S))
        return _model(answer)

    def _roll_back(self, name: str) -> Steps[ServedModel]:
        path = f"/v1/models/{quote(name, safe='')}/rollback"
        answer = yield from self._request("POST", path, timeout=max(self._timeout, _LOAD_S), twice=False)
        return _model(answer)


class Client(_Calls):
    """Blocking. Connections are kept and used again; safe to use from several threads."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._http = httpx.Client()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def intent(self, text: str) -> tuple[ScoredLabel, ...]:
        """The three likeliest intents of ``text``.

        Raises:
            ServerError: the server answered with an error, or was not reached.
        """
        return self._run(self._intent(text))

    def classify(
        self, texts: Sequence[str], *, model: str | None = None, top_k: int = 3, threshold: float | None = None
    ) -> list[Prediction | ServerError]:
        """One prediction per text, in order; an error in the place of a text that could not be answered.

        ``ranked`` holds the ``top_k`` likeliest labels. More than 1,024 texts are sent in several requests.

        Raises:
            ServerError: the server answered with an error, or was not reached.
        """
        return self._run(self._classify(texts, model, top_k, threshold))

    def models(self) -> list[ServedModel]:
        """The models of the server, the default first."""
        return self._run(self._models())

    def put_model(self, name: str, bundle: str | None = None) -> ServedModel:
        """Let ``name`` stand for the bundle in a directory of the server; without one, look again at its own."""
        return self._run(self._put_model(name, bundle))

    def roll_back(self, name: str) -> ServedModel:
        """Go back to the bundle that ``name`` stood for before."""
        return self._run(self._roll_back(name))

    def _run(self, steps: Steps[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            outcome = None
            if isinstance(step, float):
                time.sleep(step)
                continue
            try:
                outcome = self._http.send(step)
            except httpx.TransportError as error:
                outcome = error


class AsyncClient(_Calls):
    """The same for ``async`` code; see :class:`Client` for what each call does."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._http = httpx.AsyncClient()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def intent(self, text: str) -> tuple[ScoredLabel, ...]:
        """See :meth:`Client.intent`."""
        return await self._run(self._intent(text))

    async def classify(
        self, texts: Sequence[str], *, model: str | None = None, top_k: int = 3, threshold: float | None = None
    ) -> list[Prediction | ServerError]:
        """See :meth:`Client.classify`."""
        return await self._run(self._classify(texts, model, top_k, threshold))

    async def models(self) -> list[ServedModel]:
        """See :meth:`Client.models`."""
        return await self._run(self._models())

    async def put_model(self, name: str, bundle: str | None = None) -> ServedModel:
        """See :meth:`Client.put_model`."""
        return await self._run(self._put_model(name, bundle))

    async def roll_back(self, name: str) -> ServedModel:
        """See :meth:`Client.roll_back`."""
        return await self._run(self._roll_back(name))

    async def _run(self, steps: Steps[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            outcome = None
            if isinstance(step, float):
                await asyncio.sleep(step)
                continue
            try:
                outcome = await self._http.send(step)
            except httpx.TransportError as error:
                outcome = error


def _read(response: httpx.Response) -> Any:
    try:
        answer = response.json()
    except ValueError:
        answer = {}
    if response.is_success and answer:
        return answer
    label = answer.get("label", "") if isinstance(answer, dict) else ""
    message = answer.get("message", "") if isinstance(answer, dict) else ""
    raise ServerError(response.status_code, label, message or f"HTTP {response.status_code}: {response.text[:200]}")


def _pause(attempt: int, outcome: Outcome) -> float:
    asked = outcome.headers.get("Retry-After", "") if isinstance(outcome, httpx.Response) else ""
    longest = min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S)
    return (float(asked) if asked.isdigit() else 0.0) + random.uniform(0, longest)


def _ranked(intents: Sequence[dict[str, Any]]) -> tuple[ScoredLabel, ...]:
    return tuple(ScoredLabel(each["label"], each["confidence"]) for each in intents)


def _prediction(result: dict[str, Any], bundle: str) -> Prediction | ServerError:
    if "error" in result:
        return ServerError(200, result["error"]["label"], result["error"]["message"])
    return Prediction(
        labels=tuple(result["labels"]),
        ranked=_ranked(result["intents"]),
        out_of_scope=result["out_of_scope"],
        truncated=result["truncated"],
        bundle=bundle,
    )


def _model(answer: dict[str, Any]) -> ServedModel:
    return ServedModel(answer["name"], answer["bundle"], answer["previous"], tuple(answer["labels"]))
