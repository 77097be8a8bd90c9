"""A person says on a page what a text means: the model is taught, or that is taken back, and what changed is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..bundle import Bundle
from ..data.reading import Example
from ..errors import ModelConflict, NotTaught, OptionInvalid, did_you_mean
from ..labels import Task
from ..serving.access import Principal
from ..serving.body import check_text
from ..serving.context import AppContext
from ..serving.routes.models import who
from ..serving.routes.teach import Teacher
from ..serving.schema import TaughtAnswer
from ..serving.tutor import Wish
from ..teaching.lesson import lesson
from ..teaching.rewriting import require_taught
from ..wording import count
from .edits import meant
from .forms import Form
from .verdicts import joined

_ANY = 1_000_000
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Change:
    """What a lesson changed: the ``labels`` that were taught, and what the server says of the model since."""

    labels: tuple[str, ...]
    taught: TaughtAnswer

    def told(self, text: str, before: list[str], now: list[str]) -> dict[str, Any]:
        """The same for the page: what is ``said``, other answers that changed, and the bundle that can be undone."""
        said = f"Learned: “{text}” means {joined(self.labels)}."
        if now == before:
            said += f" The answer was {joined(before)} before, too."
        else:
            said += f" The answer is now {joined(now)}; it was {joined(before)}."
        return {"said": f"{said} {self._others()}", "flips": self.taught.flips[:_SHOWN], "undo": self.taught.bundle}

    def _others(self) -> str:
        if not self.taught.checked:
            return "Whether other answers change was not checked: the validation data is not on this server."
        checked = count(self.taught.checked, "validation text")
        if not self.taught.flips:
            return f"None of {checked} is answered otherwise than before."
        broken = sum(flip.broken for flip in self.taught.flips)
        return f"{len(self.taught.flips)} of {checked} are answered otherwise than before, {broken} of them wrongly."


class Lessons:
    """Teaches the models of a server as ``/v1/models/NAME/examples`` does; the caller checks the permission."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._teacher = Teacher(context)

    async def teach(self, form: Form, text: str, name: str, principal: Principal) -> Change:
        """Teach model ``name`` that ``text`` has the labels of the ``form``.

        Raises:
            OptionInvalid: no label was chosen, an unknown one, or too many.
            NotTaught, BundleInvalid, ModelUnknown: the model is unchanged.
        """
        self._context.access.count(principal)
        manifest = self._context.store.get(name).current.bundle.manifest
        labels = _chosen(form, manifest.labels, several=manifest.task is not Task.MULTICLASS)
        examples = [Example(check_text(text), labels)]
        wish = Wish(examples, _ANY if form.value("flips") else 0)
        try:
            done = await self._teacher.change(
                name, wish, lambda bundle: lesson(examples, bundle.labels, bundle.manifest.task), who(principal)
            )
        except NotTaught as error:
            raise NotTaught(_in_words(str(error))) from None
        return Change(labels, done)

    async def undo(self, name: str, expected: str, principal: Principal) -> TaughtAnswer:
        """Take back the last lesson of model ``name``, if it still has the bundle ``expected``.

        Raises:
            ModelConflict: somebody changed the model meanwhile.
            NotTaught, BundleInvalid, ModelUnknown: the model is unchanged.
        """
        self._context.access.count(principal)

        def unchanged(bundle: Bundle) -> None:
            if bundle.manifest.id != expected:
                raise ModelConflict("Somebody changed the model meanwhile, so that your lesson was not taken back.")
            require_taught(bundle)

        return await self._teacher.change(name, Wish(), unchanged, who(principal))


def _chosen(form: Form, known: tuple[str, ...], *, several: bool) -> tuple[str, ...]:
    """The labels that the ``form`` has; none if "none of these" is chosen."""
    given = [*form.values.get("label", ()), *form.values.get("typed", ())]
    labels = sorted(
        {meant(each, known) if each in known else meant(each.strip(), known) for each in given if each.strip()}
    )
    if not given or (not labels and "" not in form.values.get("label", ())):
        raise OptionInvalid('Choose the right label first, or "None of these".')
    for label in labels:
        if label not in known:
            raise OptionInvalid(f'There is no label "{label}".{did_you_mean(label, known)}')
    if not several and len(labels) > 1:
        raise OptionInvalid("A text has one label here; choose one.")
    return tuple(labels)


def _in_words(said: str) -> str:
    """``said`` without what is for the command line."""
    kept = [line.strip() for line in said.splitlines() if "--allow-flips" not in line]
    if len(kept) == len(said.splitlines()):
        return said
    return " · ".join(
        [*kept, "Check the label. If it is right, tick “even if other answers become wrong” and teach it again."]
    )
