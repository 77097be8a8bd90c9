"""Fuses operators of an ONNX model without changing its results.

Exporters write attention, its mask and parallel matrix products as many small operators; runtimes are faster with one
operator for each. The result uses only standard ONNX operators (opset 23). A part of the graph that does not have
exactly the expected form is left unchanged. Measurements are in docs/decisions/0007.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnxscript import ir
from onnxscript.ir.passes import common as passes
from onnxscript.rewriter import pattern

# The first opset with Attention. The exporter uses an older opset; its operators have not changed since.
ATTENTION_OPSET = 23
_MASK = "attention_mask"
_LEAST = np.finfo(np.float32).min
# More tokens than a local attention window has, so that a windowed mask is noticed.
_TRIED_TOKENS = 1024
_HEADS_FIRST, _HEADS_FIRST_TRANSPOSED = [0, 2, 1, 3], [0, 2, 3, 1]


def fuse(model: onnx.ModelProto) -> None:
    """Rewrite ``model`` in place: one operator for attention, a simple mask, one product per shared input."""
    rewritten = ir.from_proto(model)
    passes.ShapeInferencePass(strict_mode=False)(rewritten)
    if _fuse_attention(rewritten) + _simplify_masks(rewritten.graph) + _join_products(rewritten):
        passes.LiftConstantsToInitializersPass(size_limit=0)(rewritten)
        passes.RemoveUnusedNodesPass()(rewritten)
        model.CopyFrom(ir.to_proto(rewritten))
        del model.graph.value_info[:]


def _fuse_attention(model: ir.Model) -> int:
    """Replace each attention made of small operators by an ``Attention`` operator; return their number."""
    count: int = pattern.RewriteRule(_attention, _attention_operator).apply_to_model(model)
    if count:
        model.graph.opset_imports[""] = max(model.graph.opset_imports[""], ATTENTION_OPSET)
    return count


def _attention(op: Any, q: Any, k: Any, v: Any, scale: Any, mask: Any) -> Any:
    """The pattern ``softmax(q kᵀ · scale + mask) v``, with heads split before and joined after it."""

    def split(x: Any, perm: list[int], name: str) -> Any:
        return op.Transpose(op.Reshape(x, pattern.ANY_VALUE, _outputs=[name]), perm=perm)

    scores = op.MatMul(split(q, _HEADS_FIRST, "q_split"), split(k, _HEADS_FIRST_TRANSPOSED, "k_split")) * scale
    mixed = op.MatMul(op.Softmax(scores + mask, axis=-1), split(v, _HEADS_FIRST, "v_split"))
    return op.Reshape(op.Transpose(mixed, perm=_HEADS_FIRST), pattern.ANY_VALUE, _outputs=["joined"])


def _attention_operator(
    op: Any, q: ir.Value, k: ir.Value, v: ir.Value, scale: ir.Value, mask: ir.Value, **inner: ir.Value
) -> Any:
    """The operator that replaces the pattern, or ``None`` (no change) if the result would not be the same."""
    heads = [_heads(q, inner["q_split"]), _heads(k, inner["k_split"]), _heads(v, inner["v_split"])]
    factor, joined = scale.const_value, _shape(inner["joined"])
    rows = _shape(mask)[-2:-1]  # ONNX Runtime does not broadcast a mask with a single row over all queries.
    if not 0 < min(heads) == max(heads) or factor is None or factor.size != 1 or len(joined) != 3 or rows in ((), (1,)):
        return None
    return op.Attention(q, k, v, mask, q_num_heads=heads[0], kv_num_heads=heads[0], scale=factor.numpy().item())


def _heads(whole: ir.Value, split: ir.Value) -> int:
    """The number of heads that ``whole (texts, tokens, width)`` is split into, or 0 if it is not known."""
    match _shape(whole), _shape(split):
        case (_, _, int(width)), (_, _, _, int(size)):
            return width // size
    return 0


def _shape(value: ir.Value) -> tuple[object, ...]:
    return tuple(value.shape or ())


def _simplify_masks(graph: ir.Graph) -> int:
    """Compute masks that only hide padding directly from ``attention_mask``; return the number of users.

    Exporters write index arithmetic for such masks. Running it on an example shows whether the result is the same.
    """
    readers: defaultdict[ir.Value, list[ir.Node]] = defaultdict(list)
    for node in graph:
        if node.op_type == "Attention" and len(node.inputs) > 3 and (mask := node.inputs[3]):
            readers[mask].append(node)
    found = [node for mask, nodes in readers.items() if _hides_padding(graph, mask) for node in nodes]
    if found:
        tape = ir.tape.Tape()
        simple = _padding_mask(tape, next(value for value in graph.inputs if value.name == _MASK))
        graph.insert_before(graph[0], tape.nodes)
        for node in found:
            node.replace_input_with(3, simple)
    return len(found)


def _hides_padding(graph: ir.Graph, mask: ir.Value) -> bool:
    """Whether ``mask`` is 0 where ``attention_mask`` is 1, and the lowest float where it is 0, for every query."""
    try:
        part = ir.convenience.extract(graph, [_MASK], [mask])
    except ValueError:  # The mask depends on more than attention_mask.
        return False
    tried = np.random.default_rng(0).integers(0, 2, (2, _TRIED_TOKENS), dtype=np.int64)
    (found,) = ReferenceEvaluator(ir.to_proto(ir.Model(part, ir_version=10))).run(None, {_MASK: tried})
    expected = np.where(tried == 0, _LEAST, np.float32(0))[:, None, None, :]
    return found.shape == (2, 1, _TRIED_TOKENS, _TRIED_TOKENS) and bool((found == expected).all())


def _padding_mask(tape: ir.tape.Tape, attention_mask: ir.Value) -> ir.Value:
    """From ``(texts, tokens)`` to ``(texts, 1, tokens, tokens)``: 0 for tokens, the lowest float for padding."""
    texts = tape.op("Shape", [attention_mask], {"start": 0, "end": 1})
    tokens = tape.op("Shape", [attention_mask], {"start": 1, "end": 2})
    shape = tape.op("Concat", [texts, constant(tape, [1]), tokens, tokens], {"axis": 0})
    shown = tape.op("Cast", [attention_mask], {"to": ir.DataType.BOOL})
    row = tape.op("Where", [shown, constant(tape, 0.0), constant(tape, float(_LEAST))])
    return tape.op("Expand", [tape.op("Unsqueeze", [row, constant(tape, [1, 2])]), shape])


def _join_products(model: ir.Model) -> int:
    """Turn ``x @ A + a``, ``x @ B + b``, … into ``x @ [A B …] + [a b …]`` and a ``Split``; return the number of x."""
    linear = pattern.Pattern(lambda op, x, weight, bias: op.MatMul(x, weight) + bias, _is_linear)
    by_input: defaultdict[ir.Value, list[pattern.MatchResult]] = defaultdict(list)
    for node in model.graph:
        if match := linear.match(model, model.graph, node):
            by_input[match.bindings["x"]].append(match)
    parallel = [matches for matches in by_input.values() if len(matches) > 1]
    for matches in reversed(parallel):  # From the end, because one may use the output of another.
        _join(model.graph, matches)
    return len(parallel)


def _is_linear(context: object, x: ir.Value, weight: ir.Value, bias: ir.Value) -> bool:
    w, b = weight.const_value, bias.const_value
    return w is not None and b is not None and len(w.shape) == 2 and b.shape == w.shape[1:]


def _join(graph: ir.Graph, matches: list[pattern.MatchResult]) -> None:
    weights, biases = ([match.bindings[name].const_value.numpy() for match in matches] for name in ("weight", "bias"))
    tape = ir.tape.Tape()
    product = tape.op("MatMul", [matches[0].bindings["x"], constant(tape, np.concatenate(weights, axis=1))])
    total = tape.op("Add", [product, constant(tape, np.concatenate(biases))])
    widths = constant(tape, [bias.size for bias in biases])
    parts = tape.op_multi_out("Split", [total, widths], {"axis": -1}, num_outputs=len(matches))
    nodes, outputs = [node for match in matches for node in match.nodes], [match.outputs[0] for match in matches]
    ir.convenience.replace_nodes_and_values(graph, nodes[0], nodes, tape.nodes, outputs, parts)


def constant(tape: ir.tape.Tape, values: NDArray[np.generic] | np.generic | list[int] | float) -> ir.Value:
    """``values`` as a constant in the graph that ``tape`` records."""
    return tape.op("Constant", [], {"value": ir.tensor(values)})
