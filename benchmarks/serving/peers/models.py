"""Models for the peers that serve a Hugging Face directory.

    python models.py hf OUT_DIR      # an encoder as that of the bundle "atis", as BertForSequenceClassification
    python models.py xlmr OUT_DIR    # an encoder of the size of XLM-R base

Both are there for their cost, not for their answers, and neither needs a hub:

- ``hf`` has the layers of MiniLM that the bundle began with, and the head of ``BertForSequenceClassification``. That
  pools the first token through a layer that the bundle does not have; it and the classifier are initialised at random.
  ``model.onnx`` is the same in fp32, ``model_quantized.onnx`` in the int8 of the bundle.
- ``xlmr`` is initialised at random with the configuration of ``xlm-roberta-base`` (278 million parameters, fp32). The
  tokenizer is the bundle's WordPiece, whose ids lie below the 250,002 of XLM-R and whose token counts on short English
  texts are comparable to those of XLM-R's own.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn
from transformers import BertForSequenceClassification, XLMRobertaConfig, XLMRobertaForSequenceClassification

import purport
from purport.kinds.encoder.export import traced
from purport.kinds.encoder.hub import resolve
from purport.kinds.encoder.quantize import quantize

BUNDLE = Path(purport.__file__).parent / "pretrained" / "atis"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=("hf", "xlmr"))
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    manifest = json.loads((BUNDLE / "manifest.json").read_text("utf-8"))
    names = dict(enumerate(manifest["labels"]))
    labels: dict[str, Any] = {
        "id2label": names,
        "label2id": {name: at for at, name in names.items()},
        "problem_type": "multi_label_classification",
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    model = hf(manifest, labels) if arguments.model == "hf" else xlmr(labels)
    model.eval().save_pretrained(arguments.out)
    save_tokenizer(arguments.out, manifest["model"]["max_length"])
    if arguments.model == "hf":
        save_onnx(model, arguments.out)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{arguments.out}: {type(model).__name__}, {parameters:,} parameters")


def hf(manifest: dict[str, Any], labels: dict[str, Any]) -> nn.Module:
    """Some layers of the bundle's encoder under the stock head."""
    kept = manifest["model"]["layers"]
    source = resolve(manifest["model"]["encoder"])
    model = BertForSequenceClassification.from_pretrained(source, dtype=torch.float32, **labels)
    model.bert.encoder.layer = nn.ModuleList(model.bert.encoder.layer[layer] for layer in kept)
    model.config.num_hidden_layers = len(kept)
    for layer in (model.bert.pooler.dense, model.classifier):
        nn.init.normal_(layer.weight, std=model.config.initializer_range)
        nn.init.zeros_(layer.bias)
    return model


def xlmr(labels: dict[str, Any]) -> nn.Module:
    """XLM-R base as it would be before any training."""
    config = XLMRobertaConfig(
        vocab_size=250002,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        **labels,
    )
    return XLMRobertaForSequenceClassification(config)


def save_tokenizer(out: Path, max_length: int) -> None:
    """By hand, so that transformers 4 and 5 both read it."""
    shutil.copy(BUNDLE / "tokenizer.json", out)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": max_length,
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")


def save_onnx(model: nn.Module, out: Path) -> None:
    """fp32 and int8, batch and length dynamic."""
    model.config._attn_implementation = "eager"
    plain = traced(_Logits(model).eval())
    onnx.save(plain, out / "model.onnx")
    quantize(plain)
    onnx.save(plain, out / "model_quantized.onnx")


class _Logits(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
