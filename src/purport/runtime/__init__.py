"""Everything that predicting needs, without any training library."""
