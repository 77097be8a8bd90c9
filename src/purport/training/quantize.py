"""int8 with fixed scales, so that an answer never depends on what else is in its batch.

Dynamic quantisation takes the scale of an activation over the whole batch, padding and neighbours included:
one text's answer then moves with another's presence (measured: docs/decisions/0004). Here every scale is
fixed when the bundle is made.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

# Smaller tables are left alone: there is nothing to gain.
_TABLE_ROWS = 512


class _Samples(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, samples: Sequence[NDArray[np.int64]]) -> None:
        self._feeds = iter(
            {"input_ids": ids[None, :], "attention_mask": np.ones((1, len(ids)), dtype=np.int64)} for ids in samples
        )

    def get_next(self) -> Any:
        return next(self._feeds, None)


def quantize(plain: Path, target: Path, samples: Sequence[NDArray[np.int64]]) -> None:
    """Write the int8 form of the fp32 model ``plain`` to ``target``.

    Matrix products with a constant: weights int8 per output channel, activations uint8 with the range seen
    on ``samples`` (token ids of training texts). Embedding tables: int8 per row. All else stays fp32.
    """
    logging.getLogger().setLevel(max(logging.WARNING, logging.getLogger().level))
    quantize_static(
        str(plain),
        str(target),
        _Samples(samples),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    model = onnx.load(target)
    _quantize_tables(model)
    onnx.save(model, target)


def _quantize_tables(model: onnx.ModelProto) -> None:
    """Replace each large embedding look-up by one in int8, times the scale of its row."""
    graph = model.graph
    tables = {held.name: held for held in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None or len(table.dims) != 2 or table.dims[0] < _TABLE_ROWS:
            nodes.append(node)
            continue
        values = numpy_helper.to_array(table)
        scale = np.maximum(np.abs(values).max(axis=1, keepdims=True) / 127.0, np.finfo(np.float32).tiny)
        whole = np.rint(values / scale).astype(np.int8)
        graph.initializer.remove(table)
        for suffix, array in (("int8", whole), ("scale", scale.astype(np.float32))):
            graph.initializer.append(numpy_helper.from_array(array, f"{table.name}_{suffix}"))
        name, indices, (out,) = table.name, node.input[1], node.output
        nodes += [
            onnx.helper.make_node("Gather", [f"{name}_int8", indices], [f"{out}_int8"], axis=0),
            onnx.helper.make_node("Cast", [f"{out}_int8"], [f"{out}_float"], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Gather", [f"{name}_scale", indices], [f"{out}_scale"], axis=0),
            onnx.helper.make_node("Mul", [f"{out}_float", f"{out}_scale"], [out]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
