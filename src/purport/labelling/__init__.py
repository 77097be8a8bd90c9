"""Labels for texts that have none, from any bundle: the most typical texts first, in a table ready for training."""
