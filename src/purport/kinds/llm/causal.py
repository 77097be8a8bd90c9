"""Causal models of ``transformers`` from a local directory."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils import logging

from ...errors import DeviceUnavailable, ProviderError
from ...resources import cpus
from .likelihoods import Answers, Likely, Pack, Tokens, groups, shared
from .prompt import joined, unmarked

_TOGETHER = 1024  # tokens of texts and answers in one sequence
_AT_ONCE = 256  # of these, how many the model reads at a time: each has a number for every word of the vocabulary
_COMPARED = 3
_SAME, _ROUGHLY = 1e-3, 0.25  # of a log-likelihood, in float32 and in a precision of 8 or 11 bits
_ANY = 2**20  # tokens that a model may read that does not say


class Causal:
    """A causal model. With ``packed``, prompts and answers share what they begin with; otherwise each is read alone."""

    def __init__(
        self,
        path: Path,
        *,
        dtype: str = "float32",
        device: str = "cpu",
        threads: int | None = None,
        packed: bool = True,
    ) -> None:
        """Load it; ``threads`` read a sequence, by default as many as torch has, at most one per CPU.

        Raises:
            ProviderError: there is no such model in ``path``.
            DeviceUnavailable: torch does not have the device.
        """
        self._threads = threads or min(torch.get_num_threads(), cpus())
        try:
            self._device = torch.device(device)
            torch.empty(0, device=self._device)
        except (RuntimeError, AssertionError) as error:
            raise DeviceUnavailable(f'torch cannot use the device "{device}" ({error}); use the CPU') from None
        try:
            with _quiet(), _threads(self._threads):
                self._tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
                model = AutoModelForCausalLM.from_pretrained(
                    path, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=dtype
                )
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ProviderError(f"cannot load a causal language model from {path} ({reason})") from None
        self._model: Any = model.to(self._device).eval()
        self._config = model.config.get_text_config()
        self._slices = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._special = [
            each.content for each in self._tokenizer.added_tokens_decoder.values() if each.special and each.content
        ]
        self.context = int(getattr(self._config, "max_position_embeddings", None) or _ANY)
        self.packed = packed and not self._windowed
        self._head: list[int] = []
        self._prefix: list[int] = []
        self._cache: Any = DynamicCache()

    @property
    def _windowed(self) -> bool:
        """Whether some layers do not see all that comes before: then what is shared cannot be told by a mask."""
        kinds = set(getattr(self._config, "layer_types", None) or ())
        return bool(kinds - {"full_attention"}) or bool(getattr(self._config, "sliding_window", None))

    def prompt(self, system: str, user: str) -> list[int]:
        """See :class:`~.likelihoods.LocalModel`."""
        user = unmarked(user, self._special)
        if not self._tokenizer.chat_template:
            return list(self._tokenizer(joined(system, user))["input_ids"])
        turns = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        try:
            text = self._written(turns)
        except TemplateError:  # of a model that knows no instructions beside what a user says
            text = self._written([{"role": "user", "content": f"{system}\n\n{user}"}])
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _written(self, turns: Sequence[dict[str, str]]) -> str:
        # Reasoning models have a switch; others ignore it.
        text: str = self._tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return text

    def answer(self, text: str) -> list[int]:
        """See :class:`~.likelihoods.LocalModel`."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def keep(self, prefix: Tokens) -> None:
        """See :class:`~.likelihoods.LocalModel`."""
        self._head, self._prefix = list(prefix), []

    def score(self, prompts: Sequence[Tokens], answers: Answers) -> Likely:
        """See :class:`~.likelihoods.LocalModel`."""
        if not prompts:
            return np.zeros((0, len(answers.paths)))
        with _threads(self._threads):
            if not self.packed:
                return self._alone(prompts, answers)
            prefix = self._known(prompts)
            rests = [prompt[prefix:] for prompt in prompts]
            sizes = [len(rest) + len(answers.after) for rest in rests]
            return np.concatenate([self._together(rests[each], answers) for each in groups(sizes, _TOGETHER)])

    def verified(self, prompts: Sequence[Tokens], answers: Answers) -> bool:
        """See :class:`~.likelihoods.LocalModel`. A few answers are compared."""
        few = Answers.of([answers.tokens[0], *answers.tokens[-_COMPARED:]])
        try:
            shortcut = self.score(prompts, few)
        except (RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError, LookupError):
            self.packed = False  # a cache or a mask that the model does not know
        if self.packed:
            with _threads(self._threads):
                alone = self._alone(prompts, few)
            self.packed = bool(
                np.abs(shortcut - alone).max() <= (_SAME if self._model.dtype == torch.float32 else _ROUGHLY)
            )
        return self.packed

    def _known(self, prompts: Sequence[Tokens]) -> int:
        """The length of the prefix in the cache, with which all ``prompts`` begin."""
        if len(self._prefix) <= len(self._head) // 2 and self._head:
            self._cache = DynamicCache()
            self._logprobs([(len(self._head) - 1, 0)], input_ids=self._tensor([self._head]),
                           past_key_values=self._cache, use_cache=True)  # fmt: skip
            self._prefix = self._head
        # A token is left, after which the answer comes.
        least = min(min(shared(prompt, self._prefix), len(prompt) - 1) for prompt in prompts)
        if not least:
            self._prefix, self._cache = [], DynamicCache()
        elif least < len(self._prefix):
            self._cache.crop(least - len(self._prefix))
            self._prefix = self._prefix[:least]
        return least

    def _together(self, rests: Sequence[Tokens], answers: Answers) -> Likely:
        pack = Pack.of(rests, answers)
        each = np.zeros((len(rests), len(answers.nodes)))
        try:
            for start in range(0, len(pack.tokens), _AT_ONCE):
                stop = min(start + _AT_ONCE, len(pack.tokens))
                asked = [number for number in range(start, stop) if number in pack.questions]
                wanted = [(number, node) for number in asked for node in answers.after[pack.questions[number].after]]
                likely = self._read(pack, start, stop, [(n - start, answers.nodes[node].token) for n, node in wanted])
                for (number, node), value in zip(wanted, likely, strict=True):
                    each[pack.questions[number].row, node] = value
        except BaseException:  # some layers may have what others do not
            self._prefix, self._cache = [], DynamicCache()
            raise
        self._cache.crop(-len(pack.tokens))
        return np.array([answers.summed(row) for row in each])

    def _read(self, pack: Pack, start: int, stop: int, wanted: Sequence[tuple[int, int]]) -> Likely:
        """Read the tokens ``start:stop``; the log-probability of each ``wanted`` token after one of them."""
        prefix = len(self._prefix)
        sees = np.concatenate([np.ones((stop - start, prefix), dtype=np.bool_), pack.sees[start:stop, :stop]], axis=1)
        mask = torch.zeros(sees.shape, dtype=self._model.dtype, device=self._device)
        mask.masked_fill_(~torch.from_numpy(sees).to(self._device), torch.finfo(mask.dtype).min)
        return self._logprobs(
            wanted,
            input_ids=self._tensor([pack.tokens[start:stop]]),
            position_ids=self._tensor([prefix + pack.depths[start:stop]]),
            attention_mask=mask[None, None],
            past_key_values=self._cache,
            use_cache=True,
        )

    def _alone(self, prompts: Sequence[Tokens], answers: Answers) -> Likely:
        found = np.zeros((len(prompts), len(answers.tokens)))
        for row, prompt in enumerate(prompts):
            for column, answer in enumerate(answers.tokens):
                wanted = list(enumerate(answer, start=len(prompt) - 1))
                whole = self._tensor([[*prompt, *answer[:-1]]])
                found[row, column] = self._logprobs(wanted, input_ids=whole, use_cache=False).sum()
        return found

    def _logprobs(self, wanted: Sequence[tuple[int, int]], **given: Any) -> Likely:
        """The log-probability of each ``wanted`` token after the token of that number."""
        places = sorted({place for place, _ in wanted})
        kept = torch.tensor(places, dtype=torch.long, device=self._device)
        logits = self._forward(**given, logits_to_keep=kept) if self._slices else self._forward(**given)[kept]
        rows = self._tensor([places.index(place) for place, _ in wanted])
        found = torch.log_softmax(logits.float(), dim=-1)[rows, self._tensor([token for _, token in wanted])]
        return np.asarray(found.cpu().numpy(), dtype=np.float64)

    def _forward(self, **given: Any) -> Any:
        """The logits of the one sequence that is ``given``."""
        with torch.inference_mode():
            return self._model(**given).logits[0]

    def _tensor(self, values: Sequence[Any]) -> Any:
        return torch.as_tensor(np.array(values, dtype=np.int64), device=self._device)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """In this block, this thread has so many of torch's: what it trains next may not round in another way for it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no notes of the library, which would stand among the output of commands."""
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
