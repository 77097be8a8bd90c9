"""What int8 loses, what is left in float to lose less, and that no form lets texts of a batch change each other."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from purport import Task
from purport.kinds.encoder.export import to_onnx
from purport.kinds.encoder.fuse import fuse
from purport.kinds.encoder.ladder import LADDER
from purport.kinds.encoder.network import IntentModel, load_encoder
from purport.kinds.encoder.quantize import Plan, quantize, sizes
from purport.kinds.encoder.recipe import EncoderModel, Export
from purport.kinds.encoder.sensitivity import centre, errors, feeds, largest_inputs, mean_logits, most_sensitive

RNG = np.random.default_rng(0)
IDS = [RNG.integers(5, 300, length).tolist() for length in RNG.integers(3, 20, 24)]
Array = NDArray[Any]


@pytest.fixture(scope="module")
def plain(tiny_encoder: Path) -> onnx.ModelProto:
    spec = EncoderModel(name=str(tiny_encoder), max_length=32)
    model = to_onnx(IntentModel(load_encoder(spec), 32, 5, Task.MULTILABEL, spec))
    fuse(model)
    return model


def run(model: onnx.ModelProto, feed: dict[str, Array]) -> Array:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: Array = session.run(None, feed)[0]
    return found


def batch(ids: list[list[int]]) -> dict[str, Array]:
    tokens = np.zeros((len(ids), max(map(len, ids))), dtype=np.int64)
    mask = np.zeros_like(tokens)
    for row, each in enumerate(ids):
        tokens[row, : len(each)], mask[row, : len(each)] = each, 1
    return {"input_ids": tokens, "attention_mask": mask}


def product(weight: Array, *before: str) -> onnx.ModelProto:
    """``x @ weight``, with operators on ``x`` before it."""
    names = ["x", *(f"x{number}" for number in range(len(before)))]
    nodes = [helper.make_node(kind, [names[at]], [names[at + 1]]) for at, kind in enumerate(before)]
    graph = helper.make_graph(
        [*nodes, helper.make_node("MatMul", [names[-1], "w"], ["logits"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["texts", "tokens", len(weight)])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", "tokens", weight.shape[1]])],
        [numpy_helper.from_array(weight.astype(np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def error(model: onnx.ModelProto, plan: Plan, feed: dict[str, Array]) -> float:
    """Root mean square of the change, against that of the exact result."""
    exact, changed = run(model, feed), copy.deepcopy(model)
    quantize(changed, plan)
    onnx.checker.check_model(changed, full_check=True)
    return float(np.sqrt(((run(changed, feed) - exact) ** 2).mean() / (exact**2).mean()))


def test_a_large_channel_takes_no_precision_from_the_others() -> None:
    x = RNG.normal(size=(2, 30, 64)).astype(np.float32)
    x[..., 7] *= 40
    weight = RNG.normal(size=(64, 16))
    weight[7] /= 40  # what a large channel does is not larger than what the others do
    model = product(weight)
    seen = {0: np.abs(x).max(axis=(0, 1))}
    assert error(model, Plan(largest=seen), {"x": x}) < error(model, Plan(), {"x": x}) / 4


def test_channels_that_no_example_used_are_left_as_they_are() -> None:
    x = RNG.normal(size=(1, 5, 8)).astype(np.float32)
    seen = np.abs(x).max(axis=(0, 1))
    seen[3] = 0
    weight = RNG.normal(size=(8, 4))
    weight[5] = 0
    assert error(product(weight), Plan(largest={0: seen}), {"x": x}) < 0.02


def test_gelu_uses_nearly_all_steps_above_zero() -> None:
    """Gelu is hardly negative: with as many steps below zero as above it, the error would be twice as large."""
    x = RNG.normal(scale=3, size=(2, 30, 64)).astype(np.float32)
    model = product(RNG.normal(size=(64, 16)), "Gelu")
    after = run(product(np.eye(64), "Gelu"), {"x": x})
    same = error(product(RNG.normal(size=(64, 16))), Plan(), {"x": after})
    assert error(model, Plan(), {"x": x}) < 0.7 * same
    least = np.full((1, 1, 64), -0.75, np.float32)  # near the least value of Gelu
    assert error(model, Plan(), {"x": least}) < 0.03, "values below zero are not clipped"


def test_each_rung_is_closer_to_fp32_and_larger(plain: onnx.ModelProto) -> None:
    examples = list(feeds(IDS))
    largest, each = largest_inputs(plain, examples), sizes(plain)
    sensitive = most_sensitive(errors(plain, largest, examples), each, 0.5)
    assert len(largest) == len(each) == 8 and 0 < len(sensitive) < 8
    plans = [Plan(largest=largest), Plan(sensitive, largest=largest), Plan(sensitive, False, largest=largest)]
    plans.append(Plan(frozenset(range(8)), tables=False))
    # Without the tables: in a random network their error is larger than that of all products.
    found = [error(plain, replace(plan, tables=False), batch(IDS)) for plan in plans]
    assert found == sorted(found, reverse=True) and found[-1] < found[0] / 4

    def stored(plan: Plan) -> Counter[int]:
        model = copy.deepcopy(plain)
        quantize(model, plan)
        counted: Counter[int] = Counter()
        for held in model.graph.initializer:
            counted[held.data_type] += int(np.prod(held.dims))
        return counted

    types = [stored(plan) for plan in plans]
    assert types[0][TensorProto.FLOAT16] == 0
    assert types[1][TensorProto.FLOAT16] == sum(each[number] for number in sensitive)
    assert types[1][TensorProto.INT8] == pytest.approx(types[0][TensorProto.INT8] - types[1][TensorProto.FLOAT16], 0.1)
    assert types[3][TensorProto.INT8] == 0 and types[3][TensorProto.FLOAT16] > sum(each)
    assert all(held[TensorProto.FLOAT] < sum(each) / 4 for held in types), "no matrix is stored in fp32"


def test_no_form_lets_the_texts_of_a_batch_change_each_other(plain: onnx.ModelProto) -> None:
    largest = largest_inputs(plain, list(feeds(IDS)))
    for plan in (Plan(largest=largest), Plan(frozenset({1, 3}), largest=largest), Plan(activations=False)):
        model = copy.deepcopy(plain)
        quantize(model, plan)
        together = run(model, batch(IDS))
        alone = np.concatenate([run(model, batch([ids])) for ids in IDS[:6]])
        np.testing.assert_allclose(alone, together[:6], atol=1e-5)


def test_every_output_is_kept(plain: onnx.ModelProto) -> None:
    model = copy.deepcopy(plain)
    quantize(model, Plan(frozenset({0}), largest=largest_inputs(plain, list(feeds(IDS)))))
    assert [each.name for each in model.graph.output] == ["logits", "embedding"]
    assert [each.name for each in model.graph.input] == ["input_ids", "attention_mask"]


def test_what_int8_changes_most_is_found() -> None:
    """Of two products of the same input, one has weights 30 times as large, and an error as much larger."""
    x = RNG.normal(size=(3, 5, 16)).astype(np.float32)
    fine, coarse = RNG.normal(size=(16, 8)), 30 * RNG.normal(size=(16, 8))
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "fine"], ["a"]),
            helper.make_node("MatMul", ["x", "coarse"], ["b"]),
            helper.make_node("Add", ["a", "b"], ["logits"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["texts", "tokens", 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", "tokens", 8])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in (("fine", fine), ("coarse", coarse))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    examples = [{"x": x[:2]}, {"x": x[2:]}]
    largest = largest_inputs(model, examples)
    np.testing.assert_allclose(largest[1], np.abs(x).max(axis=(0, 1)))
    found = errors(model, largest, examples)
    assert found[1] > 100 * found[0] > 0
    assert most_sensitive(found, sizes(model), 0.5) == {1}
    one = copy.deepcopy(model)
    quantize(one, Plan(frozenset({0}), largest=largest))
    assert ((run(one, {"x": x}) - run(model, {"x": x})) ** 2).sum() == pytest.approx(found[1], rel=0.05)


def test_the_most_sensitive_are_those_with_the_largest_error_per_weight_within_the_share() -> None:
    found = np.array([5.0, 9.0, 1.0, 4.0])
    assert most_sensitive(found, [10, 30, 10, 10], 0.5) == {0, 3}
    assert most_sensitive(found, [10, 30, 10, 10], 5 / 6) == {0, 1, 3}
    assert most_sensitive(found, [10, 30, 10, 10], 0.1) == frozenset()


def test_a_shift_of_all_logits_is_taken_out_of_the_head(plain: onnx.ModelProto) -> None:
    examples = list(feeds(IDS))
    expected = mean_logits(plain, examples)
    np.testing.assert_allclose(expected, run(plain, batch(IDS)).mean(axis=0), atol=1e-5)
    model = copy.deepcopy(plain)
    quantize(model)
    off = np.abs(mean_logits(model, examples) - expected).max()
    centre(model, expected, examples)
    assert np.abs(mean_logits(model, examples) - expected).max() < off / 100
    headless = product(np.eye(4))
    before = headless.SerializeToString()
    centre(headless, np.ones(4, np.float32), [{"x": np.ones((1, 2, 4), np.float32)}])
    assert headless.SerializeToString() == before, "there is no bias to change"


def test_every_form_of_the_ladder_can_be_named_in_a_recipe() -> None:
    for rung in LADDER:
        assert Export(quantize=rung.name).quantize == rung.name  # type: ignore[arg-type]
