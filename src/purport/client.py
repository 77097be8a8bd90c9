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
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload
from urllib.parse import quote

from . import received
from .errors import ServerError, SettingsError
from .explaining.explanation import Explanation
from .optional import needs
from .prediction import Prediction, ScoredLabel
from .received import ServedModel

with needs("the client", "client"):
    import httpx

MOST_TEXTS = 1024
_AGAIN = frozenset({423, 429, 503})  # not ready, over the rate limit, overloaded
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
# If the server asks for a longer pause, the client gives up.
_LONGEST_RETRY_AFTER_S = 60.0
# Longer than the server's own time limit for loading a model.
_LOAD_S = 150.0
_OTHER_SERVER = "{} does not answer as a purport server does; check the address"

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
HttpT = TypeVar("HttpT", httpx.Client, httpx.AsyncClient)


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
        if api_key and not api_key.isascii():
            raise SettingsError("the API key has characters other than ASCII; check that it was copied completely")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            self._http: HttpT = self._http_client(base_url=self._url, headers=headers)
        except (ImportError, ValueError, httpx.InvalidURL) as error:  # a proxy of the environment, or the address
            raise SettingsError(
                f"cannot ask {self._url} ({error}); correct the address, or the proxy in ALL_PROXY, HTTP_PROXY or "
                "HTTPS_PROXY, or name the server in NO_PROXY"
            ) from None

    @_call
    async def intent(self, text: str) -> tuple[ScoredLabel, ...]:
        """The three most likely intents of ``text``.

        Raises:
            ServerError: the server returned an error or could not be reached.
        """
        answer = await self._request("POST", "/intent", {"text": text})
        return self._understood(received.ranked_of, answer)

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
            chunk = list(texts[start : start + MOST_TEXTS])
            answer = await self._request("POST", "/v1/classify", {"texts": chunk, **options})
            found += self._understood(received.predictions, answer, len(chunk))
        return found

    @_call
    async def explain(
        self, text: str, *, model: str | None = None, label: str | None = None, method: str | None = None,
        calls: int | None = None, examples: int = 2,
    ) -> Explanation:  # fmt: skip
        """Why ``label`` is as probable for ``text`` as it is; see :meth:`purport.Classifier.explain`.

        Raises:
            ServerError: the server returned an error or could not be reached.
        """
        given = {"model": model, "label": label, "method": method, "calls": calls, "examples": examples}
        options = {name: value for name, value in given.items() if value is not None}
        answer = await self._request("POST", "/v1/explain", {"text": text, **options})
        return self._understood(received.explanation, answer)

    @_call
    async def models(self) -> list[ServedModel]:
        """The models on the server, default first."""
        answer = await self._request("GET", "/v1/models")
        return self._understood(received.models, answer)

    @_call
    async def put_model(self, name: str, bundle: str | None = None) -> ServedModel:
        """Serve a bundle on the server (see ``models_dir``) as ``name``; without ``bundle``, reload its directory."""
        return await self._change("PUT", name, body={"bundle": bundle})

    @_call
    async def delete_model(self, name: str) -> ServedModel:
        """Delete ``name``, which must not be the default; what it was."""
        return await self._change("DELETE", name)

    @_call
    async def roll_back(self, name: str) -> ServedModel:
        """Switch ``name`` back to its previous bundle."""
        return await self._change("POST", name, "/rollback")

    @_call
    async def teach(
        self, name: str, examples: Sequence[tuple[str, Sequence[str]]], allow_flips: int = 0
    ) -> ServedModel:
        """Teach ``name`` texts with their labels, which may be none; see :func:`purport.teach`."""
        given = [{"text": text, "labels": list(labels)} for text, labels in examples]
        return await self._change("POST", name, "/examples", {"examples": given, "allow_flips": allow_flips})

    @_call
    async def undo_teaching(self, name: str) -> ServedModel:
        """Take back what ``name`` was taught last."""
        return await self._change("DELETE", name, "/examples")

    async def _change(self, method: str, name: str, below: str = "", body: object = None) -> ServedModel:
        path, twice = f"/v1/models/{quote(name, safe='')}{below}", method == "PUT"
        return self._understood(received.model, await self._request(method, path, body, timeout=_LOAD_S, twice=twice))

    def _understood(self, read: Callable[..., T], answer: Any, *more: Any) -> T:
        """What ``read`` makes of ``answer``, which may be that of some other server."""
        try:
            return read(answer, *more)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ServerError(200, "", _OTHER_SERVER.format(self._url)) from None

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
            except httpx.RequestError as error:
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
    except (ValueError, RecursionError):
        answer = None
    if response.is_success:
        if not answer:
            raise ServerError(response.status_code, "", _OTHER_SERVER.format(response.url))
        return answer
    said = answer if isinstance(answer, dict) else {}
    message = said.get("message") or (
        f"{response.url} returned HTTP {response.status_code} ({response.text[:200]!r}); check the address"
    )
    label = said.get("label", "")
    raise ServerError(response.status_code, label if isinstance(label, str) else "", str(message))
