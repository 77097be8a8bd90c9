"""The manifest: everything about a bundle except its weights, typed and validated against its labels.

Format 1 (written by version 0.1, before openers, parts and typed decisions) and format 2 (before memory and scope) are
converted to format 3 when they are read.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import ConfigDict, FailFast, Field, FiniteFloat, JsonValue, field_validator, model_validator

from .frozen import Frozen
from .labels import MOST_LABELS, LabelSet, Task, too_many
from .promise import Promised

FORMAT_VERSION = 3
READABLE_VERSIONS = (1, 2, 3)

FactsT = TypeVar("FactsT", bound="ModelFacts")
ItemT = TypeVar("ItemT")
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=2**53)]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Pattern of names of kinds, openers and served models."""
Name = Annotated[str, Field(pattern=NAME)]
Many = Annotated[tuple[ItemT, ...], FailFast()]
"""Any number of items. Validation ends at the first wrong one: a hostile manifest has a million of them."""
# Numbers that are summed and multiplied stay finite.
_Moderate = Annotated[float, Field(ge=-1e6, le=1e6)]
_LONGEST_NAME = 1024
_ID = re.compile(rb'^ "id": "([0-9a-f]{16})"(?=,?$)', re.MULTILINE)


class FileEntry(Frozen):
    """Size in bytes and sha256 of one file."""

    size: Count
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class ModelFacts(Frozen):
    """Facts about a model that are known without opening it. A kind adds its own facts in a subclass.

    ``limit`` is the length, in ``unit``, above which a text is truncated.
    """

    model_config = ConfigDict(extra="allow")

    limit: int = Field(default=512, ge=1, le=2**20)
    unit: str = Field(default="tokens", max_length=64)

    def as_type(self, facts_type: type[FactsT]) -> FactsT:
        """The same facts as an instance of ``facts_type``, the subclass of a kind.

        Raises:
            pydantic.ValidationError: they do not fit that type.
        """
        return facts_type.model_validate_json(self.model_dump_json(), strict=True)


class Temperature(Frozen):
    """Logits are divided by ``temperature`` before they become probabilities (Guo et al. 2017)."""

    # The lowest and the highest temperature that is tried.
    searched: ClassVar[tuple[float, float]] = (0.05, 20.0)
    method: Literal["temperature"] = "temperature"
    temperature: float = Field(ge=1e-3, le=1e3)


class Uncalibrated(Frozen):
    """Logits become probabilities without scaling, or the model itself returns probabilities."""

    method: Literal["none"] = "none"
    temperature: ClassVar[float] = 1.0


Calibration = Annotated[Temperature | Uncalibrated, Field(discriminator="method")]


class Scope(Frozen):
    """The probability that some label applies: 1 / (1 + exp(-(bias + Σ weight · (signal - center) / scale))).

    The signals are those of :mod:`purport.runtime.scope`, in their order. ``fitted``: the number of rows without a
    label that weights and bias were adapted to.
    """

    centers: Many[_Moderate]
    scales: Many[Annotated[float, Field(ge=1e-9, le=1e6)]]
    weights: Many[_Moderate]
    bias: _Moderate
    fitted: Count = 0

    @model_validator(mode="after")
    def _same_number(self) -> Self:
        if not len(self.centers) == len(self.scales) == len(self.weights):
            raise ValueError("centers, scales and weights must be as many")
        return self


class TaughtFacts(Frozen):
    """What a bundle was taught after its training: so many ``examples``.

    ``new_labels`` is the number of labels, the last ones, that were begun in this way: the model does not score them.
    """

    examples: int = Field(ge=1)
    new_labels: Count = 0


class PerLabel(Frozen):
    """multilabel: decide every label whose probability reaches its threshold.

    If none does, the most likely label is decided, provided that its probability reaches ``likeliest_at``. No label is
    decided where ``in_scope`` is below ``in_scope_at``, or the acceptance score below ``accept_at`` (which a
    promise sets). ``fitted``: whether the thresholds were fitted on validation rows or set by hand.
    """

    rule: Literal["per_label"] = "per_label"
    thresholds: Many[Share] = Field(max_length=MOST_LABELS)
    likeliest_at: Share = 1.0
    in_scope_at: Share = 0.0
    accept_at: Share = 0.0
    fitted: bool = True

    def at(self, threshold: float) -> PerLabel:
        """The same rule with one threshold for every label."""
        return PerLabel(thresholds=(threshold,) * len(self.thresholds), fitted=False)


class Likeliest(Frozen):
    """multiclass: decide the most likely label, or none if its probability is below ``reject_below``.

    None is decided, either, where ``in_scope`` is below ``in_scope_at``, or the acceptance score below ``accept_at``
    (which a promise sets). ``fitted``: whether that was fitted on validation rows or set by hand.
    """

    rule: Literal["likeliest"] = "likeliest"
    reject_below: Share = 0.0
    in_scope_at: Share = 0.0
    accept_at: Share = 0.0
    fitted: bool = False

    def at(self, threshold: float) -> Likeliest:
        """The same rule with another threshold."""
        return Likeliest(reject_below=threshold)


Decision = Annotated[PerLabel | Likeliest, Field(discriminator="rule")]


class Provenance(Frozen):
    """The data and the bundles that a bundle was made from.

    Attributes:
        dataset: name of the dataset.
        fingerprint: sha256 of all splits together.
        rows: number of examples in each split.
        splits: sha256 of each split.
        cross_fitted: number of training rows that calibration and decision were fitted on as well, from models that
            had not seen them.
        source: the file or directory of the data, if it is not a known name, to find it from another directory.
        parents: ids of the bundles that it was made from.
    """

    dataset: str
    fingerprint: str
    rows: dict[str, Count]
    splits: dict[str, str] = Field(default_factory=dict)
    cross_fitted: Count = 0
    source: str | None = None
    parents: Many[str] = ()


class Manifest(Frozen):
    """``manifest.json``. ``id`` is the first 16 hexadecimal digits of the sha256 of everything else.

    Attributes:
        format_version: version of the bundle format.
        id: name of the bundle in answers and logs.
        kind: how the bundle was made.
        opener: what opens its model: a name in the entry-point group ``purport.models``.
        parts: names of the bundles inside it, each in ``parts/<name>``.
        labels: every label, in the order of the model's outputs.
        model: facts about the model that are known without opening it.
        calibration: how logits become probabilities.
        scope: how evidence becomes the probability that some label applies; without it, that of the likeliest label.
        decision: how probabilities become labels.
        promise: what the decisions keep to, if the recipe asks for a promise.
        taught: what it was taught after its training, if anything.
        provenance: the data and the bundles that it was made from.
        recipe: the complete recipe of the run.
        versions: the libraries that made it.
        checks: values measured by the checks that the trained model passed.
        files: every other file of the bundle.
    """

    format_version: int = FORMAT_VERSION
    id: str = ""
    kind: Name
    opener: Name
    parts: Many[Name] = ()
    task: Task
    labels: Many[str] = Field(min_length=1, max_length=MOST_LABELS)
    model: ModelFacts = ModelFacts()
    calibration: Calibration = Uncalibrated()
    scope: Scope | None = None
    decision: Decision
    promise: Promised | None = None
    taught: TaughtFacts | None = None
    provenance: Provenance
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    checks: dict[str, FiniteFloat] = Field(default_factory=dict)
    files: dict[str, FileEntry] = Field(default_factory=dict)

    @field_validator("model", mode="before")
    @classmethod
    def _as_it_is_written(cls, value: Any) -> Any:
        # Kinds pass their own type, which openers restore with as_type.
        return value.model_dump(mode="json") if isinstance(value, ModelFacts) else value

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        for name in files:
            if len(name) > _LONGEST_NAME or {"", ".", ".."} & {*name.split("/")} or "\0" in name:
                raise ValueError(f"{name[:_LONGEST_NAME]!r} is outside the bundle")
        return files

    @model_validator(mode="after")
    def _decision_fits_labels(self) -> Self:
        LabelSet(self.labels)
        if why := too_many(self.labels):
            raise ValueError(why)
        if (self.task is Task.MULTILABEL) != isinstance(self.decision, PerLabel):
            raise ValueError(f"a {self.task} model cannot use the decision rule {self.decision.rule}")
        if isinstance(self.decision, PerLabel) and len(self.decision.thresholds) != len(self.labels):
            raise ValueError(f"{len(self.decision.thresholds)} thresholds for {len(self.labels)} labels")
        if self.promise is not None and self.promise.accept_at != self.decision.accept_at:
            raise ValueError(
                f"the promise is for accept_at {self.promise.accept_at:g}, but the decision has "
                f"{self.decision.accept_at:g}"
            )
        if self.scored < 1:
            raise ValueError(f"{self.taught} for {len(self.labels)} labels")
        return self

    @property
    def scored(self) -> int:
        """The number of labels that the model itself scores: all but those begun by teaching."""
        return len(self.labels) - (self.taught.new_labels if self.taught else 0)

    def to_bytes(self) -> bytes:
        """The canonical form: the same manifest always gives the same bytes."""
        return canonical(self.model_dump(mode="json"))

    def sealed(self) -> Manifest:
        """This manifest with ``id`` set to its own checksum."""
        return self.model_copy(update={"id": checksum(self.model_dump(mode="json"))})


def canonical(fields: dict[str, Any]) -> bytes:
    """The bytes in which ``fields`` are stored."""
    return (json.dumps(fields, indent=1, sort_keys=True) + "\n").encode()


def checksum(fields: dict[str, Any]) -> str:
    """The id of a manifest with these fields."""
    return _id(canonical({**fields, "id": ""}))


def is_intact(raw: bytes) -> bool:
    """Whether the stored manifest ``raw`` has its own checksum as its ``id``."""
    found = [*_ID.finditer(raw)]
    return len(found) == 1 and found[0][1].decode() == _id(raw[: found[0].start(1)] + raw[found[0].end(1) :])


def _id(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]


def parse(fields: dict[str, Any]) -> Manifest:
    """The manifest with the stored ``fields``, of any readable format. Nothing is converted that is of another type.

    Raises:
        pydantic.ValidationError: a field is unknown, missing or invalid.
        KeyError, TypeError, AttributeError: a manifest of an older format lacks a field, or has another type there.
    """
    return Manifest.model_validate_json(json.dumps(_upgraded(fields)), strict=True)


def _upgraded(fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` converted to the current format; the id stays."""
    if fields["format_version"] == FORMAT_VERSION:
        return fields
    if fields["format_version"] == 2:  # what format 3 adds may be missing
        return {**fields, "format_version": FORMAT_VERSION}
    old = dict(fields)
    model, decision, calibration, checks = old["model"], old.pop("decision"), old["calibration"], old.pop("gates")
    chosen = old["recipe"].get("decide", {})
    characters = model.get("ngrams", {}).get("max_characters")
    limit = {"limit": characters, "unit": "characters"} if characters else {"limit": model.get("max_length", 512)}
    return {
        **old,
        "format_version": FORMAT_VERSION,
        "opener": {"encoder": "onnx", "distilled": "onnx"}.get(old["kind"], old["kind"]),
        "model": {**model, **limit},
        "calibration": {"method": "none"} if chosen.get("calibration") == "none" else calibration,
        "decision": {"rule": "per_label", "thresholds": decision["thresholds"],
                     "fitted": chosen.get("thresholds") != "fixed"}
        if old["task"] == Task.MULTILABEL
        else {"rule": "likeliest", "reject_below": decision["reject_below"]},
        "checks": checks,
    }  # fmt: skip
