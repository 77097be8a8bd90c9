"""int8 quantisation with one scale per token, so that answers never depend on the other texts in a batch.

Dynamic quantisation computes the scale of an activation over the whole batch, including padding, so that one text
changes the answer to another. Static scales avoid this, but clip values that the calibration texts did not show.
Here every token has its own scale, its largest magnitude divided by 127, and the product is multiplied by that scale
(per-token quantisation: Yao et al. 2022, ZeroQuant, §4.1). Its results were measured to be closer to fp32
(docs/decisions/0004).

A few channels of an activation are much larger than the others, so that the others get few of the 255 steps. Where
example texts have shown which, the channels are divided by a constant and the weights multiplied by it (Xiao et al.
2023, SmoothQuant, equation 4 with α = 0.5). This halves the error of the logits (docs/decisions/0023).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxscript import ir
from onnxscript.ir.passes import common as passes

from .fuse import constant

# The first opset where QuantizeLinear takes a scale for each block of an axis.
_OPSET = 21
# Smaller embedding tables are not quantised, as nothing would be gained.
_TABLE_ROWS = 512
_ZERO = 128
# Gelu has no value below minus this, so that its zero point may be low, which leaves more steps for what is above.
_GELU_LEAST, _GELU_ZERO = 0.17, 24
# A graph input that switches products from fp32 to int8, see Plan.
SWITCHES = "switches"

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Plan:
    """What is quantised, and how. Products with a constant matrix are numbered in the order of the graph.

    Attributes:
        kept: products that stay fp32; their weights are stored as float16.
        activations: whether the activations of the other products become uint8, or only their weights int8.
        tables: whether embedding tables become int8; otherwise they are stored as float16.
        largest: by product, the largest magnitude of each channel of its input in example texts ``(width,)``.
        switched: the graph computes every product in fp32 and as planned, and takes the second where the new input
            ``switches (n_products,) float32`` is 1 and the first where it is 0.
    """

    kept: frozenset[int] = frozenset()
    activations: bool = True
    tables: bool = True
    largest: Mapping[int, Array] = field(default_factory=dict)
    switched: bool = False


class Product(NamedTuple):
    """``x @ weight``, where ``weight (width, n_outputs)`` is constant."""

    node: ir.Node
    x: ir.Value
    weight: Array


def products(graph: ir.Graph) -> list[Product]:
    """All products of ``graph`` with a constant matrix, in its order."""
    found = []
    for node in graph:
        match node.op_type, [(value, _matrix(value)) for value in node.inputs]:
            case "MatMul", [(ir.Value() as x, _), (_, np.ndarray() as weight)]:
                found.append(Product(node, x, weight))
    return found


def sizes(model: onnx.ModelProto) -> list[int]:
    """The number of weights of each product with a constant matrix."""
    return [found.weight.size for found in products(ir.from_proto(model).graph)]


def quantize(model: onnx.ModelProto, plan: Plan | None = None) -> None:
    """Make the products and embedding tables of ``model`` smaller and faster as ``plan`` says, in place.

    By default, products with a constant matrix get int8 weights per output channel and uint8 activations per token,
    and embedding tables get int8 per row. Everything else stays fp32.
    """
    plan = plan or Plan()
    rewritten = ir.from_proto(model)
    passes.ShapeInferencePass(strict_mode=False)(rewritten)
    graph = rewritten.graph
    rewriter = _Rewriter(plan, graph)
    for number, product in enumerate(products(graph)):
        tape, node = ir.tape.Tape(), product.node
        out = rewriter.product(tape, number, product)
        ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, node.outputs, [out])
    for node in list(graph):
        table = _matrix(node.inputs[0]) if node.op_type == "Gather" else None
        if table is not None and len(table) >= _TABLE_ROWS:
            tape = ir.tape.Tape()
            out = _lookup(tape, table, node.inputs[1], int8=plan.tables)
            ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, node.outputs, [out])
    graph.opset_imports[""] = max(graph.opset_imports[""], _OPSET)
    # Compute subexpressions that several products share only once.
    passes.CommonSubexpressionEliminationPass(size_limit=sys.maxsize)(rewritten)
    passes.LiftConstantsToInitializersPass(size_limit=0)(rewritten)
    passes.RemoveUnusedNodesPass()(rewritten)
    model.CopyFrom(ir.to_proto(rewritten))
    del model.graph.value_info[:]


def _matrix(value: ir.Value | None) -> Array | None:
    """``value`` as an array if it is a constant matrix, otherwise ``None``."""
    held = value.const_value if value is not None else None
    return held.numpy() if held is not None and len(held.shape) == 2 else None


class _Rewriter:
    """Writes the products of one graph as the plan says."""

    def __init__(self, plan: Plan, graph: ir.Graph) -> None:
        self._plan = plan
        # The zero points in the shape of the scales, for all values of that shape.
        self._zeros: dict[object, ir.Value] = {}
        self._factors: dict[ir.Value, Array] = {}
        found = products(graph)
        for number, largest in plan.largest.items():
            x = found[number].x
            # Products of the same input share the factor, so that the input is quantised once.
            reached = np.max([np.abs(each.weight).max(axis=1) for each in found if each.x is x], axis=0)
            if not _is_gelu(x):
                self._factors[x] = _factor(largest, reached)
        if plan.switched:
            self._switches = ir.Value(
                name=SWITCHES, shape=ir.Shape([len(found)]), type=ir.TensorType(ir.DataType.FLOAT)
            )
            graph.inputs.append(self._switches)

    def product(self, tape: ir.tape.Tape, number: int, product: Product) -> ir.Value:
        """What replaces the result of ``product``, whose number is ``number``."""
        node, x, weight = product
        if number in self._plan.kept:
            return tape.op("MatMul", [x, _float16(tape, weight)])
        factor = self._factors.get(x)
        if not self._plan.activations:
            return tape.op("MatMul", [x, _only_weights(tape, weight, factor)])
        scaled = x
        if factor is not None:
            scaled = tape.op("Mul", [x, constant(tape, 1 / factor)])
            scaled.shape, scaled.type = x.shape, x.type
            weight = weight * factor[:, None]
        out = self._int8(tape, scaled, weight, gelu=_is_gelu(x))
        if not self._plan.switched:
            return out
        switch = tape.op("Gather", [self._switches, constant(tape, [number])])
        exact = tape.op("MatMul", [x, node.inputs[1]])
        return tape.op("Add", [exact, tape.op("Mul", [switch, tape.op("Sub", [out, exact])])])

    def _int8(self, tape: ir.tape.Tape, x: ir.Value, weight: Array, *, gelu: bool) -> ir.Value:
        """``x @ W`` becomes ``(x / s)ᵤ₈ @ Wᵢ₈ · s`` with ``s (…, tokens, 1)``."""
        integers, channel_scale = _quantized(weight, axis=0)
        constants = (integers, channel_scale[0], np.zeros(integers.shape[1], np.int8))
        weights = tape.op("DequantizeLinear", [constant(tape, each) for each in constants], {"axis": 1})
        zero = _GELU_ZERO if gelu else _ZERO
        steps = np.float32(255 - zero)
        # Gelu is hardly negative: its largest value decides, or what is needed for its least.
        least = np.float32(_GELU_LEAST / zero) * steps
        most = (
            tape.op("Max", [_largest(tape, x), constant(tape, least)]) if gelu else _largest(tape, tape.op("Abs", [x]))
        )
        # A token with only zeros has scale 0; whatever it is quantised to, the product with 0 is right.
        scale = tape.op("Mul", [most, constant(tape, 1 / steps)])
        tokens = (tuple(x.shape)[:-1] if x.shape and not x.shape.has_unknown_dim() else x, zero)
        if tokens not in self._zeros:
            self._zeros[tokens] = tape.op("Expand", [constant(tape, np.uint8(zero)), tape.op("Shape", [scale])])
        block = {"axis": -1, "block_size": len(integers)}
        quantized = tape.op("QuantizeLinear", [x, scale, self._zeros[tokens]], block)
        one = [constant(tape, np.float32(1)), constant(tape, np.uint8(zero))]
        activations = tape.op("DequantizeLinear", [quantized, *one])
        return tape.op("Mul", [tape.op("MatMul", [activations, weights]), scale])


def _is_gelu(x: ir.Value) -> bool:
    producer = x.producer()
    return producer is not None and producer.op_type == "Gelu"


def _factor(largest: Array, reached: Array) -> Array:
    """What the channels of an input are divided by: ``√(largest input / largest weight)``, and 1 where one is 0."""
    alive = (largest > 0) & (reached > 0)
    return np.sqrt(np.divide(largest, reached, out=np.ones_like(largest), where=alive)).astype(np.float32)


def _only_weights(tape: ir.tape.Tape, weight: Array, factor: Array | None) -> ir.Value:
    """The matrix from int8. ONNX Runtime computes it once, when it loads the model."""
    rows = np.ones(len(weight), np.float32) if factor is None else factor
    integers, scale = _quantized(weight * rows[:, None], axis=0)
    whole = tape.op("Cast", [constant(tape, integers)], {"to": ir.DataType.FLOAT})
    return tape.op("Mul", [tape.op("Mul", [whole, constant(tape, scale)]), constant(tape, 1 / rows[:, None])])


def _float16(tape: ir.tape.Tape, values: Array) -> ir.Value:
    """``values`` from float16. ONNX Runtime computes them once, when it loads the model."""
    return tape.op("Cast", [constant(tape, values.astype(np.float16))], {"to": ir.DataType.FLOAT})


def _largest(tape: ir.tape.Tape, x: ir.Value) -> ir.Value:
    return tape.op("ReduceMax", [x, constant(tape, [-1])], {"keepdims": 1})


def _lookup(tape: ir.tape.Tape, table: Array, rows: ir.Value | None, *, int8: bool) -> ir.Value:
    """Rows of the table, from int8 and their scales or from float16."""
    if not int8:
        found = tape.op("Gather", [constant(tape, table.astype(np.float16)), rows], {"axis": 0})
        return tape.op("Cast", [found], {"to": ir.DataType.FLOAT})
    integers, scale = (
        tape.op("Gather", [constant(tape, each), rows], {"axis": 0}) for each in _quantized(table, axis=1)
    )
    return tape.op("Mul", [tape.op("Cast", [integers], {"to": ir.DataType.FLOAT}), scale])


def _quantized(values: Array, axis: int) -> tuple[NDArray[np.int8], Array]:
    """``values ≈ integers · scale``, with one symmetric scale for each slice along ``axis``."""
    scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True) / 127, np.finfo(np.float32).tiny)
    return np.rint(values / scale).astype(np.int8), scale.astype(np.float32)
