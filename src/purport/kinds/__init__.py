"""The kinds of bundles: one folder per kind, with its recipe, its training code and its model."""
