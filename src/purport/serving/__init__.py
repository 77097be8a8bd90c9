"""The HTTP service. Its contract is fixed, because clients depend on it."""
