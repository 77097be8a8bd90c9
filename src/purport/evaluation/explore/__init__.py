"""Exploratory analysis of a dataset: what is in it, per split and side by side."""
