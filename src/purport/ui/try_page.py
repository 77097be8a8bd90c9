"""*Try*, the first page: a text, what the model makes of it, and why; and teaching it the right label."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from .. import registry
from ..errors import NotReady, RequestError
from ..explaining.explain import explainer_for
from ..labels import Task
from ..prediction import AnswerOptions
from ..serving.access import EVERYTHING, Permission, Principal
from ..serving.body import check_text
from ..serving.explain_schema import ExplainRequest
from ..serving.logs import REQUEST_ID
from ..serving.operations import Request as Operand
from ..serving.routes.explain import explained
from ..serving.schema import validated
from ..serving.store import Model
from . import verdicts
from .forms import Form, read_form
from .lessons import Lessons
from .samples import Samples
from .site import Site
from .troubles import Trouble, trouble

_RANKED = 50  # labels that are asked for, so that decided ones are among them


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks on the page.

    Attributes:
        text: the text.
        model: the name of the model; empty for the default.
        label: the label to explain; empty for the likeliest.
        method: the method to explain with; empty for that of the bundle.
        later: whether the page will ask for the explanation by itself.
    """

    text: str
    model: str = ""
    label: str = ""
    method: str = ""
    later: bool = False

    @classmethod
    def of(cls, form: Form) -> Asked:
        """The same from the fields of a form."""
        label = form.value("other").strip() or form.value("label")
        return cls(form.value("text"), form.value("model"), label, form.value("method"), form.value("later") == "1")


def pages(site: Site) -> APIRouter:
    """The routes."""
    routes = site.routes()
    view, most = _View(site), site.context.settings.max_body_bytes

    @routes.get("")
    @routes.get("/")
    @routes.get("/try")
    async def first(request: Request, model: str = "") -> Response:
        principal = await site.visitor(request)
        return await view.page(request, principal, Asked("", model))

    @routes.post("/try")
    async def ask(request: Request) -> Response:
        principal = await site.visitor(request)
        asked = Asked.of(await read_form(request, most))
        return await view.page(request, principal, asked, answered=True)

    @routes.get("/api/labels/{bundle}")
    async def labels(request: Request, bundle: str, model: str = "") -> Response:
        await site.visitor(request)  # ``bundle`` is there so that the list is asked for again when it changes
        return site.labels(site.context.store.get(model or None).current.bundle.manifest.labels)

    @routes.post("/try/teach")
    async def teach(request: Request) -> Response:
        principal = await site.sessions.visitor(request, Permission.MODELS)
        form = await read_form(request, most)
        asked = Asked(form.value("text"), site.context.store.get(form.value("model") or None).name)
        before = await view.answer(principal, asked)
        change = await view.lessons.teach(form, asked.text, asked.model, principal)
        now = await view.answer(principal, asked)
        told = change.told(asked.text, before["labels"], now["labels"])
        return await view.page(request, principal, asked, answered=True, told=told)

    @routes.post("/try/undo")
    async def undo(request: Request) -> Response:
        principal = await site.sessions.visitor(request, Permission.MODELS)
        form = await read_form(request, most)
        asked = Asked(form.value("text"), site.context.store.get(form.value("model") or None).name)
        await view.lessons.undo(asked.model, form.value("bundle"), principal)
        told = {"said": "The last lesson is taken back: the model answers as before.", "flips": (), "undo": ""}
        return await view.page(request, principal, asked, answered=True, told=told)

    return routes


class _View:
    """Puts the page together."""

    def __init__(self, site: Site) -> None:
        self._site, self._context = site, site.context
        self._samples, self.lessons = Samples(), Lessons(site.context)

    async def page(
        self, request: Request, principal: Principal, asked: Asked, *, answered: bool = False, told: Any = None
    ) -> Response:
        """The page for ``asked``, with the answer if it is to be ``answered``, and what was ``told`` of a lesson."""
        models = self._context.store.all()
        try:
            model = self._context.store.get(asked.model or None)
        except NotReady:
            if answered:
                raise
            return self._show(request, models=(), model=None, samples=(), asked=asked)
        result = await self._result(principal, asked, model) if answered else None
        return self._show(
            request, models=models, model=model, samples=await self._samples.of(model.current.bundle), asked=asked,
            result=result, told=told, methods=_methods(model), labels=model.current.bundle.manifest.labels,
            may_teach=bool({EVERYTHING, Permission.MODELS} & principal.permissions), anonymous=principal.anonymous,
            multiclass=model.current.bundle.manifest.task is Task.MULTICLASS,
        )  # fmt: skip

    def _show(self, request: Request, **values: Any) -> Response:
        none = {"result": None, "told": None, "methods": (), "labels": (), "may_teach": False, "anonymous": False}
        return self._site.page(request, "try.html.j2", active="/", **(none | {"multiclass": False} | values))

    async def answer(self, principal: Principal, asked: Asked) -> dict[str, Any]:
        """What the model makes of the text, as for ``/v1/classify``; the request for the page has been counted.

        Raises:
            RequestError: it cannot be answered, or not now.
        """
        request = Operand(check_text(asked.text), AnswerOptions(top_k=_RANKED))
        with self._context.store.get(asked.model or None).current as generation, self._context.admission.deadline():
            result = await self._context.ask_one(request, generation, principal.client)
        found: dict[str, Any] = json.loads(result.body)
        return found

    async def _result(self, principal: Principal, asked: Asked, model: Model) -> dict[str, Any]:
        answer = await self.answer(principal, asked)
        costly = bool(model.current.at_once) and not asked.label
        why = problem = None
        if not (asked.later or costly):
            why, problem = await self._why(principal, asked)
        return {
            "answer": answer,
            "ranked": verdicts.ranked(answer),
            "verdict": verdicts.joined(answer["labels"]),
            "why_none": verdicts.why_none(answer),
            "why": why,
            "problem": problem,
            "costly": costly,
        }

    async def _why(self, principal: Principal, asked: Asked) -> tuple[dict[str, Any] | None, Trouble | None]:
        """The explanation, or why there is none: the answer is shown all the same."""
        fields = {"text": asked.text, "model": asked.model, "label": asked.label, "method": asked.method}
        try:
            wanted = validated(ExplainRequest, {name: value for name, value in fields.items() if value})
            with self._context.admission.deadline():
                found: dict[str, Any] = json.loads(await explained(self._context, wanted, principal))
        except RequestError as error:
            return None, trouble(error, REQUEST_ID.get())
        edit = found["edit"]
        more = {"pieces": verdicts.pieces(found), "doubts": verdicts.doubts(found)}
        more |= {
            "without": verdicts.without(edit) if edit else "",
            "then": verdicts.joined(edit["labels"]) if edit else "",
        }
        return found | more, None


def _methods(model: Model) -> list[str]:
    """The methods that a server may explain the bundle with, its default first."""
    bundle = model.current.bundle
    default, _ = explainer_for(bundle, None, served=True)
    found = [default]
    for name, explainer in registry.load_all("explainers"):
        if name != default and explainer.served and explainer.unfit(bundle) is None:
            found.append(name)
    return found
