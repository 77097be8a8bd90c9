"""``/v1/models``: lists the models of a server, and changes them while it is running."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from ...errors import BundleError, BundleInvalid, DeviceUnavailable, OptionInvalid
from ...manifest import NAME
from ..access import Permission, Principal
from ..body import parse_object, read_body
from ..context import AppContext
from ..schema import ModelAnswer, ModelsAnswer, PutModelRequest, error_responses, request_body, validated
from ..store import Model

Name = Annotated[str, Path(description="Name of a model")]
NewName = Annotated[str, Path(description="Name of an existing or a new model", pattern=NAME)]
BUNDLE = '"bundle" must be the directory of a bundle on the server, or a shipped name.'


def router(context: AppContext) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["models"])
    _reading(routes, context)
    _changing(routes, context)
    return routes


def _reading(routes: APIRouter, context: AppContext) -> None:
    store, access = context.store, context.access

    @routes.get("/v1/models", responses=error_responses(401, 403, 423, 429, 503))
    async def list_models(request: Request) -> ModelsAnswer:
        """List all models, the default first."""
        await access.permit(request.scope, Permission.CLASSIFY)
        return ModelsAnswer(default=store.get().name, models=[describe(each) for each in store.all()])

    @routes.get("/v1/models/{name}", responses=error_responses(401, 403, 404, 423, 429, 503))
    async def get_model(request: Request, name: Name) -> ModelAnswer:
        """Show one model."""
        await access.permit(request.scope, Permission.CLASSIFY)
        return describe(store.get(name))


def _changing(routes: APIRouter, context: AppContext) -> None:
    store, access = context.store, context.access

    @routes.put(
        "/v1/models/{name}",
        responses=error_responses(400, 401, 403, 404, 409, 413, 415, 423, 429, 503, 504),
        openapi_extra=request_body(PutModelRequest, {"bundle": "bundles/candidate"}),
    )
    async def put_model(request: Request, name: NewName) -> ModelAnswer:
        """Serve another bundle from the server's disk under this name, or reload the model's directory.

        The new bundle is loaded while the old one keeps answering. Requests that arrived before the switch are answered
        by the old bundle, later ones by the new one; none is dropped. The bundle is a shipped name, a directory that
        the server was started with, or one below the setting `models_dir`. Needs a key with the permission `models`.
        """
        principal = await access.permit(request.scope, Permission.MODELS)
        store.get()
        with context.admission.deadline():
            body = await read_body(request.scope, request.receive, context.settings.max_body_bytes)
        said = parse_object(body, '{} or {"bundle": "DIRECTORY"}')
        asked = validated(PutModelRequest, said, {"bundle": OptionInvalid(BUNDLE)})
        try:
            return describe(await store.put(name, asked.bundle, by=who(principal)))
        except (BundleError, DeviceUnavailable) as error:
            raise BundleInvalid(str(error)) from None

    @routes.delete("/v1/models/{name}", responses=error_responses(401, 403, 404, 409, 423, 429))
    async def delete_model(request: Request, name: Name) -> ModelAnswer:
        """Delete a model that is not the default, and answer with what it was.

        Requests that arrived before are answered, and the bundle stays on the disk. Needs a key with the permission
        `models`.
        """
        principal = await access.permit(request.scope, Permission.MODELS)
        store.get()
        return describe(await store.delete(name, by=who(principal)))

    @routes.post("/v1/models/{name}/rollback", responses=error_responses(401, 403, 404, 409, 423, 429))
    async def roll_back(request: Request, name: Name) -> ModelAnswer:
        """Switch a model back to its previous bundle, which is still loaded.

        Needs a key with the permission `models`.
        """
        principal = await access.permit(request.scope, Permission.MODELS)
        store.get()
        return describe(store.roll_back(name, by=who(principal)))


def who(principal: Principal) -> str:
    """Who changes a model, for the log: never a key or an address."""
    return "anonymous" if principal.anonymous else principal.id


def describe(model: Model) -> ModelAnswer:
    """``model`` as clients see it."""
    manifest = model.current.bundle.manifest
    previous = model.previous.bundle.manifest.id if model.previous else None
    return ModelAnswer(
        name=model.name, bundle=manifest.id, previous=previous, task=manifest.task, labels=list(manifest.labels)
    )
