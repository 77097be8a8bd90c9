"""Fewer operators, the same numbers; what has another shape is left alone."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from purport import Task
from purport.kinds.encoder.export import to_onnx
from purport.kinds.encoder.fuse import fuse
from purport.kinds.encoder.network import IntentModel, load_encoder
from purport.kinds.encoder.quantize import quantize
from purport.kinds.encoder.recipe import EncoderModel


@pytest.fixture(scope="module")
def plain(tiny_encoder: Path) -> onnx.ModelProto:
    spec = EncoderModel(name=str(tiny_encoder), max_length=32)
    encoder = load_encoder(spec)
    return to_onnx(IntentModel(encoder, 32, 5, Task.MULTILABEL, spec))


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def answers(model: onnx.ModelProto) -> np.ndarray:
    rng = np.random.default_rng(0)
    ids = rng.integers(5, 300, (7, 19))
    mask = (np.arange(19) < rng.integers(2, 20, (7, 1))).astype(np.int64)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
    return found


def test_attention_and_parallel_products_are_one_operator_each(plain: onnx.ModelProto) -> None:
    fused = copy.deepcopy(plain)
    fuse(fused)
    onnx.checker.check_model(fused)
    before, after = kinds(plain), kinds(fused)
    assert (before["Softmax"], after["Softmax"], after["Attention"]) == (2, 0, 2), "two layers"
    # Of six products with a constant a layer, queries, keys and values are one; the head is a Gemm.
    assert after["MatMul"] == 2 * 4 and after["Split"] == 2 and after["Gelu"] == 2
    assert before["GatherND"] and not after["GatherND"], "the mask is read, not looked up"
    np.testing.assert_allclose(answers(fused), answers(plain), atol=2e-6)
    read = {name for node in fused.graph.node for name in node.input}
    assert {held.name for held in fused.graph.initializer} <= read, "constants that nothing reads"


def test_a_mask_that_hides_more_than_padding_is_left_alone(plain: onnx.ModelProto) -> None:
    """Here nobody sees the first token, as with a window of attention."""
    model = copy.deepcopy(plain)
    kept = next(node for node in model.graph.node if node.op_type == "Where")
    mask, kept.output[0] = kept.output[0], "padding"
    first = [("whole", "Shape", ["padding"]), ("tokens", "Gather", ["whole", "three"])]
    first += [("positions", "Range", ["none", "tokens", "step"]), ("start", "Equal", ["positions", "none"])]
    nodes = [helper.make_node(kind, inputs, [name]) for name, kind, inputs in first]
    nodes.append(helper.make_node("Where", ["start", "hidden", "padding"], [mask]))
    at = list(model.graph.node).index(kept) + 1
    for offset, node in enumerate(nodes):
        model.graph.node.insert(at + offset, node)
    for name, value in (("three", 3), ("none", 0), ("step", 1)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    model.graph.initializer.append(numpy_helper.from_array(np.array(-1e9, np.float32), "hidden"))
    before = answers(model)
    assert abs(before - answers(plain)).max() > 1e-3
    fuse(model)
    assert kinds(model)["Attention"] == 2
    np.testing.assert_allclose(answers(model), before, atol=2e-6)


def test_a_token_of_zeros_stays_zeros() -> None:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 4])],
        [numpy_helper.from_array(np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    x = np.stack([np.zeros(8), np.linspace(-1, 1, 8)]).astype(np.float32)[None]
    exact = x @ numpy_helper.to_array(graph.initializer[0])
    quantize(model)
    onnx.checker.check_model(model)
    (found,) = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    assert (found[0, 0] == 0).all()
    np.testing.assert_allclose(found, exact, atol=0.03)


def test_quantising_afterwards_changes_as_little_as_before(plain: onnx.ModelProto) -> None:
    fused, unfused = copy.deepcopy(plain), copy.deepcopy(plain)
    fuse(fused)
    quantize(fused)
    quantize(unfused)
    np.testing.assert_allclose(answers(fused), answers(unfused), atol=1e-3)


def test_a_softmax_that_is_no_attention_is_left_alone() -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "half"], ["halved"]),
            helper.make_node("Add", ["halved", "x"], ["sum"]),
            helper.make_node("Softmax", ["sum"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor("half", TensorProto.FLOAT, [], [0.5])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    before = model.SerializeToString()
    fuse(model)
    assert model.SerializeToString() == before
