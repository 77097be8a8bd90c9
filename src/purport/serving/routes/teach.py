"""``/v1/models/NAME/examples``: teaches a model examples while it is served, and takes that back."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path as Directory
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from ...bundle import Bundle
from ...data.reading import Example
from ...errors import (
    BundleError,
    BundleInvalid,
    DeviceUnavailable,
    LabelUnknown,
    NotTaught,
    OptionInvalid,
    OutputExists,
    OutputUnwritable,
    TeachingError,
)  # fmt: skip
from ...teaching.lesson import lesson
from ...teaching.rewriting import require_taught
from ...teaching.teach import Teaching, teach, undo
from ..access import Permission
from ..body import parse_object, read_body
from ..context import AppContext
from ..schema import FlipAnswer, TaughtAnswer, TeachRequest, error_responses, request_body, validated
from .models import describe, who

Name = Annotated[str, Path(description="Name of a model")]
_EXAMPLE = {"examples": [{"text": "my card got swallowed", "labels": ["card_lost"]}]}
_SHAPE = (
    '"examples" must be a list of 1 to 1024 objects such as {"text": "...", "labels": ["..."]}, each with a text; '
    "a list of no labels means that none applies."
)
_UNSIGNED = (
    "This server loads signed bundles only (require_signature), and a bundle that is taught loses its signature; "
    "teach a copy with `purport teach`, sign it with `purport sign`, and put it."
)
_NICE = 5  # the workers, which answer, come first


class Teacher:
    """Teaches the models of a server, one at a time, in a process of its own."""

    def __init__(self, context: AppContext) -> None:
        self._store = context.store
        self._signed = context.pool.signed_by is not None
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()

    async def change(
        self, name: str, call: Callable[[Directory], Any], fits: Callable[[Bundle], Any], by: str
    ) -> tuple[Any, TaughtAnswer]:
        """What ``call`` returns for the directory of model ``name``; and the model, which is then served from there.

        ``by`` is who changes it, for the log. ``fits`` raises what can be told from the manifest alone. A change that
        has begun is completed even if the client leaves, so that what is on the disk and what is served agree.

        Raises:
            ModelUnknown, NotReady: there is no such model.
            NotTaught, BundleInvalid: the model is unchanged.
        """
        task = asyncio.create_task(self._change(name, call, fits, by))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _change(
        self, name: str, call: Callable[[Directory], Any], fits: Callable[[Bundle], Any], by: str
    ) -> tuple[Any, TaughtAnswer]:
        async with self._turn:
            bundle = self._store.get(name).current.bundle
            if self._signed:
                raise NotTaught(_UNSIGNED)
            try:
                await asyncio.to_thread(_require_current, name, bundle)
                fits(bundle)
                done = await _in_another_process(partial(call, bundle.path))
                model = await self._store.put(name, by=by)
            except (TeachingError, LabelUnknown, OutputExists, OutputUnwritable) as error:
                raise NotTaught(str(error)) from None
            except (BundleError, DeviceUnavailable) as error:
                raise BundleInvalid(str(error)) from None
        taught = model.current.bundle.manifest.taught
        return done, TaughtAnswer(**describe(model).model_dump(), taught=taught.examples if taught else 0)


def _require_current(name: str, bundle: Bundle) -> None:
    if not bundle.is_current:
        raise NotTaught(
            f'The directory of model "{name}" now has another bundle than the one that is served; put the model first '
            f"(PUT /v1/models/{name})."
        )


def router(context: AppContext) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["models"])
    teacher = Teacher(context)

    @routes.post(
        "/v1/models/{name}/examples",
        responses=error_responses(400, 401, 403, 404, 409, 413, 415, 423, 429, 503, 504),
        openapi_extra=request_body(TeachRequest, _EXAMPLE),
    )
    async def teach_model(request: Request, name: Name) -> TaughtAnswer:
        """Teach the model examples, and serve it from then on; takes seconds.

        The bundle on the server's disk is replaced. No request is dropped: those that arrived before are answered by
        the old bundle. Nothing is taught where more than `allow_flips` validation rows would become wrong. Needs a key
        with the permission `models`.
        """
        principal = await context.access.permit(request.scope, Permission.MODELS)
        context.store.get(name)
        async with context.admission.deadline():
            body = await read_body(request.scope, request.receive, context.settings.max_bulk_bytes, principal.client)
        asked = validated(TeachRequest, parse_object(body, str(_EXAMPLE)), {"examples": OptionInvalid(_SHAPE)})
        examples = [Example(each.text, tuple(each.labels)) for each in asked.examples]
        call = partial(teach, examples=examples, allow_flips=asked.allow_flips)
        done, answer = await teacher.change(
            name, call, lambda bundle: lesson(examples, bundle.labels, bundle.manifest.task), who(principal)
        )
        return answer.model_copy(update=_changes(done))

    @routes.delete(
        "/v1/models/{name}/examples", responses=error_responses(401, 403, 404, 409, 423, 429)
    )  # fmt: skip
    async def undo_teaching(request: Request, name: Name) -> TaughtAnswer:
        """Take back what the model was taught last, and serve it from then on.

        Needs a key with the permission `models`.
        """
        principal = await context.access.permit(request.scope, Permission.MODELS)
        _, answer = await teacher.change(name, undo, require_taught, who(principal))
        return answer

    return routes


def _changes(done: Teaching) -> dict[str, Any]:
    flips = [
        FlipAnswer(text=flip.text, gold=list(flip.gold), before=list(flip.before), after=list(flip.after),
                   broken=flip.broken)
        for flip in done.flips
    ]  # fmt: skip
    return {"checked": done.checked, "flips": flips}


async def _in_another_process(call: Callable[[], Any]) -> Any:
    """What ``call`` returns; its memory is free afterwards, and the event loop never waits for it.

    Raises:
        NotTaught: the process was killed, for example because memory was short.
    """
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit the sockets of the server
    pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=os.nice, initargs=(_NICE,))
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, call)
    except BrokenProcessPool:
        raise NotTaught("the process that teaches was killed; check the memory of the server, and try again") from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
