"""How bundles come to be: one folder for each kind, with its recipe, how it is fitted, and its model."""
