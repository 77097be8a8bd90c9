"""Teaching a bundle examples without training it."""
