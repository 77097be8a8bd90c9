"""What `scripts/reference.py` writes into the pages of the documentation."""
