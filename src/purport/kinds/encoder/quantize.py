"""int8 with a scale for each token, so that an answer never depends on what else is in its batch.

Dynamic quantisation takes the scale of an activation over the whole batch, padding and neighbours included:
one text's answer then moves with another's presence. Static scales do not, but clip what the calibration
texts did not show. Here every token has a scale of its own, its largest magnitude over 127, and the product is
multiplied with it (per-token quantisation: Yao et al. 2022, ZeroQuant, §4.1). No calibration data, and measured
closer to fp32 (docs/decisions/0004).
"""

from __future__ import annotations

import sys

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxscript import ir
from onnxscript.ir.passes import common as passes

from .fuse import constant

# The first opset where QuantizeLinear takes a scale for each block of an axis.
_OPSET = 21
# Smaller embedding tables are left alone: there is nothing to gain.
_TABLE_ROWS = 512
# No value of Gelu is below minus this.
_GELU_LEAST = np.float32(0.17)
_ZERO = np.uint8(128)


def quantize(model: onnx.ModelProto) -> None:
    """Turn the weights of ``model`` into int8, in place.

    Products with a constant matrix: weights int8 per output channel, activations uint8 per token.
    Embedding tables: int8 per row. All else stays fp32.
    """
    rewritten = ir.from_proto(model)
    passes.ShapeInferencePass(strict_mode=False)(rewritten)
    graph = rewritten.graph
    zeros: dict[object, ir.Value] = {}
    for node in list(graph):
        tape = ir.tape.Tape()
        match node.op_type, [(value, _matrix(value)) for value in node.inputs]:
            case "MatMul", [(x, _), (_, np.ndarray() as weight)]:
                out = _product(tape, x, weight, zeros)
            case "Gather", [(_, np.ndarray() as table), (rows, _)] if len(table) >= _TABLE_ROWS:
                out = _lookup(tape, table, rows)
            case _:
                continue
        ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, node.outputs, [out])
    graph.opset_imports[""] = max(graph.opset_imports[""], _OPSET)
    # What several products have in common is computed once.
    passes.CommonSubexpressionEliminationPass(size_limit=sys.maxsize)(rewritten)
    passes.LiftConstantsToInitializersPass(size_limit=0)(rewritten)
    passes.RemoveUnusedNodesPass()(rewritten)
    model.CopyFrom(ir.to_proto(rewritten))
    del model.graph.value_info[:]


def _matrix(value: ir.Value | None) -> NDArray[np.float32] | None:
    """The constant matrix that ``value`` is, if it is one."""
    held = value.const_value if value is not None else None
    return held.numpy() if held is not None and len(held.shape) == 2 else None


def _product(tape: ir.tape.Tape, x: ir.Value, weight: NDArray[np.float32], zeros: dict[object, ir.Value]) -> ir.Value:
    """``x @ W`` becomes ``(x / s)ᵤ₈ @ Wᵢ₈ · s`` with ``s (…, tokens, 1)``.

    ``zeros`` holds the zero point 128 in the shape of ``s``, one for all values of that shape.
    """
    whole, channel_scale = _int8(weight, axis=0)
    constants = (whole, channel_scale[0], np.zeros(whole.shape[1], np.int8))
    weights = tape.op("DequantizeLinear", [constant(tape, each) for each in constants], {"axis": 1})
    producer = x.producer()
    if producer is not None and producer.op_type == "Gelu":
        # Its largest magnitude is its largest value, but for a hair below zero.
        most = tape.op("Max", [_largest(tape, x), constant(tape, _GELU_LEAST)])
    else:
        most = _largest(tape, tape.op("Abs", [x]))
    # A token of zeros only has scale 0: whatever it is quantised to, 0 times that is right again.
    scale = tape.op("Mul", [most, constant(tape, np.float32(1 / 127))])
    tokens = tuple(x.shape)[:-1] if x.shape and not x.shape.has_unknown_dim() else x
    if tokens not in zeros:
        zeros[tokens] = tape.op("Expand", [constant(tape, _ZERO), tape.op("Shape", [scale])])
    block = {"axis": -1, "block_size": len(whole)}
    quantized = tape.op("QuantizeLinear", [x, scale, zeros[tokens]], block)
    activations = tape.op("DequantizeLinear", [quantized, constant(tape, np.float32(1)), constant(tape, _ZERO)])
    return tape.op("Mul", [tape.op("MatMul", [activations, weights]), scale])


def _largest(tape: ir.tape.Tape, x: ir.Value) -> ir.Value:
    return tape.op("ReduceMax", [x, constant(tape, [-1])], {"keepdims": 1})


def _lookup(tape: ir.tape.Tape, table: NDArray[np.float32], rows: ir.Value) -> ir.Value:
    """A row of the int8 table times the scale of that row."""
    whole, scale = (tape.op("Gather", [constant(tape, each), rows], {"axis": 0}) for each in _int8(table, axis=1))
    return tape.op("Mul", [tape.op("Cast", [whole], {"to": ir.DataType.FLOAT}), scale])


def _int8(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """``values ≈ whole · scale``, a symmetric scale for each slice along ``axis``."""
    scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True) / 127, np.finfo(np.float32).tiny)
    return np.rint(values / scale).astype(np.int8), scale.astype(np.float32)
