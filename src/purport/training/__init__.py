"""From a dataset and a recipe to a bundle. Only here are torch, transformers, peft and sklearn imported."""
