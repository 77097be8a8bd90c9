"""int8 with a scale for each token, so that an answer never depends on what else is in its batch.

Dynamic quantisation takes the scale of an activation over the whole batch, padding and neighbours included:
one text's answer then moves with another's presence. Static scales do not, but clip what the calibration
texts did not show. Here every token has a scale of its own, its largest magnitude over 127, and the product is
multiplied with it (per-token quantisation: Yao et al. 2022, ZeroQuant, §4.1). No calibration data, and measured
closer to fp32 (docs/decisions/0004).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

# The first opset where QuantizeLinear takes a scale for each block of an axis.
_OPSET = 21
# Smaller embedding tables are left alone: there is nothing to gain.
_TABLE_ROWS = 512
# No value of Gelu is below minus this.
_GELU_LEAST = 0.17


def quantize(model: onnx.ModelProto) -> None:
    """Turn the weights of ``model`` into int8, in place.

    Products with a constant matrix: weights int8 per output channel, activations uint8 per token.
    Embedding tables: int8 per row. All else stays fp32.
    """
    graph = model.graph
    edit = _Edit(
        constants={held.name: held for held in graph.initializer},
        kinds={node.output[0]: node.op_type for node in graph.node},
        shapes=_shapes(model),
    )
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
    standard = next(opset for opset in model.opset_import if not opset.domain)
    standard.version = max(standard.version, _OPSET)


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int | str, ...]]:
    """The shape of each value, as far as it can be told; a size that is not known has a name."""
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    shapes = {
        held.name: [size.dim_value or size.dim_param for size in held.type.tensor_type.shape.dim] for held in inferred
    }
    return {name: tuple(sizes) for name, sizes in shapes.items() if all(sizes)}


@dataclass
class _Edit:
    """The graph as it is rewritten: its constants by name, what computed each value before, and its nodes so far."""

    constants: dict[str, TensorProto]
    kinds: dict[str, str]
    shapes: dict[str, tuple[int | str, ...]]
    nodes: list[NodeProto] = field(default_factory=list)
    _quantized: set[str] = field(default_factory=set)
    _zeros: dict[tuple[int | str, ...], str] = field(default_factory=dict)

    def product(self, node: NodeProto) -> None:
        """``x @ W`` becomes ``(x / s)ᵤ₈ @ Wᵢ₈ · s`` with ``s (…, tokens, 1)``."""
        x, weight = node.input
        if x not in self._quantized:
            self._tokens(x, width=self.constants[weight].dims[0])
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

    def _tokens(self, x: str, width: int) -> None:
        self._quantized.add(x)
        self._constant("last_axis", np.array([-1], dtype=np.int64))
        self._constant("steps", np.array(1 / 127, dtype=np.float32))
        self._constant("one", np.array(1, dtype=np.float32))
        self._constant("u8_zero", np.array(128, dtype=np.uint8))
        if self.kinds.get(x) == "Gelu":  # its largest magnitude is its largest value, but for a hair below zero
            self._constant("gelu_least", np.array(_GELU_LEAST, dtype=np.float32))
            self._node("ReduceMax", [x, "last_axis"], f"{x}_max", keepdims=1)
            self._node("Max", [f"{x}_max", "gelu_least"], f"{x}_most")
        else:
            self._node("Abs", [x], f"{x}_abs")
            self._node("ReduceMax", [f"{x}_abs", "last_axis"], f"{x}_most", keepdims=1)
        # A token of zeros only has scale 0: whatever it is quantised to, 0 times that is right again.
        self._node("Mul", [f"{x}_most", "steps"], f"{x}_scale")
        self._node("QuantizeLinear", [x, f"{x}_scale", self._zero(x)], f"{x}_u8", axis=-1, block_size=width)
        self._node("DequantizeLinear", [f"{x}_u8", "one", "u8_zero"], f"{x}_u8_float")

    def _zero(self, x: str) -> str:
        """The zero point 128 in the shape of the scale of ``x``; one for all values of that shape."""
        tokens = self.shapes.get(x, (x, "width"))[:-1]
        if tokens not in self._zeros:
            self._zeros[tokens] = f"{x}_zero"
            self._node("Shape", [f"{x}_scale"], f"{x}_scale_shape")
            self._node("Expand", ["u8_zero", f"{x}_scale_shape"], f"{x}_zero")
        return self._zeros[tokens]

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
