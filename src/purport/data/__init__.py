"""Reading labelled utterances: files, named datasets, splits."""
