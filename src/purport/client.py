"""The Python client of a server, blocking and asynchronous, with the same calls, results and retries.

::

    with Client("http://127.0.0.1:8000") as client:
        client.intent("flights from boston to denver")

Each call is written once, as a coroutine. :class:`AsyncClient` returns it to the caller. In :class:`Client` its
requests and pauses block, so that it can be run to completion immediately.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload
from urllib.parse import quote

from .errors import ServerError, needs
from .prediction import Prediction, ScoredLabel

with needs("the client", "client"):
    import httpx

MOST_TEXTS = 1024
# Statuses to retry: not ready, over the rate limit, overloaded.
_AGAIN = frozenset({423, 429, 503})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
# If the server asks for a longer pause, the client gives up.
_LONGEST_RETRY_AFTER_S = 60.0
# Longer than the server's own time limit for loading a model.
_LOAD_S = 150.0

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
HttpT = TypeVar("HttpT", httpx.Client, httpx.AsyncClient)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model on a server: its name, the ids of its bundle and of the previous one, and its labels."""

    name: str
    bundle: str
    previous: str | None
    labels: tuple[str, ...]


class _Call(Protocol[P, T_co]):
    """A method that blocks in :class:`Client` and is awaited in :class:`AsyncClient`."""

    @overload
    def __get__(self, client: Client, owner: object) -> Callable[P, T_co]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: object) -> Callable[P, Coroutine[Any, Any, T_co]]: ...


def _call(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> _Call[P, T]:
    """``method`` as a call of both clients."""

    @wraps(method)
    def call(self: Client | AsyncClient, *args: P.args, **options: P.kwargs) -> Any:
        coroutine = method(self, *args, **options)
        if isinstance(self, AsyncClient):
            return coroutine
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("a blocking client never awaits an event loop")

    return call  # type: ignore[return-value]


class _Calls(ABC, Generic[HttpT]):
    """The calls that both clients share.

    Args:
        url: address of the server.
        api_key: sent with every request.
        timeout: seconds that each attempt may take.
        retries: number of retries after a temporary failure. Pauses double from 0.1 s, with full jitter (Brooker
            2015, "Exponential Backoff and Jitter"), and are never shorter than the server's ``Retry-After``.
    """

    _http_client: type[HttpT]

    def __init__(
        self, url: str = "http://127.0.0.1:8000", *, api_key: str | None = None, timeout: float = 10.0, retries: int = 4
    ) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._retries = retries
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http: HttpT = self._http_client(base_url=self._url, headers=headers)

    @_call
    async def intent(self, text: str) -> tuple[ScoredLabel, ...]:
        """The three most likely intents of ``text``.

        Raises:
            ServerError: the server returned an error or could not be reached.
        """
        answer = await self._request("POST", "/intent", {"text": text})
        return _ranked(answer["intents"])

    @_call
    async def classify(
        self, texts: Sequence[str], *, model: str | None = None, top_k: int = 3, threshold: float | None = None
    ) -> list[Prediction | ServerError]:
        """One prediction per text, in order, or an error for a text that could not be classified.

        ``ranked`` has the ``top_k`` most likely labels. More than 1,024 texts are sent in several requests.

        Raises:
            ServerError: the server returned an error or could not be reached.
        """
        given = {"top_k": top_k, "model": model, "threshold": threshold}
        options = {name: value for name, value in given.items() if value is not None}
        found: list[Prediction | ServerError] = []
        for start in range(0, len(texts), MOST_TEXTS):
            body = {"texts": list(texts[start : start + MOST_TEXTS]), **options}
            answer = await self._request("POST", "/v1/classify", body)
            found += [_prediction(each, answer["bundle"]) for each in answer["results"]]
        return found

    @_call
    async def models(self) -> list[ServedModel]:
        """The models on the server, default first."""
        answer = await self._request("GET", "/v1/models")
        return [_model(each) for each in answer["models"]]

    @_call
    async def put_model(self, name: str, bundle: str | None = None) -> ServedModel:
        """Serve the bundle in a directory on the server as ``name``; without ``bundle``, reload its directory."""
        path = f"/v1/models/{quote(name, safe='')}"
        return _model(await self._request("PUT", path, {"bundle": bundle}, timeout=_LOAD_S))

    @_call
    async def roll_back(self, name: str) -> ServedModel:
        """Switch ``name`` back to its previous bundle."""
        path = f"/v1/models/{quote(name, safe='')}/rollback"
        return _model(await self._request("POST", path, timeout=_LOAD_S, twice=False))

    async def _request(
        self, method: str, path: str, body: object = None, *, timeout: float = 0.0, twice: bool = True
    ) -> Any:
        """The server's response. ``twice``: whether the request may be sent again if no response arrived."""
        request = self._http.build_request(
            method,
            path,
            # ASCII escapes keep lone surrogates intact, so that the server can reject them.
            content=None if body is None else json.dumps(body).encode(),
            headers=None if body is None else {"Content-Type": "application/json"},
            timeout=max(timeout, self._timeout),
        )
        pause = 0.0
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            jitter = random.uniform(0, min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S))
            try:
                response = await self._send(request, pause)
            except httpx.TransportError as error:
                if last or not (twice or isinstance(error, httpx.ConnectError)):
                    reason = str(error) or type(error).__name__
                    message = f"cannot reach {self._url} ({reason}); check the address and that the server is running"
                    raise ServerError(0, "", message) from error
                pause = jitter
            else:
                asked = response.headers.get("Retry-After", "")
                pause = jitter + (float(asked) if asked.isdigit() else 0.0)
                if last or response.status_code not in _AGAIN or pause > _LONGEST_RETRY_AFTER_S:
                    return _read(response)
        raise AssertionError("the last attempt returns or raises")

    @abstractmethod
    async def _send(self, request: httpx.Request, pause: float) -> httpx.Response:
        """Send ``request`` after ``pause`` seconds."""


class Client(_Calls[httpx.Client]):
    """The blocking client. Connections are reused; safe to use from several threads."""

    _http_client = httpx.Client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    async def _send(self, request: httpx.Request, pause: float) -> httpx.Response:
        time.sleep(pause)
        return self._http.send(request)


class AsyncClient(_Calls[httpx.AsyncClient]):
    """The client for ``async`` code: every call is awaited."""

    _http_client = httpx.AsyncClient

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, request: httpx.Request, pause: float) -> httpx.Response:
        await asyncio.sleep(pause)
        return await self._http.send(request)


def _read(response: httpx.Response) -> Any:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if response.is_success and answer:
        return answer
    said = answer if isinstance(answer, dict) else {}
    message = said.get("message") or f"HTTP {response.status_code}: {response.text[:200]}"
    raise ServerError(response.status_code, said.get("label", ""), message)


def _ranked(intents: Sequence[dict[str, Any]]) -> tuple[ScoredLabel, ...]:
    return tuple(ScoredLabel(each["label"], each["confidence"]) for each in intents)


def _prediction(result: dict[str, Any], bundle: str) -> Prediction | ServerError:
    if "error" in result:
        return ServerError(200, result["error"]["label"], result["error"]["message"])
    labels, ranked = tuple(result["labels"]), _ranked(result["intents"])
    return Prediction(labels, ranked, result["out_of_scope"], result["truncated"], bundle)


def _model(answer: dict[str, Any]) -> ServedModel:
    return ServedModel(answer["name"], answer["bundle"], answer["previous"], tuple(answer["labels"]))
