"""From a dataset and a recipe to a bundle, in named steps."""
