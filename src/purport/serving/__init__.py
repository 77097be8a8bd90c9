"""The HTTP service. Its contract is fixed: other people's clients depend on it."""
