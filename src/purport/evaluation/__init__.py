"""Evaluating classifiers and datasets: metrics, intervals, reports."""
