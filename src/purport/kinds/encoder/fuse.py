"""Fewer, larger operators for the same numbers: what exporters write out, runtimes answer faster in one piece.

Standard ONNX operators only (opset 23). A place whose shape is not exactly the expected one is left as it is:
a model with another kind of attention exports as before. Measured in docs/decisions/0007.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

# The first opset with Attention; the exporter writes an older one whose operators mean the same in it.
ATTENTION_OPSET = 23
_MASK = "attention_mask"
_LEAST = np.finfo(np.float32).min
# What a mask is tried on is longer than windows of attention are, with padding anywhere.
_TRIED_TOKENS = 1024
_HEADS_FIRST, _HEADS_FIRST_TRANSPOSED = [0, 2, 1, 3], [0, 2, 3, 1]


def fuse(model: onnx.ModelProto) -> None:
    """Rewrite ``model`` in place: attention in one operator, its mask in few, products of one input in one product."""
    _attention(model)
    _masks(model)
    _products(model.graph)


def _attention(model: onnx.ModelProto) -> None:
    """``softmax(q kᵀ · scale + mask) v`` over split heads becomes ``Attention`` on unsplit ones."""
    graph = _Graph(model.graph)
    found = [each for node in model.graph.node if node.op_type == "Softmax" and (each := _match(graph, node))]
    for each in found:
        graph.replace(each.nodes, [each.operator], at=each.nodes[-1])
    if found:
        standard = next(opset for opset in model.opset_import if not opset.domain)
        standard.version = max(standard.version, ATTENTION_OPSET)


@dataclass(frozen=True)
class _Match:
    nodes: list[NodeProto]
    operator: NodeProto


def _match(graph: _Graph, softmax: NodeProto) -> _Match | None:
    """The attention around ``softmax``, if it has the shape that is rewritten."""
    masked = graph.maker(softmax.input[0], "Add")
    scaled = graph.maker(masked and masked.input[0], "Mul")
    scores = graph.maker(scaled and scaled.input[0], "MatMul")
    mixed = graph.only_user(softmax.output[0], "MatMul")
    back = graph.only_user(mixed and mixed.output[0], "Transpose")
    joined = graph.only_user(back and back.output[0], "Reshape")
    if not (masked and scaled and scores and mixed and back and joined and _perm(back) == _HEADS_FIRST):
        return None
    scale = graph.constant(scaled.input[1])
    sides = [
        _unsplit(graph, scores.input[0], _HEADS_FIRST),
        _unsplit(graph, scores.input[1], _HEADS_FIRST_TRANSPOSED),
        _unsplit(graph, mixed.input[1], _HEADS_FIRST),
    ]
    if scale is None or scale.size != 1 or mixed.input[0] != softmax.output[0] or None in sides:
        return None
    q, k, v = (side for side in sides if side is not None)
    inner = [*q.nodes, *k.nodes, *v.nodes, scores, scaled, masked, softmax, mixed, back]
    if not q.heads == k.heads == v.heads or not graph.closed(inner, joined):
        return None
    operator = helper.make_node(
        "Attention",
        [q.source, k.source, v.source, masked.input[1]],
        [joined.output[0]],
        name=joined.output[0],
        q_num_heads=q.heads,
        kv_num_heads=k.heads,
        scale=float(scale.reshape(-1)[0]),
    )
    return _Match([*inner, joined], operator)


@dataclass(frozen=True)
class _Side:
    """Queries, keys or values before they are split into heads."""

    source: str
    heads: int
    nodes: list[NodeProto]


def _unsplit(graph: _Graph, name: str, perm: list[int]) -> _Side | None:
    turned = graph.maker(name, "Transpose")
    split = graph.maker(turned and turned.input[0], "Reshape")
    shape = graph.maker(split and split.input[1], "Concat")
    biased = graph.maker(split and split.input[0], "Add")
    if not (turned and split and shape and biased and _perm(turned) == perm):
        return None
    width, size = graph.constant(biased.input[1]), graph.constant(shape.input[-1])
    if width is None or width.ndim != 1 or size is None or size.size != 1 or width.size % int(size.item()):
        return None
    return _Side(split.input[0], width.size // int(size.item()), [split, turned])


def _masks(model: onnx.ModelProto) -> None:
    """What an ``Attention`` adds to its scores, straight from ``attention_mask`` where that is all it says.

    Exporters write out index arithmetic that comes to the same. Whether it does is found out by trying.
    """
    attentions = (node for node in model.graph.node if node.op_type == "Attention" and len(node.input) > 3)
    for name in dict.fromkeys(node.input[3] for node in attentions):
        graph = _Graph(model.graph)
        part = graph.part(name, _MASK)
        if part is not None and _hides_padding(helper.make_model(part, opset_imports=model.opset_import)):
            graph.replace([], list(_padding_hidden(graph, name)), at=graph.made(name))


def _hides_padding(trial: onnx.ModelProto) -> bool:
    """Whether it gives 0 where ``attention_mask`` is 1 and the least number where it is 0, for every token alike."""
    mask = np.random.default_rng(0).integers(0, 2, (2, _TRIED_TOKENS), dtype=np.int64)
    (found,) = ReferenceEvaluator(trial).run(None, {_MASK: mask})
    expected = np.where(mask == 0, _LEAST, np.float32(0))[:, None, None, :]
    return found.shape == (2, 1, _TRIED_TOKENS, _TRIED_TOKENS) and bool((found == expected).all())


def _padding_hidden(graph: _Graph, name: str) -> Iterator[NodeProto]:
    graph.add_constant(f"{name}_one", np.array([1], dtype=np.int64))
    graph.add_constant(f"{name}_middle", np.array([1, 2], dtype=np.int64))
    graph.add_constant(f"{name}_shown", np.array(0, dtype=np.float32))
    graph.add_constant(f"{name}_hidden", np.array(_LEAST, dtype=np.float32))
    yield _node("Shape", [_MASK], f"{name}_texts", start=0, end=1)
    yield _node("Shape", [_MASK], f"{name}_tokens", start=1, end=2)
    sizes = [f"{name}_texts", f"{name}_one", f"{name}_tokens", f"{name}_tokens"]
    yield _node("Concat", sizes, f"{name}_shape", axis=0)
    yield _node("Cast", [_MASK], f"{name}_bool", to=TensorProto.BOOL)
    yield _node("Where", [f"{name}_bool", f"{name}_shown", f"{name}_hidden"], f"{name}_row")
    yield _node("Unsqueeze", [f"{name}_row", f"{name}_middle"], f"{name}_rows")
    yield _node("Expand", [f"{name}_rows", f"{name}_shape"], name)


def _perm(node: NodeProto) -> list[int]:
    return [int(axis) for attribute in node.attribute if attribute.name == "perm" for axis in attribute.ints]


def _products(graph_proto: onnx.GraphProto) -> None:
    """``x @ A + a``, ``x @ B + b``, … become one ``x @ [A B …] + [a b …]`` that is split behind it."""
    graph = _Graph(graph_proto)
    by_input: defaultdict[str, list[tuple[NodeProto, NodeProto]]] = defaultdict(list)
    for node in graph_proto.node:
        weight = graph.constant(node.input[1]) if node.op_type == "MatMul" else None
        biased = graph.only_user(node.output[0], "Add") if weight is not None and weight.ndim == 2 else None
        bias = graph.constant(biased.input[1]) if biased else None
        if biased and bias is not None and bias.ndim == 1 and biased.input[0] == node.output[0]:
            by_input[node.input[0]].append((node, biased))
    for x, pairs in by_input.items():
        if len(pairs) > 1:
            graph.replace([node for pair in pairs for node in pair], list(_joined(graph, x, pairs)), at=pairs[0][0])


def _joined(graph: _Graph, x: str, pairs: list[tuple[NodeProto, NodeProto]]) -> Iterator[NodeProto]:
    weights = [graph.value(product.input[1]) for product, _ in pairs]
    biases = [graph.value(biased.input[1]) for _, biased in pairs]
    name = "_".join([product.output[0] for product, _ in pairs])
    graph.add_constant(f"{name}_weight", np.concatenate(weights, axis=1))
    graph.add_constant(f"{name}_bias", np.concatenate(biases))
    graph.add_constant(f"{name}_widths", np.array([bias.size for bias in biases], dtype=np.int64))
    yield _node("MatMul", [x, f"{name}_weight"], f"{name}_product")
    yield _node("Add", [f"{name}_product", f"{name}_bias"], f"{name}_sum")
    outputs = [biased.output[0] for _, biased in pairs]
    yield helper.make_node("Split", [f"{name}_sum", f"{name}_widths"], outputs, name=f"{name}_split", axis=-1)


def _node(kind: str, inputs: list[str], output: str, **attributes: int) -> NodeProto:
    return helper.make_node(kind, inputs, [output], name=output, **attributes)


class _Graph:
    """A graph with its edges in both directions."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._constants = {held.name: held for held in graph.initializer}
        self._maker = {output: node for node in graph.node for output in node.output}
        self._uses = Counter(name for node in graph.node for name in node.input)
        self._user = {name: node for node in graph.node for name in node.input}

    def maker(self, name: str | None, kind: str) -> NodeProto | None:
        """The node that computes ``name``, if it is a ``kind``."""
        node = self._maker.get(name or "")
        return node if node is not None and node.op_type == kind else None

    def only_user(self, name: str | None, kind: str) -> NodeProto | None:
        """The node that reads ``name``, if it is the only one and a ``kind``."""
        node = self._user.get(name or "")
        return node if node is not None and node.op_type == kind and self._uses[name or ""] == 1 else None

    def made(self, name: str) -> NodeProto:
        """The node that computes ``name``."""
        return self._maker[name]

    def part(self, output: str, source: str) -> onnx.GraphProto | None:
        """What computes ``output`` (fp32) from the input ``source`` and constants, if it needs nothing else."""
        if output not in self._maker:
            return None
        needed, to_see = set(), [output]
        while to_see:
            name = to_see.pop()
            if name in self._maker and name not in needed:
                to_see.extend(filter(None, self._maker[name].input))
            elif name not in self._maker and name not in self._constants and name != source:
                return None
            needed.add(name)
        nodes = [node for node in self._graph.node if needed & set(node.output)]
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        inputs = [held for held in self._graph.input if held.name == source]
        return helper.make_graph(
            nodes, output, inputs, [result], [self._constants[n] for n in needed & self._constants.keys()]
        )

    def closed(self, nodes: list[NodeProto], last: NodeProto) -> bool:
        """Whether what ``nodes`` compute is read by them and ``last`` only, so that they can go."""
        inside = Counter(name for node in [*nodes, last] for name in node.input)
        return all(self._uses[output] == inside[output] for node in nodes for output in node.output)

    def constant(self, name: str) -> NDArray[np.generic] | None:
        """The value of ``name``, if it is a constant."""
        return self.value(name) if name in self._constants else None

    def value(self, name: str) -> NDArray[np.generic]:
        """The value of the constant ``name``."""
        values: NDArray[np.generic] = numpy_helper.to_array(self._constants[name])
        return values

    def add_constant(self, name: str, values: NDArray[np.generic]) -> None:
        """A new constant."""
        held = numpy_helper.from_array(values, name)
        self._constants[name] = held
        self._graph.initializer.append(held)

    def replace(self, old: list[NodeProto], new: list[NodeProto], at: NodeProto) -> None:
        """Put ``new`` in the place of ``at``, drop ``old`` and what nothing reads any more."""
        gone = {node.output[0] for node in old}
        nodes: list[NodeProto] = []
        for node in self._graph.node:
            if node.output[0] == at.output[0]:
                nodes.extend(new)
            elif node.output[0] not in gone:
                nodes.append(node)
        read = {name for node in nodes for name in node.input}
        results = {result.name for result in self._graph.output}
        while len(kept := [node for node in nodes if (read | results) & set(node.output)]) < len(nodes):
            nodes, read = kept, {name for node in kept for name in node.input}
        held = [each for each in self._graph.initializer if each.name in read]
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(nodes)
        self._graph.initializer.extend(held)
