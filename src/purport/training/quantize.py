"""int8 with a scale for each token, so that an answer never depends on what else is in its batch.

Dynamic quantisation takes the scale of an activation over the whole batch, padding and neighbours included:
one text's answer then moves with another's presence. Static scales do not, but clip what the calibration
texts did not show. Here every token is divided by its own largest magnitude, which leaves values in [-1, 1]
for a scale that is fixed at 1/127, and multiplied back behind the product (per-token quantisation: Yao et
al. 2022, ZeroQuant, §4.1). No calibration data, and measured closer to fp32 (docs/decisions/0004).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

# Smaller embedding tables are left alone: there is nothing to gain.
_TABLE_ROWS = 512


def quantize(model: onnx.ModelProto) -> None:
    """Turn the weights of ``model`` into int8, in place.

    Products with a constant matrix: weights int8 per output channel, activations uint8 per token.
    Embedding tables: int8 per row. All else stays fp32.
    """
    graph = model.graph
    edit = _Edit({held.name: held for held in graph.initializer})
    for node in graph.node:
        weight = edit.constants.get(node.input[1]) if node.op_type == "MatMul" else None
        table = edit.constants.get(node.input[0]) if node.op_type == "Gather" else None
        if weight is not None and len(weight.dims) == 2:
            edit.product(node)
        elif table is not None and len(table.dims) == 2 and table.dims[0] >= _TABLE_ROWS:
            edit.lookup(node)
        else:
            edit.nodes.append(node)
    used = {name for node in edit.nodes for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(edit.nodes)
    graph.initializer.extend(held for name, held in edit.constants.items() if name in used)


@dataclass
class _Edit:
    """The graph as it is rewritten: its constants by name, and its nodes so far."""

    constants: dict[str, TensorProto]
    nodes: list[NodeProto] = field(default_factory=list)
    _normalised: set[str] = field(default_factory=set)

    def product(self, node: NodeProto) -> None:
        """``x @ W`` becomes ``(x / s)ᵤ₈ @ Wᵢ₈ · s`` with ``s (…, tokens, 1)``."""
        x, weight = node.input
        if x not in self._normalised:
            self._normalise(x)
        self._channels(weight)
        (out,) = node.output
        self._node("MatMul", [f"{x}_u8_float", f"{weight}_i8_float"], f"{out}_unscaled")
        self._node("Mul", [f"{out}_unscaled", f"{x}_scale"], out)

    def lookup(self, node: NodeProto) -> None:
        """A row of the int8 table times the scale of that row."""
        table, indices = node.input
        values = numpy_helper.to_array(self.constants[table])
        whole, scale = _int8(values, axis=1)
        self._constant(f"{table}_i8", whole)
        self._constant(f"{table}_scale", scale)
        (out,) = node.output
        self._node("Gather", [f"{table}_i8", indices], f"{out}_i8", axis=0)
        self._node("Cast", [f"{out}_i8"], f"{out}_float", to=TensorProto.FLOAT)
        self._node("Gather", [f"{table}_scale", indices], f"{out}_scale", axis=0)
        self._node("Mul", [f"{out}_float", f"{out}_scale"], out)

    def _normalise(self, x: str) -> None:
        self._normalised.add(x)
        self._constant("last_axis", np.array([-1], dtype=np.int64))
        self._constant("smallest", np.array(1e-12, dtype=np.float32))
        self._constant("u8_scale", np.array(1 / 127, dtype=np.float32))
        self._constant("u8_zero", np.array(128, dtype=np.uint8))
        self._node("Abs", [x], f"{x}_abs")
        self._node("ReduceMax", [f"{x}_abs", "last_axis"], f"{x}_max", keepdims=1)
        self._node("Max", [f"{x}_max", "smallest"], f"{x}_scale")
        self._node("Div", [x, f"{x}_scale"], f"{x}_unit")
        self._node("QuantizeLinear", [f"{x}_unit", "u8_scale", "u8_zero"], f"{x}_u8")
        self._node("DequantizeLinear", [f"{x}_u8", "u8_scale", "u8_zero"], f"{x}_u8_float")

    def _channels(self, weight: str) -> None:
        if f"{weight}_i8" in self.constants:
            return
        whole, scale = _int8(numpy_helper.to_array(self.constants[weight]), axis=0)
        self._constant(f"{weight}_i8", whole)
        self._constant(f"{weight}_scale", scale[0])
        self._constant(f"{weight}_zero", np.zeros(whole.shape[1], dtype=np.int8))
        parts = [f"{weight}_i8", f"{weight}_scale", f"{weight}_zero"]
        self._node("DequantizeLinear", parts, f"{weight}_i8_float", axis=1)

    def _constant(self, name: str, values: NDArray[np.generic]) -> None:
        self.constants[name] = numpy_helper.from_array(values, name)

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: int) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))


def _int8(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """``values ≈ whole · scale``, a symmetric scale for each slice along ``axis``."""
    scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True) / 127, np.finfo(np.float32).tiny)
    return np.rint(values / scale).astype(np.int8), scale.astype(np.float32)
