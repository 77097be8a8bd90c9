"""What answering needs, without any training library."""
