"""The encoder by itself: ways to run it, side by side, in one thread; where the time goes; and the floor.

    python benchmarks/serving/engine.py --teacher bundles/atis-teacher --output results/serving/engine.json

The variants are of the six layers of the teacher; the last is the bundle distilled from it, which has three. Each
answers the same distinct ATIS test texts in batches of 64, grouped by length as the server does, in turn, several
rounds. Decisions are compared with fp32; each text alone with the same in random batches. OpenVINO takes part where
it and NNCF are installed, in bf16 where the processor has that: emulated, one comparison is not done in 15 minutes.
Needs the training environment: fp32 and static int8 are made from the weights.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from harness import machine, texts_of, write
from onnx import TensorProto, helper

from purport import Bundle, Classifier, load_dataset
from purport.kinds.distilled.fit import StudentFacts
from purport.kinds.encoder.export import to_onnx
from purport.kinds.encoder.fit import restored
from purport.kinds.encoder.fuse import fuse
from purport.kinds.encoder.quantize import quantize
from purport.kinds.encoder.recipe import EncoderRecipe
from purport.runtime.calibration import Calibrated, Scorer
from purport.runtime.onnx import MODEL_FILE, TOKENIZER_FILE, OnnxScorer

BATCH = 64
ROUNDS = 7
SINGLE = 150
CALIBRATION = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="bundles/atis-teacher")
    parser.add_argument("--bundle", default="atis", help="distilled from it")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread, as in a worker of the server
    texts = texts_of("atis")
    bundle, distilled = Bundle.open(arguments.teacher), Bundle.open(arguments.bundle)
    if (taught_by := distilled.facts(StudentFacts).teacher) != bundle.manifest.id:
        print(f"{arguments.bundle} was taught by {taught_by}, not by {bundle.manifest.id}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        scorers = variants(bundle, Path(folder))
        judges = dict.fromkeys(scorers, bundle) | {"distilled": distilled}
        scorers["distilled"] = opened_bundle(distilled)
        found = compare(scorers, judges, texts)
        profiled = ("fp32", "static int8", "per token", "per token, fused")
        report = {
            "command": "python benchmarks/serving/engine.py",
            "machine": machine().replace("; load generator on the same machine", ", one thread"),
            "texts": len(texts),
            "variants": found,
            "floor": floor(bundle, texts),
            "microseconds_per_text_by_operator": {
                name: profile(Path(folder) / f"{name}.onnx", bundle, texts) for name in profiled
            },
        }
    write(arguments.output, report)


def variants(bundle: Bundle, folder: Path) -> dict[str, Scorer]:
    """Each way to run the weights of ``bundle``, opened."""
    model = restored(bundle, EncoderRecipe.model_validate(bundle.manifest.recipe))
    plain = to_onnx(model)
    save(plain, "fp32", folder)
    static(folder / "fp32.onnx", folder / "static int8.onnx", bundle)
    per_token, fused = onnx.ModelProto(), onnx.ModelProto()
    per_token.CopyFrom(plain)
    fused.CopyFrom(plain)
    quantize(per_token)
    save(per_token, "per token", folder)
    fuse(fused)
    save(fused, "fp32, fused", folder)
    quantize(fused)
    save(fused, "per token, fused", folder)
    names = ("fp32", "fp32, fused", "static int8", "per token", "per token, fused")
    found: dict[str, Scorer] = {name: opened(folder / f"{name}.onnx", bundle) for name in names}
    try:
        import nncf
        import openvino
    except ModuleNotFoundError:
        return found
    core = openvino.Core()
    read = core.read_model(str(folder / "fp32.onnx"))
    feeds = calibration(bundle)
    int8 = nncf.quantize(
        read, nncf.Dataset(feeds), model_type=nncf.ModelType.TRANSFORMER, preset=nncf.QuantizationPreset.MIXED
    )
    for name, each, precision in (("openvino bf16", read, "bf16"), ("openvino int8 (NNCF)", int8, "f32")):
        if precision == "bf16" and "bf16" not in machine():
            continue
        options = {
            "INFERENCE_NUM_THREADS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
        }
        found[name] = scorer(_OpenVino(core.compile_model(each, "CPU", options)), bundle)
    return found


class _OpenVino:
    """A compiled model with the one method of a session that a scorer calls."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()

    def run(self, names: Sequence[str], feeds: dict[str, Any]) -> list[Any]:
        return [self._request.infer([feeds["input_ids"], feeds["attention_mask"]])[0]]


def save(model: onnx.ModelProto, name: str, folder: Path) -> None:
    onnx.save(model, folder / f"{name}.onnx")


def scorer(session: Any, bundle: Bundle) -> OnnxScorer:
    """``session`` behind the tokenizer of ``bundle``."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(bundle.path / TOKENIZER_FILE))
    return OnnxScorer(session, tokenizer, len(bundle.labels), bundle.manifest.model.limit)


def opened(model: Path, bundle: Bundle) -> OnnxScorer:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MODEL_FILE).symlink_to(model)
        (Path(folder) / TOKENIZER_FILE).symlink_to((bundle.path / TOKENIZER_FILE).resolve())
        return OnnxScorer.load(Path(folder), len(bundle.labels), bundle.manifest.model.limit, threads=1)


def calibration(bundle: Bundle) -> list[Any]:
    """Feeds of training texts, one each."""
    texts = list(load_dataset("atis")["train"].texts)
    chosen = np.random.default_rng(0).permutation(len(texts))[:CALIBRATION]
    feeds: list[Any] = []

    class Keep:
        def run(self, names: Sequence[str], given: dict[str, Any]) -> list[Any]:
            feeds.append(given)
            return [np.zeros((len(given["input_ids"]), len(bundle.labels)), np.float32)]

    keeping = scorer(Keep(), bundle)
    for row in chosen:
        keeping.score([texts[row]])
    return feeds


def static(source: Path, target: Path, bundle: Bundle) -> None:
    """ONNX Runtime's static int8: QDQ, MatMul only, per channel, min-max on training texts."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds = iter(calibration(bundle))

        def get_next(self) -> Any:
            return next(self._feeds, None)

    prepared = target.with_name("prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared), str(target), Reader(), quant_format=QuantFormat.QDQ, op_types_to_quantize=["MatMul"],
        per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip


def compare(scorers: dict[str, Scorer], judges: dict[str, Bundle], texts: list[str]) -> dict[str, Any]:
    """Speed in turn, decisions against fp32, alone against in random batches."""
    batch_seconds: dict[str, list[float]] = {name: [] for name in scorers}
    single_seconds: dict[str, list[float]] = {name: [] for name in scorers}
    for each in scorers.values():
        score_all(each, texts)
    for _ in range(ROUNDS):
        for name, each in scorers.items():
            batch_seconds[name].append(timed(lambda: score_all(each, texts)))  # noqa: B023
            singles = [timed(lambda: each.score([text])) for text in texts[:SINGLE]]  # noqa: B023
            single_seconds[name].append(statistics.median(singles))
    classifiers = {name: judged(judges[name], each) for name, each in scorers.items()}
    answers = {name: classifier.answer(texts).probabilities for name, classifier in classifiers.items()}
    decided = {name: classifier.decide(answers[name]) for name, classifier in classifiers.items()}
    static_rate = len(texts) / statistics.median(batch_seconds["static int8"])
    found = {}
    for name, classifier in classifiers.items():
        alone = np.concatenate([classifier.answer([text]).probabilities for text in texts])
        rate = len(texts) / statistics.median(batch_seconds[name])
        found[name] = {
            "per_s": round(rate),
            "over_static_int8": round(rate / static_rate, 2),
            "one_text_ms": round(1e3 * statistics.median(single_seconds[name]), 2),
            "same_decisions_as_fp32": round(float(decided[name].same(decided["fp32"]).mean()), 4),
            "decisions_that_depend_on_batch_mates": int((~classifier.decide(alone).same(decided[name])).sum()),
            "largest_change_by_batch_mates": float(f"{np.abs(alone - answers[name]).max():.1e}"),
        }
    return found


def judged(bundle: Bundle, scorer: Scorer) -> Classifier:
    """``scorer`` with the calibration and decision of ``bundle``."""
    return Classifier(bundle, Calibrated(scorer, bundle.manifest.task, bundle.manifest.calibration))


def opened_bundle(bundle: Bundle) -> OnnxScorer:
    return OnnxScorer.load(bundle.path, len(bundle.labels), bundle.manifest.model.limit, threads=1)


def score_all(scorer: Scorer, texts: list[str]) -> None:
    for start in range(0, len(texts), BATCH):
        scorer.score(texts[start : start + BATCH])


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def floor(bundle: Bundle, texts: list[str]) -> dict[str, Any]:
    """Operations of the constant products per text, over the measured rate of one large int8 product in one thread."""
    rows, inner, columns = 512, 1536, 1536
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["y"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [rows, inner])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [rows, columns])],
        [helper.make_tensor("b", TensorProto.INT8, [inner, columns], bytes(inner * columns), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {"a": np.ones((rows, inner), np.uint8)}
    seconds = statistics.median(timed(lambda: session.run(None, feeds)) for _ in range(100))
    rate = 2 * rows * inner * columns / seconds
    weights = sum(
        int(np.prod(held.dims))
        for held in onnx.load(bundle.path / MODEL_FILE).graph.initializer
        if held.data_type == TensorProto.INT8 and len(held.dims) == 2 and held.dims[0] < 4096
    )
    lengths: list[int] = []

    class Count:
        def run(self, names: Sequence[str], given: dict[str, Any]) -> list[Any]:
            lengths.append(int(given["attention_mask"].sum()))
            return [np.zeros((len(given["input_ids"]), len(bundle.labels)), np.float32)]

    score_all(scorer(Count(), bundle), texts)
    operations = 2 * weights * sum(lengths) / len(texts)
    return {
        "int8_operations_per_s": float(f"{rate:.3g}"),
        "operations_per_text": float(f"{operations:.3g}"),
        "texts_per_s": round(rate / operations),
    }


def profile(model: Path, bundle: Bundle, texts: list[str]) -> dict[str, float]:
    """Microseconds per text and kind of operator, as ONNX Runtime reports them; those above one."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    options.profile_file_prefix = str(model.with_suffix(""))
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    score_all(scorer(session, bundle), texts)
    events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    spent: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    return {kind: round(total / len(texts), 1) for kind, total in spent.most_common() if total > len(texts)}


if __name__ == "__main__":
    main()
