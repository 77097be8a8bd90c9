"""Ways to break a bundle. Whoever can write to its directory can write the right checksums, too.

So most cases are sealed again after the change: size, sha256 and id are then right, and what is wrong must be found by
looking at it.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import random
import re
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from purport import Bundle

ID = re.compile(rb'^ "id": "([^"]*)"', re.MULTILINE)
DEEP, LONG = "@deep@", "@long@"


@dataclass(frozen=True)
class Case:
    """One change to a copy of a bundle; ``opens`` where it is no mistake, and the bundle must then answer."""

    name: str
    change: Callable[[Path], None]
    opens: bool | None = False


# -- what is done to a directory


def seal(directory: Path, fields: dict[str, Any], *, files: bool = True) -> None:
    """Write the manifest ``fields`` with right checksums, as whoever can write to the directory can."""
    if files:
        for file in sorted(directory.rglob("*")):
            name = file.relative_to(directory).as_posix()
            if name != "manifest.json" and file.is_file() and not file.is_symlink():
                content = file.read_bytes() if file.stat().st_size < 2**28 else b""
                entry = {"size": file.stat().st_size, "sha256": hashlib.sha256(content).hexdigest()}
                fields["files"][name] = entry
    raw = (json.dumps({**fields, "id": fields.get("id", "")}, indent=1, sort_keys=True) + "\n").encode()
    raw = raw.replace(f'"{DEEP}"'.encode(), b"[" * 50_000 + b"]" * 50_000)
    raw = raw.replace(LONG.encode(), b"a" * 10_000_000)
    if isinstance(fields.get("id"), str) and (found := ID.search(raw)):
        blank = raw[: found.start(1)] + raw[found.end(1) :]
        raw = raw[: found.start(1)] + hashlib.sha256(blank).hexdigest()[:16].encode() + raw[found.end(1) :]
    (directory / "manifest.json").write_bytes(raw)


def manifest(directory: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((directory / "manifest.json").read_bytes())
    return fields


def with_field(path: tuple[str | int, ...], value: Any, *, sealed: bool = True) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        fields = manifest(directory)
        at: Any = fields
        for part in path[:-1]:
            at = at[part]
        at[path[-1]] = copy.deepcopy(value)
        if sealed:
            seal(directory, fields, files=False)
        else:
            (directory / "manifest.json").write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")

    return change


def with_file(name: str, make: Callable[[Path], None], *, sealed: bool) -> Callable[[Path], None]:
    """Replace the file ``name`` by what ``make`` puts there."""

    def change(directory: Path) -> None:
        file = directory / name
        file.unlink()
        make(file)
        if sealed and name != "manifest.json":
            fields = manifest(directory)
            if file.is_symlink() or not file.is_file():
                size = file.stat().st_size if file.exists() else 0
                fields["files"][name]["size"] = size
            seal(directory, fields)

    return change


def sealed(edit: Callable[[Path, dict[str, Any]], None]) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        fields = manifest(directory)
        edit(directory, fields)
        seal(directory, fields)

    return change


# -- wrong fields

NAN, INFINITE = math.nan, math.inf
# Any text, or any document, may stand here: it is shown, and nothing is computed from it.
FREE = re.compile(
    r"recipe(\..*)?|versions(\..*)?|provenance\.(dataset|fingerprint|source)|provenance\.splits(\..*)?|kind"
    r"|provenance\.parents(\..*)?|promise\.assumption|model\.(?!limit|features|ngrams|truncate)\w+|checks(\..*)?"
    r"|provenance\.rows|promise\.labels|model\.ngrams\..*|gates\..*|decision\.reject_below"
)


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every field at any depth; of a list the first item, of the files three."""
    if path:
        yield path, value
    if isinstance(value, dict):
        names = [*value]
        for name in names[:3] if path == ("files",) else names[:40]:
            if path[:1] != ("recipe",):
                yield from leaves(value[name], (*path, name))
    elif isinstance(value, list) and value:
        yield from leaves(value[0], (*path, 0))


def wrong_values(value: Any) -> dict[str, Any]:
    """Values that no field of the type of ``value`` may have."""
    always = {"nan": NAN, "infinite": INFINITE, "deep": DEEP, "long": LONG, "surrogate": "\ud800"}
    if isinstance(value, bool):
        return {**always, "text": "true", "number": 1}
    if isinstance(value, int | float):
        return {**always, "text": "1", "negative": -1e9, "huge": 10**40, "list": [], "null": None}
    if isinstance(value, str):
        return {**always, "number": 5, "list": [], "object": {}, "null": None}
    if isinstance(value, list):
        return {**always, "text": "a", "object": {}, "number": 3, "numbers": [[1]] * 1000, "null": None}
    return {**always, "text": "a", "list": [1], "number": 3, "null": None}


MAY_BE_NULL = {"scope", "promise", "taught", "provenance.source", "model.because"}
"""Fields that may be left out, whatever follows from that."""


def field_cases(fields: dict[str, Any]) -> Iterator[Case]:
    for path, value in leaves({name: each for name, each in fields.items() if name != "id"}):
        dotted = ".".join(map(str, path))
        free = FREE.fullmatch(dotted) is not None
        for what, wrong in wrong_values(value).items():
            if what in ("deep", "long", "infinite", "surrogate") and len(path) > 1:
                continue  # found before any field is looked at
            harmless = what in ("text", "number", "numbers", "list", "object", "null", "negative", "huge")
            opens = None if (free and harmless) or (what == "null" and dotted in MAY_BE_NULL) else False
            yield Case(f"{dotted} {what}", with_field(path, wrong), opens)


def consistency_cases(fields: dict[str, Any]) -> Iterator[Case]:
    """Fields of the right type that do not fit each other, the files or this version."""
    labels: list[str] = fields["labels"]
    thresholds = fields["decision"]["thresholds"]
    for name, path, value in (
        ("labels twice", ("labels",), [labels[0], *labels[:-1]]),
        ("labels none", ("labels",), []),
        ("labels one less", ("labels",), labels[:-1]),
        ("labels one more", ("labels",), [*labels, "one more"]),
        ("labels empty", ("labels",), ["", *labels[1:]]),
        ("thresholds one less", ("decision", "thresholds"), thresholds[:-1]),
        ("thresholds one more", ("decision", "thresholds"), [*thresholds, 0.5]),
        ("thresholds a million", ("decision", "thresholds"), [0] * 200_000),
        ("rule of the other task", ("decision",), {"rule": "likeliest"}),
        ("rule unknown", ("decision",), {"rule": "dice"}),
        ("task of the other rule", ("task",), "multiclass"),
        ("task unknown", ("task",), "sorting"),
        ("calibration unknown", ("calibration",), {"method": "magic"}),
        ("temperature tiny", ("calibration",), {"method": "temperature", "temperature": 1e-320}),
        ("format 99", ("format_version",), 99),
        ("format true", ("format_version",), True),
        ("format 1", ("format_version",), 1),
        ("format -1", ("format_version",), -1),
        ("opener unknown", ("opener",), "nobody"),
        ("opener long", ("opener",), "x" * 1_000_000),
        ("opener a path", ("opener",), "../../etc/passwd"),
        ("opener of the other kind", ("opener",), "onnx" if fields["opener"] == "linear" else "linear"),
        ("kind a path", ("kind",), "../x"),
        ("unknown field", ("surprise",), 1),
        ("unknown field below", ("decision", "surprise"), 1),
        ("part unknown", ("parts",), ["inner"]),
        ("part a path", ("parts",), [".."]),
        ("taught nothing", ("taught",), {"examples": 1_000_000, "new_labels": 0}),
        ("taught too many labels", ("taught",), {"examples": 2, "new_labels": 10**9}),
        ("file outside", ("files", "../outside"), {"size": 1, "sha256": "0" * 64}),
        ("file absolute", ("files", "/etc/passwd"), {"size": 1, "sha256": "0" * 64}),
        ("file with a zero byte", ("files", "a\0b"), {"size": 1, "sha256": "0" * 64}),
        ("file with a long name", ("files", "x" * 5000), {"size": 1, "sha256": "0" * 64}),
        ("file missing", ("files", "more.bin"), {"size": 1, "sha256": "0" * 64}),
        ("files many", ("files",), {f"f{n}": 0 for n in range(80_000)}),
        ("scope of two signals", ("scope",), scope([0.0, 0.0])),
        ("scope of other lengths", ("scope",), scope([0.0] * 4) | {"weights": [1.0]}),
        ("scope out of range", ("scope",), scope([1e308] * 4) | {"bias": -1e308}),
        ("limit huge", ("model", "limit"), 10**12),
        ("limit zero", ("model", "limit"), 0),
    ):
        yield Case(name, with_field(path, value))
    for name, path, value in (
        ("labels with control characters", ("labels",), ["\x1b[31m\x00", *labels[1:]]),
        ("thresholds that are whole numbers", ("decision", "thresholds"), [0] * len(labels)),
        ("a label of 100,000 characters", ("labels",), ["x" * 100_000, *labels[1:]]),
    ):
        yield Case(name, with_field(path, value), opens=True)
    yield Case("a field of a stranger, checksum as it was", with_field(("kind",), "other", sealed=False))
    yield Case("an array as manifest", lambda directory: (directory / "manifest.json").write_text("[]") and None)
    yield Case("a number as manifest", lambda directory: (directory / "manifest.json").write_text("1e999") and None)


def scope(weights: list[float]) -> dict[str, Any]:
    n = len(weights)
    return {"centers": [0.0] * n, "scales": [1.0] * n, "weights": weights, "bias": 0.0, "fitted": 0}


# -- wrong files


def sparse(gib: float) -> Callable[[Path], None]:
    def make(file: Path) -> None:
        file.touch()
        os.truncate(file, int(gib * 2**30))

    return make


def content(raw: bytes) -> Callable[[Path], None]:
    def make(file: Path) -> None:
        file.write_bytes(raw)

    return make


def nothing(file: Path) -> None:
    """The file is gone, and the manifest still lists it."""


def file_cases(bundle: Bundle) -> Iterator[Case]:
    noise = random.Random(7).randbytes(5000)
    for name in ("manifest.json", *bundle.manifest.files):
        whole = (bundle.path / name).read_bytes()
        shown_only = name in ("README.md", "evaluation.json", "data.json", "rows.npz") or name.startswith("adapter/")
        makers: dict[str, tuple[Callable[[Path], None], bool]] = {
            "deleted": (nothing, False),
            "link to null": (lambda file: file.symlink_to("/dev/null"), False),
            "link to zero": (lambda file: file.symlink_to("/dev/zero"), False),
            "link to its content": (linked(bundle.path / name), False),
            "hanging link": (lambda file: file.symlink_to("nowhere"), False),
            "fifo": (lambda file: os.mkfifo(file), False),
            "directory": (lambda file: file.mkdir(), False),
            "sparse": (sparse(5), False),
            "empty": (content(b""), shown_only),
            "truncated": (content(whole[: len(whole) // 2]), shown_only),
            "random": (content(noise), shown_only),
            "text": (content(b'{"a": 1}'), shown_only),
        }
        for what, (make, harmless) in makers.items():
            yield Case(f"{name} {what}, sealed", with_file(name, make, sealed=True), None if harmless else False)
            yield Case(f"{name} {what}", with_file(name, make, sealed=False))


def linked(target: Path) -> Callable[[Path], None]:
    return lambda file: file.symlink_to(target)


def json_cases(bundle: Bundle) -> Iterator[Case]:
    for name in ("vocabulary.json", "words.json", "examples.json", "taught.json", "tokenizer.json"):
        if name not in bundle.manifest.files:
            continue
        for what, raw in (
            ("deep", b"[" * 100_000),
            ("nan", b"[NaN]"),
            ("numbers", b"[1, 2, 3]"),
            ("surrogate", b'["\\ud800"]'),
            ("not utf-8", b'["\xff"]'),
            ("huge number", b"1" * 100_000),
            ("null", b"null"),
            ("empty object", b"{}"),
            ("empty list", b"[]"),
            ("large", b"[" + b"[]," * 3_000_000 + b"[]]"),
        ):
            yield Case(f"{name} {what}", with_file(name, content(raw), sealed=True))
    yield Case("an array that the manifest does not list", lambda at: np.savez(at / "taught2.npz", a=1))
    yield Case("a folder that the manifest does not list", lambda at: (at / "more").mkdir())
    yield Case("a hidden file", lambda at: (at / ".DS_Store").touch())


def archive(**members: bytes) -> Callable[[Path], None]:
    def make(file: Path) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
            for name, raw in members.items():
                target.writestr(f"{name}.npy", raw)

    return make


def header(descr: str, shape: str, data: bytes = b"") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


def bomb(file: Path) -> None:
    """Small on disk, and 3 GB unpacked."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for name in ("idf", "weights", "bias", "vectors", "scales", "gold", "reach"):
            with target.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(header("'|i1'", f"({2**28},)"))
                for _ in range(2**8):
                    member.write(bytes(2**20))


def array_cases(bundle: Bundle, bombed: Path) -> Iterator[Case]:
    for name in ("linear.npz", "memory.npz", "taught.npz"):
        if name not in bundle.manifest.files:
            continue
        with np.load(bundle.path / name) as found:
            good = dict(found)
        for what, make in array_files(good, bombed).items():
            yield Case(f"{name} {what}", with_file(name, make, sealed=True))


def array_files(good: dict[str, Any], bombed: Path) -> dict[str, Callable[[Path], None]]:
    first = next(iter(good))
    floats = next(name for name, array in good.items() if array.dtype.kind == "f")

    def saved(**changed: Any) -> Callable[[Path], None]:
        return lambda file: np.savez(file, **good | changed)

    def lzma(file: Path) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as target:
            for name, array in good.items():
                with target.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, array)

    announced = {name: header(repr(array.dtype.str), f"({10**12},)") for name, array in good.items()}
    return {
        "bomb": lambda file: shutil.copyfile(bombed, file) and None,
        "of many entries": archive(**{f"n{at}": b"" for at in range(3000)}),
        "of objects": saved(**{first: np.array([{}, print], dtype=object)}),
        "announces 10**12 values": archive(**announced),
        "announces a negative number": archive(**{name: header("'<f4'", "(-1,)") for name in good}),
        "with a header that is code": archive(**{name: header("__import__('os').abort()", "(1,)") for name in good}),
        "with a deep header": archive(**{name: header("(" * 9000 + ")" * 9000, "(1,)") for name in good}),
        "with a record type": archive(**{name: header("[('a', '<f4')]", "(1,)", bytes(4)) for name in good}),
        "with huge items": archive(**{name: header(f"'|S{2**31 - 1}'", "(1,)") for name in good}),
        "lacks an array": lambda file: np.savez(file, **{name: each for name, each in good.items() if name != first}),
        "of no axes": saved(**{name: np.array(1, dtype=array.dtype) for name, array in good.items()}),
        "of more axes": saved(**{first: good[first][None]}),
        "of another type": saved(**{first: good[first].astype("float64")}),
        "of texts": saved(**{first: np.array(["a"] * len(good[first]))}),
        "one row less": saved(**{first: good[first][:-1]}),
        "no rows": saved(**{name: array[:0] for name, array in good.items()}),
        "nan": saved(**{floats: np.full_like(good[floats], np.nan)}),
        "infinite": saved(**{floats: np.full_like(good[floats], np.inf)}),
        "one array for another": lambda file: np.savez(file, other=good[first]),
        "packed otherwise": lzma,
    }


def kind_cases(bundle: Bundle) -> Iterator[Case]:
    """What is wrong in a way that only one kind knows."""
    files = bundle.manifest.files
    if "linear.npz" in files:
        terms = json.loads((bundle.path / "vocabulary.json").read_bytes())
        yield Case("n-gram twice", with_file("vocabulary.json", content(dumped([terms[0], *terms[:-1]])), sealed=True))
        yield Case("n-gram less", with_file("vocabulary.json", content(dumped(terms[:-1])), sealed=True))
        for what, ngrams in (
            ("endless", {"words": [1, 10**9]}),
            ("falling", {"words": [3, 1]}),
            ("none", {"words": [0, 0], "characters": [0, 0]}),
            ("of texts", {"words": ["1", "2"]}),
            ("endless text", {"max_characters": 10**12}),
        ):
            changed = {**bundle.manifest.model.model_dump()["ngrams"], **ngrams}
            yield Case(f"n-grams {what}", with_field(("model", "ngrams"), changed))
        yield Case("features one less", with_field(("model", "features"), len(terms) - 1))
    if "memory.npz" in files:
        with np.load(bundle.path / "memory.npz") as found:
            good = dict(found)
        highest = 2**63 - 1
        wild = np.resize(np.array([0, highest, -2], dtype=np.int64), len(good["offsets"]))
        for what, changed in (
            ("labels unknown", {"labels": np.full_like(good["labels"], 10**6)}),
            ("labels negative", {"labels": good["labels"] - 100}),
            ("offsets wild", {"offsets": wild}),
            ("offsets falling", {"offsets": good["offsets"][::-1].copy()}),
            ("vectors wide", {"vectors": np.tile(good["vectors"], 2)}),
            ("vectors long", {"scales": good["scales"] * np.float32(1e30)}),
        ):
            yield Case(f"memory {what}", with_file("memory.npz", saver(good | changed), sealed=True))
        yield Case("memory gone", sealed(without("memory.npz")), opens=bundle.manifest.scope is None)
    if "words.json" in files:
        for what, words in (
            ("without counts", {"pairs": []}),
            ("count a text", {"counts": {"a": "1"}, "pairs": []}),
            ("count negative", {"counts": {"a": -1}, "pairs": []}),
            ("long", {"counts": {"a" * 10_000_000: 2}, "pairs": []}),
            ("pair of three", {"counts": {}, "pairs": ["a b c"]}),
            ("pairs a text", {"counts": {}, "pairs": "ab"}),
            ("very many", {"counts": {f"{at:040}": 2 for at in range(200_000)}, "pairs": []}),
        ):
            yield Case(f"words {what}", with_file("words.json", content(dumped(words)), sealed=True))


def dumped(document: Any) -> bytes:
    return json.dumps(document).encode()


def saver(arrays: dict[str, Any]) -> Callable[[Path], None]:
    return lambda file: np.savez(file, **arrays)


def without(name: str) -> Callable[[Path, dict[str, Any]], None]:
    def edit(directory: Path, fields: dict[str, Any]) -> None:
        (directory / name).unlink()
        del fields["files"][name]

    return edit


# -- models


EVIL = {
    "": "logits = Identity (same)",
    "nan": "nothing = Sub (same, same) logits = Div (nothing, nothing)",
    "memory": """many = Constant <value = int64[1] {3000000000}> ()
        large = ConstantOfShape <value = float[1] {1.0}> (many)
        sum = ReduceSum <keepdims = 0> (large)
        logits = Add (same, sum)""",
    "endless": """trips = Constant <value = int64 {4611686018427387904}> ()
        yes = Equal (one, one) go = Squeeze (yes)
        logits = Loop <body = again (int64 i, bool c, float[n, m] x) => (bool d, float[n, m] y)
            {d = Identity (c) y = Add (x, x)}> (trips, go, same)""",
}
"""What a model may do with its logits before it gives them, if it gives them."""


def graph(n_labels: int, evil: str = "", weights: str = "") -> bytes:
    """A model that gives every text the same logits; ``weights`` is a file that they are in."""
    from onnx import TensorProto, parser

    row = ", ".join(["0.5"] * n_labels)
    model = parser.parse_model(f"""<ir_version: 9, opset_import: ["": 17]>
    g (int64[n, t] input_ids, int64[n, t] attention_mask) => (float[n, {n_labels}] logits)
    <float[1, {n_labels}] row = {{{row}}}, int64[1] one = {{1}}, int64[1] zero = {{0}}> {{
        shape = Shape (input_ids)
        n_rows = Slice (shape, zero, one)
        size = Concat <axis = 0> (n_rows, one)
        same = Expand (row, size)
        {EVIL[evil]}
    }}""")
    if weights:
        tensor = model.graph.initializer[0]
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=weights)
    return bytes(model.SerializeToString())


def model_cases(bundle: Bundle) -> Iterator[Case]:
    n_labels = bundle.manifest.scored
    for what, raw in (
        ("of other labels", graph(n_labels + 1)),
        ("of one label", graph(1)),
        ("of no numbers", graph(n_labels, "nan")),
        ("that reads a file outside", graph(n_labels, weights="/etc/passwd")),
        ("that reads a file above", graph(n_labels, weights="../../secret")),
        ("that lacks vectors", graph(n_labels)),
        ("with other inputs", graph(n_labels).replace(b"input_ids", b"input_xyz")),
        ("with other outputs", graph(n_labels).replace(b"logits", b"lagits")),
        ("of an unknown operator", graph(n_labels).replace(b"Expand", b"Explod")),
    ):
        yield Case(f"model {what}", with_file("model.onnx", content(raw), sealed=True))


def cases(bundle: Bundle, bombed: Path) -> list[Case]:
    """Every case for ``bundle``."""
    fields = manifest(bundle.path)
    return [
        *field_cases(fields),
        *(consistency_cases(fields) if fields["format_version"] == 3 else ()),
        *file_cases(bundle),
        *json_cases(bundle),
        *array_cases(bundle, bombed),
        *kind_cases(bundle),
        *(model_cases(bundle) if "model.onnx" in bundle.manifest.files else ()),
    ]
