"""Exploratory analysis of a dataset, per split and side by side."""
