"""``/v1/models``: which models a server has, and changing them while it answers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel

from ..errors import BundleError, BundleInvalid, DeviceUnavailable, OptionInvalid
from ..labels import Task
from ..settings import ServerSettings
from .access import Access
from .body import parse_object, read_body
from .engine import Engine
from .models import Model
from .schema import PUT_MODEL_BODY, error_responses

SCOPE = "models"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Name = Annotated[str, Path(description="Name of a model")]
NewName = Annotated[str, Path(description="Name of a model, an old one or a new one", pattern=NAME)]


class ModelAnswer(BaseModel):
    """A model as clients see it."""

    name: str
    bundle: str
    previous: str | None
    task: Task
    labels: list[str]


class ModelsAnswer(BaseModel):
    """Every model; requests that name none are answered by ``default``."""

    default: str
    models: list[ModelAnswer]


def router(engine: Engine, access: Access, settings: ServerSettings) -> APIRouter:
    """The routes, around ``engine``."""
    routes = APIRouter(tags=["models"])

    @routes.get("/v1/models", responses=error_responses(401, 403, 423, 429))
    async def list_models(request: Request) -> ModelsAnswer:
        """Every model, the default first."""
        access.check(request.scope, "classify")
        engine.require_loaded()
        return ModelsAnswer(default=engine.models.get().name, models=[describe(each) for each in engine.models.all()])

    @routes.get("/v1/models/{name}", responses=error_responses(401, 403, 404, 423, 429))
    async def get_model(request: Request, name: Name) -> ModelAnswer:
        """One model."""
        access.check(request.scope, "classify")
        engine.require_loaded()
        return describe(engine.models.get(name))

    @routes.put(
        "/v1/models/{name}",
        responses=error_responses(400, 401, 403, 404, 409, 413, 415, 423, 429),
        openapi_extra={"requestBody": PUT_MODEL_BODY},
    )
    async def put_model(request: Request, name: NewName) -> ModelAnswer:
        """Let a name stand for another bundle on the server's disk, or look again at its directory.

        The bundle is loaded beside the one in use; requests under way are answered by that, later ones by the
        new one. None is dropped. Needs a key with the scope `models`.
        """
        access.check(request.scope, SCOPE, key_required=True)
        engine.require_loaded()
        fields: dict[str, Any] = parse_object(
            await read_body(request.scope, request.receive, settings.max_body_bytes), '{} or {"bundle": "DIRECTORY"}'
        )
        ref = fields.get("bundle")
        if ref is None:
            ref = str(engine.models.get(name).path)
        if not isinstance(ref, str) or not ref or "\0" in ref:
            raise OptionInvalid(
                '"bundle" must be the directory of a bundle on the server, or the name of a shipped one.'
            )
        try:
            return describe(await engine.put(name, ref))
        except (BundleError, DeviceUnavailable) as error:
            raise BundleInvalid(str(error)) from None

    @routes.post("/v1/models/{name}/rollback", responses=error_responses(401, 403, 404, 409, 423, 429))
    async def roll_back(request: Request, name: Name) -> ModelAnswer:
        """Exchange the bundle of a model with the one before it, which is still loaded. Needs the scope `models`."""
        access.check(request.scope, SCOPE, key_required=True)
        engine.require_loaded()
        return describe(await engine.roll_back(name))

    return routes


def describe(model: Model) -> ModelAnswer:
    """``model`` for clients."""
    manifest = model.current.bundle.manifest
    previous = model.previous.bundle.manifest.id if model.previous else None
    return ModelAnswer(
        name=model.name, bundle=manifest.id, previous=previous, task=manifest.task, labels=list(manifest.labels)
    )
