"""Causal models that are small and random, with a tokenizer of their own: made here, nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
)

MARK = "endofturn"  # a token of the template without any character that is escaped in a text
SPECIAL = ["<s>", "<|user|>", "<|system|>", "<|assistant|>", MARK]
TEMPLATE = (
    "<s>{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}" + MARK + "\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
_WORDS = ['{"label": "flight"}', '{"label": "none of these"}', "fly to", "the cost of food", "Answer with JSON only"]


def tokenizer(template: str | None) -> PreTrainedTokenizerFast:
    """Of bytes, with some merges."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=alphabet, special_tokens=SPECIAL, show_progress=False
    )
    made.train_from_iterator(_WORDS * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", chat_template=template)


def causal(
    path: Path, family: str = "llama", *, template: str | None = TEMPLATE, context: int = 4096, **more: Any
) -> Path:
    """A model in directory ``path``: ``llama``, ``gpt2``, or ``mistral`` with a window of 16 tokens."""
    torch.manual_seed(0)
    words = tokenizer(template)
    words.save_pretrained(path)
    size = {"vocab_size": len(words), "bos_token_id": 0, "eos_token_id": 0}
    common = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": context, "initializer_range": 0.5,
    }  # fmt: skip
    model: Any
    if family == "gpt2":
        model = GPT2LMHeadModel(
            GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=context, initializer_range=0.5, **size, **more)
        )
    elif family == "mistral":
        model = MistralForCausalLM(MistralConfig(sliding_window=16, **common, **size, **more))
    else:
        model = LlamaForCausalLM(LlamaConfig(**{**common, **size, **more}))
    model.save_pretrained(path)
    return path
