"""Measures products on example texts: which channels of their inputs are large, and how int8 changes the logits."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxscript import ir

from ...runtime.onnx import open_session
from .fuse import constant
from .quantize import SWITCHES, Array, Plan, products, quantize

Feed = dict[str, NDArray[Any]]


def feeds(ids: Sequence[Sequence[int]]) -> Iterator[Feed]:
    """Batches of texts with the same number of tokens, so that there is no padding, whose activations do not count."""
    for _, same in groupby(sorted(ids, key=len), key=len):
        tokens = np.array(list(same), dtype=np.int64)
        yield {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}


def largest_inputs(model: onnx.ModelProto, examples: Sequence[Feed]) -> dict[int, Array]:
    """By product, the largest magnitude of each channel of its input ``(width,)`` in the examples."""
    watched = ir.from_proto(model)
    found = products(watched.graph)
    tape = ir.tape.Tape()
    for number, (_, x, weight) in enumerate(found):
        tokens = tape.op("Reshape", [x, constant(tape, [-1, len(weight)])])
        seen = tape.op("ReduceMax", [tape.op("Abs", [tokens]), constant(tape, [0])], {"keepdims": 0})
        seen.name, seen.shape = f"largest_{number}", ir.Shape([len(weight)])
        seen.type = ir.TensorType(ir.DataType.FLOAT)
        watched.graph.outputs.append(seen)
    watched.graph.extend(tape.nodes)
    session, names = (
        open_session(ir.to_proto(watched).SerializeToString()),
        [f"largest_{number}" for number in range(len(found))],
    )
    each = [session.run(names, feed) for feed in examples] if found else []
    return {number: np.max(seen, axis=0) for number, seen in enumerate(zip(*each, strict=True))}


def errors(model: onnx.ModelProto, largest: dict[int, Array], examples: Sequence[Feed]) -> NDArray[np.float64]:
    """For each product, the sum of squared changes of the logits in the examples when only that product is int8."""
    switched = copy.deepcopy(model)
    quantize(switched, Plan(largest=largest, tables=False, switched=True))
    session, count = open_session(switched.SerializeToString()), len(products(ir.from_proto(model).graph))
    found = np.zeros(count)
    for feed in examples:
        exact, *changed = (
            session.run(["logits"], {**feed, SWITCHES: switches})[0]
            for switches in np.eye(count + 1, count, k=-1, dtype=np.float32)
        )
        found += [float(((each - exact) ** 2).sum()) for each in changed]
    return found


def centre(model: onnx.ModelProto, expected: Array, examples: Sequence[Feed]) -> None:
    """Change the bias of the head so that the mean logits in the examples are ``expected (n_labels,)``, in place.

    Quantisation shifts logits by a part that is the same in all texts (Nagel et al. 2019, §4.2, bias correction). A
    head without a bias is left as it is.
    """
    head = next(node for node in model.graph.node if "logits" in node.output)
    for held in model.graph.initializer:
        if held.name in head.input and list(held.dims) == [expected.size]:
            bias = numpy_helper.to_array(held) + expected - mean_logits(model, examples)
            held.CopyFrom(numpy_helper.from_array(bias.astype(np.float32), held.name))


def mean_logits(model: onnx.ModelProto, examples: Sequence[Feed]) -> Array:
    """The mean logits ``(n_labels,)`` of all texts in the examples."""
    session = open_session(model.SerializeToString())
    mean: Array = np.concatenate([session.run(["logits"], feed)[0] for feed in examples]).mean(axis=0)
    return mean


def most_sensitive(errors: NDArray[np.float64], sizes: Sequence[int], share: float) -> frozenset[int]:
    """The products with the largest error per weight, as many as have at most ``share`` of all weights.

    ``errors (n_products,)`` are those of :func:`errors`, ``sizes`` the number of weights of each product.
    """
    each = np.array(sizes)
    order = np.argsort(-errors / each, kind="stable")
    fit = np.cumsum(each[order]) <= share * each.sum()
    return frozenset(order[fit].tolist())
