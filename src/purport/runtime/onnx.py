"""Runs an encoder exported to ONNX with ONNX Runtime."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ..bundle import Bundle
from ..contents import loading, opened, read_bytes
from ..errors import DeviceUnavailable
from ..isolation import silence
from ..manifest import ModelFacts
from ..model import FloatArray, Lengths, Model, Traits
from ..resources import cpus
from .calibration import Scores, calibrated, unit
from .spelling import Words
from .tokens import TextReader, Truncate

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"

# Largest number of tokens in a forward pass, padding included: limits memory for texts of any length.
_BATCH_TOKENS = 4096
# Encoders read 512 tokens, most of them; trying longer texts would take seconds.
_LONGEST_TRIED = 1024
# Fixed cost of a forward pass, in tokens (measured in docs/decisions/0007).
_PASS_TOKENS = 9
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def open_model(bundle: Bundle, *, device: str = "cpu", threads: int | None = None) -> Model:
    """The model of ``bundle``; ``threads`` defaults to one per CPU that this process may use.

    Raises:
        DeviceUnavailable: ``device`` is not available on this machine.
        BundleCorrupt: a file cannot be loaded.
    """
    scorer = OnnxScorer.load(
        bundle.path, bundle.manifest.scored, bundle.facts(ReadingFacts), device=device, threads=threads
    )
    return calibrated(scorer, bundle)


class ReadingFacts(ModelFacts):
    """Manifest facts about how a model reads; ``truncate``: what of a long text is kept."""

    truncate: Truncate = "head"


class OnnxScorer:
    """``model.onnx`` with inputs ``input_ids``/``attention_mask (batch, tokens) int64``.

    Outputs are ``logits`` and, except in older bundles, ``embedding (batch, width)``, the vector that the head reads.
    """

    traits = Traits()

    def __init__(self, session: Any, reader: TextReader, n_labels: int) -> None:
        self._session = session
        self.reader = reader
        self._n_labels = n_labels
        self._outputs = [output.name for output in session.get_outputs()]

    @classmethod
    def load(
        cls, path: Path, n_labels: int, facts: ReadingFacts, *, device: str = "cpu", threads: int | None = None
    ) -> OnnxScorer:
        """Load the files in ``path``, whether or not it is a finished bundle."""
        words = Words.load(path)
        content = read_bytes(path, TOKENIZER_FILE)
        with loading(path, TOKENIZER_FILE):
            tokenizer = Tokenizer.from_buffer(content)
            most = max(tokenizer.get_vocab(with_added_tokens=False).values())
            reader = TextReader(tokenizer, facts.limit, words, facts.truncate)
        with opened(path, MODEL_FILE), loading(path, MODEL_FILE):
            scorer = cls(open_session(str(path / MODEL_FILE), device=device, threads=threads), reader, n_labels)
            scorer._try_out([most] * min(facts.limit, _LONGEST_TRIED))
        return scorer

    def score(self, texts: Sequence[str]) -> Scores:
        """See :class:`~purport.runtime.calibration.Scorer`."""
        read = self.reader(texts)
        ids = read.ids
        logits = np.empty((len(ids), self._n_labels), dtype=np.float32)
        embedding: FloatArray | None = None
        for rows in batches([len(row) for row in ids]):
            found = self._forward([ids[row] for row in rows])
            logits[rows] = found["logits"]
            if "embedding" in found:
                if embedding is None:
                    embedding = np.empty((len(ids), found["embedding"].shape[1]), dtype=np.float32)
                embedding[rows] = unit(found["embedding"])
        return Scores(logits, read.truncated, embedding, read.familiar)

    def lengths(self, texts: Sequence[str]) -> Lengths:
        """See :class:`~purport.runtime.calibration.Scorer`; special tokens count too."""
        return Lengths("tokens", self.reader.limit, self.reader.counts(texts))

    def _try_out(self, tokens: list[int]) -> None:
        """Check that the model reads a text as long as its limit, with the last token that the tokenizer has.

        Raises:
            ValueError: it does not give one logit for each label.
            Exception: the one of the library.
        """
        found = self._forward([tokens])["logits"]
        if found.shape != (1, self._n_labels):
            raise ValueError(f"it gives {found.shape} logits for {self._n_labels:,} labels")

    def _forward(self, ids: list[list[int]]) -> dict[str, FloatArray]:
        longest = max(map(len, ids))
        if len(ids) == 1:
            input_ids = np.array(ids, dtype=np.int64)
            attention_mask = np.ones((1, longest), dtype=np.int64)
        else:
            input_ids = np.full((len(ids), longest), self.reader.pad_id, dtype=np.int64)
            attention_mask = np.zeros((len(ids), longest), dtype=np.int64)
            for row, tokens in enumerate(ids):
                input_ids[row, : len(tokens)] = tokens
                attention_mask[row, : len(tokens)] = 1
        feeds = {"input_ids": input_ids, "attention_mask": attention_mask}
        return dict(zip(self._outputs, self._session.run(self._outputs, feeds), strict=True))


def batches(lengths: Sequence[int], budget: int = _BATCH_TOKENS) -> Iterator[list[int]]:
    """Positions grouped by similar length, so that the total cost of padding and forward passes is lowest.

    A pass costs ``_PASS_TOKENS`` tokens, plus the length of its longest text for each of its texts (dynamic programming
    over the distinct lengths). A group has at most ``budget`` tokens, including padding.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for start, end in _cuts([lengths[position] for position in order]):
        rows = max(1, budget // lengths[order[end - 1]])
        for first in range(start, end, rows):
            yield order[first : min(first + rows, end)]


def _cuts(lengths: list[int]) -> list[tuple[int, int]]:
    """Where to cut texts that are sorted by length. Plain Python is fastest for the few lengths of a batch."""
    # Texts before position ends[k + 1] have at most the length distinct[k].
    if not lengths:
        return []
    ends = [0, *(at for at in range(1, len(lengths)) if lengths[at - 1] < lengths[at]), len(lengths)]
    distinct = [lengths[end - 1] for end in ends[1:]]
    least, cut = [0], [0]
    for to, longest in enumerate(distinct, start=1):
        cost, at = min((least[at] + (ends[to] - ends[at]) * longest, at) for at in range(to))
        least.append(cost + _PASS_TOKENS)
        cut.append(at)
    found, to = [], len(distinct)
    while to > 0:
        found.append((ends[cut[to]], ends[to]))
        to = cut[to]
    return found[::-1]


def _saturates() -> bool:
    """Whether uint8 x int8 products saturate on this processor: x86 without VNNI, where slower exact kernels exist."""
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False
    return platform.machine() == "x86_64" and "avx512_vnni" not in flags and "avx_vnni" not in flags


def open_session(model: str | bytes, *, device: str = "cpu", threads: int | None = None) -> Any:
    """A session of ONNX Runtime for the file ``model``, or for a model in memory.

    Raises:
        DeviceUnavailable: ``device`` is not available on this machine.
    """
    silence()
    import onnxruntime as ort

    ort.disable_telemetry_events()  # all that can still be done where somebody else has imported it before
    provider = _PROVIDERS.get(device)
    if provider not in ort.get_available_providers():
        have = [name for name, known in _PROVIDERS.items() if known in ort.get_available_providers()]
        remedy = " (CUDA needs the onnxruntime-gpu package)" if device == "cuda" else ""
        raise DeviceUnavailable(f'device "{device}" is not available{remedy}; choose one of: {", ".join(have)}')
    if device == "cuda":
        ort.preload_dlls()  # CUDA and cuDNN libraries that pip installed
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or cpus()
    options.log_severity_level = 3
    # Spinning thread pools slow down everything else on the machine (measured in docs/decisions/0004).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if _saturates():
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(model, options, providers=[provider])
    if provider not in session.get_providers():  # the library silently falls back to the CPU
        raise DeviceUnavailable(f'the libraries for device "{device}" cannot be loaded; check the driver')
    return session
