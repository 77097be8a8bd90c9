"""Files ``.gguf``, run by llama.cpp through its C functions as ``llama-cpp-python`` gives them."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import llama_cpp
import numpy as np
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from ...errors import DeviceUnavailable, ProviderError
from ...resources import cpus
from .likelihoods import Answers, Likely, Tokens, groups, shared
from .prompt import joined, unmarked

_CONTEXT = 8192  # tokens of a prompt; memory for them is taken at once
_ROOM = 512  # tokens of answers that are read together
_SEQUENCES = 64  # a prompt, and the answers that are read together with it
_COMPARED = 3
_SAME = 0.02  # of a log-likelihood


class _Fed(NamedTuple):
    """A token to read: its place, the sequences that it belongs to, and whether its successors are wanted."""

    token: int
    place: int
    sequences: Sequence[int]
    asked: bool


class Gguf:
    """A model in a file ``.gguf``. What a prompt shares with the one before it is not read again.

    llama.cpp lets a token belong to several sequences: the prompt to all, and a token of an answer to all that begin
    alike up to there.
    """

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None, packed: bool = True) -> None:
        """Load it.

        Raises:
            ProviderError: the file cannot be read.
            DeviceUnavailable: llama.cpp was built without that device.
        """
        if device != "cpu" and not llama_cpp.llama_supports_gpu_offload():
            raise DeviceUnavailable(f'llama-cpp-python was built without the device "{device}"; use the CPU')
        _quiet()
        options = llama_cpp.llama_model_default_params()
        options.n_gpu_layers = 0 if device == "cpu" else 999
        self._model: Any = llama_cpp.llama_model_load_from_file(str(path).encode(), options)
        if not self._model:
            raise ProviderError(f"cannot load a language model from {path}: llama.cpp does not read it")
        weakref.finalize(self, llama_cpp.llama_model_free, self._model)
        self._vocabulary: Any = llama_cpp.llama_model_get_vocab(self._model)
        self._size = llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        self.context = min(llama_cpp.llama_model_n_ctx_train(self._model), _CONTEXT)
        self._state: Any = self._started(path, threads or cpus())
        self._memory: Any = llama_cpp.llama_get_memory(self._state)
        self._control = [
            self._text(n) for n in range(self._size) if llama_cpp.llama_vocab_is_control(self._vocabulary, n)
        ]
        self._template = self._formatter()
        self._past: list[int] = []
        self.packed = packed

    def _started(self, path: Path, threads: int) -> Any:
        options = llama_cpp.llama_context_default_params()
        options.n_ctx = self.context + _ROOM
        options.n_batch = options.n_ubatch = _ROOM
        options.n_seq_max = _SEQUENCES
        options.n_threads = options.n_threads_batch = threads
        # In 16 bits, an answer would depend a little on what was read together with it.
        options.type_k = options.type_v = llama_cpp.GGML_TYPE_F32
        options.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        options.kv_unified = True  # sequences share what they have in common
        options.swa_full = True  # layers that see a window keep all, so that what comes later can be taken off
        state = llama_cpp.llama_init_from_model(self._model, options)
        if not state:
            raise ProviderError(f"cannot run {path}: llama.cpp has no memory for {options.n_ctx:,} tokens")
        weakref.finalize(self, llama_cpp.llama_free, state)
        return state

    def _text(self, token: int) -> str:
        raw: bytes = llama_cpp.llama_vocab_get_text(self._vocabulary, token)
        return raw.decode("utf-8", "replace")

    def _formatter(self) -> Jinja2ChatFormatter | None:
        template = llama_cpp.llama_model_chat_template(self._model, None)
        if not template:
            return None
        begin, end = (function(self._vocabulary) for function in (llama_cpp.llama_vocab_bos, llama_cpp.llama_vocab_eos))
        return Jinja2ChatFormatter(
            template.decode("utf-8", "replace"),
            bos_token=self._text(begin) if begin >= 0 else "",
            eos_token=self._text(end) if end >= 0 else "",
        )

    def prompt(self, system: str, user: str) -> list[int]:
        """See :class:`~.likelihoods.LocalModel`."""
        user = unmarked(user, self._control)
        if self._template is None:
            return self._tokens(joined(system, user), begin=True, special=False)
        turns: Any = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        try:
            text = self._template(messages=turns, enable_thinking=False).prompt
        except ValueError:  # of a model that knows no instructions beside what a user says
            text = self._template(messages=[{"role": "user", "content": f"{system}\n\n{user}"}]).prompt
        return self._tokens(text, begin=False, special=True)

    def answer(self, text: str) -> list[int]:
        """See :class:`~.likelihoods.LocalModel`."""
        return self._tokens(text, begin=False, special=False)

    def _tokens(self, text: str, *, begin: bool, special: bool) -> list[int]:
        raw = text.encode()
        found = (llama_cpp.llama_token * (len(raw) + 8))()
        number = llama_cpp.llama_tokenize(self._vocabulary, raw, len(raw), found, len(found), begin, special)
        return list(found[:number])

    def keep(self, prefix: Tokens) -> None:
        """See :class:`~.likelihoods.LocalModel`. Prompts that begin with it come one after the other."""

    def score(self, prompts: Sequence[Tokens], answers: Answers) -> Likely:
        """See :class:`~.likelihoods.LocalModel`."""
        if not self.packed:
            return self._alone(prompts, answers)
        parts = [answers.tokens[each] for each in _parts(answers)]
        trees = [Answers.of(part) for part in parts]
        rows = []
        for prompt in prompts:
            try:
                first = self._after(prompt)
                rows.append(np.concatenate([tree.summed(self._nodes(tree, len(prompt), first)) for tree in trees]))
            except BaseException:
                self._clear()
                raise
        return np.array(rows) if rows else np.zeros((0, len(answers.tokens)))

    def verified(self, prompts: Sequence[Tokens], answers: Answers) -> bool:
        """See :class:`~.likelihoods.LocalModel`. A few answers are compared."""
        few = Answers.of([answers.tokens[0], *answers.tokens[-_COMPARED:]])
        if self.packed:
            try:
                shortcut = self.score(prompts, few)
                self.packed = bool(np.abs(shortcut - self._alone(prompts, few)).max() <= _SAME)
            except ProviderError:  # a memory that cannot be shared
                self.packed = False
        return self.packed

    def _after(self, prompt: Tokens) -> Likely:
        """The log-probabilities of all tokens after ``prompt``, ``(n_tokens,)``; it is then in the memory."""
        known = min(shared(prompt, self._past), len(prompt) - 1)
        if not llama_cpp.llama_memory_seq_rm(self._memory, 0, known, -1):
            self._clear()  # a memory of which no part can be taken off
            known = 0
        self._past = list(prompt[:known])
        last = len(prompt) - 1
        for start in range(known, len(prompt), _ROOM):
            part = prompt[start : start + _ROOM]
            read = self._read([_Fed(token, n, (0,), n == last) for n, token in enumerate(part, start=start)])
        self._past = list(prompt)
        return read[0]

    def _nodes(self, tree: Answers, place: int, first: Likely) -> Likely:
        """The log-likelihood of each node of ``tree``, which follows the prompt that ends before ``place``."""
        number = len(tree.paths)
        belongs: list[list[int]] = [[] for _ in tree.nodes]
        depths = [0] * len(tree.nodes)
        for sequence, path in enumerate(tree.paths, start=1):
            llama_cpp.llama_memory_seq_cp(self._memory, 0, sequence, 0, -1)
            for depth, node in enumerate(path):
                belongs[node].append(sequence)
                depths[node] = depth
        inner = sorted(tree.after.keys() - {-1})
        likely = self._read([_Fed(tree.nodes[n].token, place + depths[n], belongs[n], True) for n in inner])
        for sequence in range(1, number + 1):
            llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        each = np.zeros(len(tree.nodes))
        for before, row in [(-1, first), *zip(inner, likely, strict=True)]:
            for node in tree.after[before]:
                each[node] = row[tree.nodes[node].token]
        return each

    def _alone(self, prompts: Sequence[Tokens], answers: Answers) -> Likely:
        found = np.zeros((len(prompts), len(answers.tokens)))
        for row, prompt in enumerate(prompts):
            for column, answer in enumerate(answers.tokens):
                self._clear()
                likely = [self._after(prompt)]
                likely += self._read([_Fed(token, len(prompt) + n, (0,), True) for n, token in enumerate(answer[:-1])])
                self._clear()
                found[row, column] = sum(one[token] for one, token in zip(likely, answer, strict=True))
        return found

    def _clear(self) -> None:
        llama_cpp.llama_memory_clear(self._memory, True)
        self._past = []

    def _read(self, fed: Sequence[_Fed]) -> list[Likely]:
        """Read tokens; the log-probabilities of all tokens after each of those that are ``asked``.

        Raises:
            ProviderError: llama.cpp fails.
        """
        if not fed:
            return []
        batch = llama_cpp.llama_batch_init(len(fed), 0, _SEQUENCES)
        try:
            batch.n_tokens = len(fed)
            for n, each in enumerate(fed):
                batch.token[n], batch.pos[n], batch.logits[n] = each.token, each.place, each.asked
                batch.n_seq_id[n] = len(each.sequences)
                for place, sequence in enumerate(each.sequences):
                    batch.seq_id[n][place] = sequence
            if failed := llama_cpp.llama_decode(self._state, batch):
                raise ProviderError(f"llama.cpp cannot read {len(fed):,} tokens (its code {failed})")
            return [self._logprobs(n) for n, each in enumerate(fed) if each.asked]
        finally:
            llama_cpp.llama_batch_free(batch)

    def _logprobs(self, number: int) -> Likely:
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self._state, number), (self._size,))
        exact = logits.astype(np.float64)
        exact -= exact.max()
        normalised: Likely = exact - np.log(np.exp(exact).sum())
        return normalised


def _parts(answers: Answers) -> list[slice]:
    """Answers that are read together: as many as there are sequences and room for."""
    sizes = [max(len(answer), _ROOM // (_SEQUENCES - 1)) for answer in answers.tokens]
    return list(groups(sizes, _ROOM))


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _say_nothing(_level: int, _text: bytes, _data: ctypes.c_void_p) -> None:
    """llama.cpp writes pages about each model to stderr."""


def _quiet() -> None:
    llama_cpp.llama_log_set(_say_nothing, ctypes.c_void_p(0))
