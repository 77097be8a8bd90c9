"""Trains a bundle from a dataset and a recipe, in named steps."""
