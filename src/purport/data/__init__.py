"""Reads labelled utterances: files, named datasets, splits."""
