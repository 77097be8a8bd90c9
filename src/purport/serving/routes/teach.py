"""``/v1/models/NAME/examples``: teaches a model examples while it is served, and takes that back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as InPath

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
from ..access import Permission
from ..aside import aside
from ..body import parse_object, read_body
from ..context import AppContext
from ..schema import FlipAnswer, TaughtAnswer, TeachRequest, error_responses, request_body, validated
from ..tutor import Wish, carry_out
from .models import describe, who

Name = Annotated[str, InPath(description="Name of a model")]
_EXAMPLE = {"examples": [{"text": "my card got swallowed", "labels": ["card_lost"]}]}
_SHAPE = (
    '"examples" must be a list of 1 to 1024 objects such as {"text": "...", "labels": ["..."]}, each with a text; '
    "a list of no labels means that none applies."
)
_UNSIGNED = (
    "This server loads signed bundles only (require_signature), and a bundle that is taught loses its signature; "
    "teach a copy with `purport teach`, sign it with `purport sign`, and put it."
)
_READ_S = 30.0


class Teacher:
    """Teaches the models of a server in processes of their own; several teachers share the desks of the store."""

    def __init__(self, context: AppContext) -> None:
        self._store = context.store
        self._signed = context.pool.signed_by is not None
        self._running: set[asyncio.Task[Any]] = set()

    async def change(self, name: str, wish: Wish, fits: Callable[[Bundle], Any], by: str) -> TaughtAnswer:
        """Fulfil ``wish`` in the directory of model ``name``, which is then served from there.

        ``by`` is who changes it, for the log. ``fits`` raises what can be told from the manifest alone. A change that
        has begun is completed even if the client leaves, so that what is on the disk and what is served agree.

        Raises:
            ModelUnknown, NotReady: there is no such model.
            NotTaught, BundleInvalid: the model is unchanged.
        """
        task = asyncio.create_task(self._change(name, wish, fits, by))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _change(self, name: str, wish: Wish, fits: Callable[[Bundle], Any], by: str) -> TaughtAnswer:
        directory = await _directory(self._store.get(name).current.bundle)
        async with self._store.teaching.of(directory):
            bundle = self._store.get(name).current.bundle
            if await _directory(bundle) != directory:
                raise NotTaught(f'Model "{name}" got another bundle meanwhile; look at it, and teach it again.')
            if self._signed:
                raise NotTaught(_UNSIGNED)
            try:
                await aside(partial(_require_current, name, bundle), _READ_S)
                fits(bundle)
                done = await carry_out(wish, bundle)
                model = await self._store.put(name, by=by)
            except (TeachingError, LabelUnknown, OutputExists, OutputUnwritable) as error:
                raise NotTaught(str(error)) from None
            except (BundleError, DeviceUnavailable) as error:
                raise BundleInvalid(str(error)) from None
            except TimeoutError:
                raise _unread(bundle) from None
        taught = model.current.bundle.manifest.taught
        answer = TaughtAnswer(**describe(model).model_dump(), taught=taught.examples if taught else 0)
        return answer.model_copy(update={**done, "flips": [FlipAnswer(**flip) for flip in done.get("flips", ())]})


async def _directory(bundle: Bundle) -> Path:
    """Where ``bundle`` lies, by whatever links and relative paths it is known.

    Raises:
        NotTaught: the disk does not say in time.
    """
    try:
        return await aside(bundle.path.resolve, _READ_S)
    except (TimeoutError, OSError, RuntimeError):  # a link that leads to itself
        raise _unread(bundle) from None


def _unread(bundle: Bundle) -> NotTaught:
    return NotTaught(f"{bundle.path} could not be read within {_READ_S:g} seconds")


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
        the old bundle. Nothing is taught where more than `allow_flips` validation or training rows would become wrong,
        or, without `force`, where a row or an earlier example with the same text has other labels. Needs a key with the
        permission `models`.
        """
        principal = await context.access.permit(request.scope, Permission.MODELS)
        context.store.get(name)
        with context.admission.deadline():
            body = await read_body(request.scope, request.receive, context.settings.max_bulk_bytes, principal.client)
        asked = validated(TeachRequest, parse_object(body, str(_EXAMPLE)), {"examples": OptionInvalid(_SHAPE)})
        examples = [Example(each.text, tuple(each.labels)) for each in asked.examples]
        return await teacher.change(
            name,
            Wish(examples, asked.allow_flips, asked.force),
            lambda bundle: lesson(examples, bundle.labels, bundle.manifest.task),
            who(principal),
        )

    @routes.delete(
        "/v1/models/{name}/examples", responses=error_responses(401, 403, 404, 409, 423, 429)
    )  # fmt: skip
    async def undo_teaching(request: Request, name: Name) -> TaughtAnswer:
        """Take back what the model was taught last, and serve it from then on.

        Needs a key with the permission `models`.
        """
        principal = await context.access.permit(request.scope, Permission.MODELS)
        return await teacher.change(name, Wish(), require_taught, who(principal))

    return routes
