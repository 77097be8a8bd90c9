"""Fewer operators, the same numbers; what has another shape is left alone."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from purport import Task
from purport.training.export import to_onnx
from purport.training.fuse import fuse
from purport.training.model import IntentModel, load_encoder
from purport.training.quantize import quantize
from purport.training.recipe import EncoderModel


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
    np.testing.assert_allclose(answers(fused), answers(plain), atol=2e-6)
    read = {name for node in fused.graph.node for name in node.input}
    assert {held.name for held in fused.graph.initializer} <= read, "constants that nothing reads"


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
