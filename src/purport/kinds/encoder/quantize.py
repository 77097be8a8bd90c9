"""int8 quantisation with one scale per token, so that answers never depend on the other texts in a batch.

Dynamic quantisation computes the scale of an activation over the whole batch, including padding, so that one text
changes the answer to another. Static scales avoid this, but clip values that the calibration texts did not show.
Here every token has its own scale, its largest magnitude divided by 127, and the product is multiplied by that scale
(per-token quantisation: Yao et al. 2022, ZeroQuant, §4.1). This needs no calibration data, and its results were
measured to be closer to fp32 (docs/decisions/0004).
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
# Smaller embedding tables are not quantised, as nothing would be gained.
_TABLE_ROWS = 512
# Gelu has no value below minus this.
_GELU_LEAST = np.float32(0.17)
_ZERO = np.uint8(128)


def quantize(model: onnx.ModelProto) -> None:
    """Turn the weights of ``model`` into int8, in place.

    Products with a constant matrix get int8 weights per output channel and uint8 activations per token. Embedding
    tables get int8 per row. Everything else stays fp32.
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
    # Compute subexpressions that several products share only once.
    passes.CommonSubexpressionEliminationPass(size_limit=sys.maxsize)(rewritten)
    passes.LiftConstantsToInitializersPass(size_limit=0)(rewritten)
    passes.RemoveUnusedNodesPass()(rewritten)
    model.CopyFrom(ir.to_proto(rewritten))
    del model.graph.value_info[:]


def _matrix(value: ir.Value | None) -> NDArray[np.float32] | None:
    """``value`` as an array if it is a constant matrix, otherwise ``None``."""
    held = value.const_value if value is not None else None
    return held.numpy() if held is not None and len(held.shape) == 2 else None


def _product(tape: ir.tape.Tape, x: ir.Value, weight: NDArray[np.float32], zeros: dict[object, ir.Value]) -> ir.Value:
    """``x @ W`` becomes ``(x / s)ᵤ₈ @ Wᵢ₈ · s`` with ``s (…, tokens, 1)``.

    ``zeros`` caches the zero point 128 in the shape of ``s`` for all values of that shape.
    """
    integers, channel_scale = _int8(weight, axis=0)
    constants = (integers, channel_scale[0], np.zeros(integers.shape[1], np.int8))
    weights = tape.op("DequantizeLinear", [constant(tape, each) for each in constants], {"axis": 1})
    producer = x.producer()
    if producer is not None and producer.op_type == "Gelu":
        # Gelu is hardly negative, so its largest magnitude is its largest value or this bound.
        most = tape.op("Max", [_largest(tape, x), constant(tape, _GELU_LEAST)])
    else:
        most = _largest(tape, tape.op("Abs", [x]))
    # A token with only zeros has scale 0; whatever it is quantised to, the product with 0 is right.
    scale = tape.op("Mul", [most, constant(tape, np.float32(1 / 127))])
    tokens = tuple(x.shape)[:-1] if x.shape and not x.shape.has_unknown_dim() else x
    if tokens not in zeros:
        zeros[tokens] = tape.op("Expand", [constant(tape, _ZERO), tape.op("Shape", [scale])])
    block = {"axis": -1, "block_size": len(integers)}
    quantized = tape.op("QuantizeLinear", [x, scale, zeros[tokens]], block)
    activations = tape.op("DequantizeLinear", [quantized, constant(tape, np.float32(1)), constant(tape, _ZERO)])
    return tape.op("Mul", [tape.op("MatMul", [activations, weights]), scale])


def _largest(tape: ir.tape.Tape, x: ir.Value) -> ir.Value:
    return tape.op("ReduceMax", [x, constant(tape, [-1])], {"keepdims": 1})


def _lookup(tape: ir.tape.Tape, table: NDArray[np.float32], rows: ir.Value) -> ir.Value:
    """Rows of the int8 table, multiplied by their scales."""
    integers, scale = (tape.op("Gather", [constant(tape, each), rows], {"axis": 0}) for each in _int8(table, axis=1))
    return tape.op("Mul", [tape.op("Cast", [integers], {"to": ir.DataType.FLOAT}), scale])


def _int8(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """``values ≈ integers · scale``, with one symmetric scale for each slice along ``axis``."""
    scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True) / 127, np.finfo(np.float32).tiny)
    return np.rint(values / scale).astype(np.int8), scale.astype(np.float32)
