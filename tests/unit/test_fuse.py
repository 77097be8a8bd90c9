"""Fewer operators, the same numbers; what has another shape is left alone."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

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


# Attention over two heads as an exporter writes it, with nothing around it.
ATTENTION = """
<ir_version: 10, opset_import: ["": 20]>
attention (float[2,3,8] q, float[2,3,8] k, float[2,3,8] v, float[2,1,3,3] mask) => (float[2,3,8] y)
<int64[3] joined = {2,3,8}, int64[4] heads = {2,3,-1,4}, int64[4] v_heads = {2,3,-1,4}, float scale = {0.5}> {
    q1 = Reshape(q, heads)
    q2 = Transpose<perm = [0,2,1,3]>(q1)
    k1 = Reshape(k, heads)
    k2 = Transpose<perm = [0,2,3,1]>(k1)
    v1 = Reshape(v, v_heads)
    v2 = Transpose<perm = [0,2,1,3]>(v1)
    scores = MatMul(q2, k2)
    scaled = Mul(scores, scale)
    masked = Add(scaled, mask)
    weights = Softmax<axis = -1>(masked)
    mixed = MatMul(weights, v2)
    back = Transpose<perm = [0,2,1,3]>(mixed)
    y = Reshape(back, joined)
}
"""


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def answers(model: onnx.ModelProto, output: str = "logits") -> np.ndarray:
    rng = np.random.default_rng(0)
    ids = rng.integers(5, 300, (7, 19))
    mask = (np.arange(19) < rng.integers(2, 20, (7, 1))).astype(np.int64)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run([output], {"input_ids": ids, "attention_mask": mask})[0]
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


def test_the_head_reads_the_embedding_even_when_products_are_int8(plain: onnx.ModelProto) -> None:
    """Neighbours are sought by ``embedding``: it must be the vector from which the logits come."""
    head = next(node for node in plain.graph.node if "logits" in node.output)
    weight, bias = (numpy_helper.to_array(held) for held in plain.graph.initializer if held.name in head.input[1:])
    for change in (fuse, quantize):
        model = copy.deepcopy(plain)
        change(model)
        embedding = answers(model, "embedding")
        assert embedding.shape == (7, 32) and embedding.dtype == np.float32
        np.testing.assert_allclose(embedding @ weight.T + bias, answers(model), atol=1e-5)


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


def test_equal_models_are_equal_bytes_without_notes(plain: onnx.ModelProto) -> None:
    first, second = copy.deepcopy(plain), copy.deepcopy(plain)
    fuse(first)
    fuse(second)
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
    assert not first.graph.value_info and not first.metadata_props and not first.graph.metadata_props
    assert not any(each.metadata_props or each.doc_string for each in (*first.graph.node, *first.graph.initializer))


def test_attention_alone_is_one_operator() -> None:
    model = parser.parse_model(ATTENTION)
    rng = np.random.default_rng(0)
    shapes = {held.name: [size.dim_value for size in held.type.tensor_type.shape.dim] for held in model.graph.input}
    feed = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    (before,) = ort.InferenceSession(model.SerializeToString()).run(None, feed)
    fuse(model)
    assert kinds(model) == {"Attention": 1}
    (after,) = ort.InferenceSession(model.SerializeToString()).run(None, feed)
    np.testing.assert_allclose(after, before, atol=2e-6)


@pytest.mark.parametrize(
    ("exact", "other"),
    [
        pytest.param("axis = -1", "axis = 2", id="softmax over queries"),
        pytest.param("float[2,1,3,3] mask", "float[2,1,1,3] mask", id="one mask for all queries"),
        pytest.param("float[2,3,8] y", "float[2,3,8] y, float[2,2,3,3] weights", id="weights are a result"),
        pytest.param("float[2,3,8] y", "float[2,3,8] y, float[2,2,3,4] q2", id="split queries are a result"),
        pytest.param("[4] heads = {2,3,-1,4}", "[4] heads = {2,3,-1,8}", id="more heads of values than of queries"),
        pytest.param(
            "float[2,3,8] y)\n<int64[3] joined = {2,3,8}", "float[6,8] y)\n<int64[2] joined = {6,8}", id="texts joined"
        ),
        pytest.param("Add(scaled, mask)", "Sub(scaled, mask)", id="mask subtracted"),
    ],
)
def test_what_is_not_exactly_attention_is_left_alone(exact: str, other: str) -> None:
    model = parser.parse_model(ATTENTION.replace(exact, other))
    onnx.checker.check_model(model, full_check=True)
    before = model.SerializeToString()
    fuse(model)
    assert model.SerializeToString() == before


def test_products_of_what_another_product_gives_are_joined_as_well() -> None:
    """``c`` and ``d`` read the result of ``a``; ``e`` reads ``x`` as ``a`` and ``b`` do, but broadcasts its bias."""
    weights = {"a": (8, 6), "b": (8, 5), "c": (6, 4), "d": (6, 3), "e": (8, 3)}
    rng = np.random.default_rng(0)
    held = {name: rng.normal(size=shape) for name, shape in weights.items()}
    held |= {f"{name}_bias": rng.normal(size=1 if name == "e" else shape[1]) for name, shape in weights.items()}
    nodes = []
    for name in weights:
        nodes.append(helper.make_node("MatMul", ["x" if name in "abe" else "a_sum", name], [f"{name}_product"]))
        nodes.append(helper.make_node("Add", [f"{name}_product", f"{name}_bias"], [f"{name}_sum"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 8])],
        [helper.make_tensor_value_info(f"{name}_sum", TensorProto.FLOAT, [2, weights[name][1]]) for name in "cde"],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    feed = {"x": rng.normal(size=(2, 8)).astype(np.float32)}
    before = ort.InferenceSession(model.SerializeToString()).run(None, feed)
    fuse(model)
    onnx.checker.check_model(model, full_check=True)
    assert kinds(model) == {"MatMul": 3, "Add": 3, "Split": 2}
    after = ort.InferenceSession(model.SerializeToString()).run(None, feed)
    for one, other in zip(after, before, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
