"""Judging a classifier: metrics, intervals, reports."""
