"""The training component alone: train the linear kind, and open what the encoder kind needs."""

import tempfile
from pathlib import Path

from purport import load_recipe, train
from purport.kinds.encoder.network import load_encoder
from purport.kinds.encoder.recipe import EncoderModel
from purport.training.recipe import parse_recipe

with tempfile.TemporaryDirectory() as folder:
    recipe = parse_recipe(
        {
            "kind": "linear",
            "task": "multilabel",
            "data": {"name": "sample", "valid": "valid", "unlabelled": "out_of_scope"},
        }
    )
    bundle = train(recipe, Path(folder, "bundle"))
    assert bundle is not None and bundle.size > 0
assert load_recipe is not None
assert sum(parameter.numel() for parameter in load_encoder(EncoderModel()).parameters()) > 20_000_000
