"""Why a classifier answers as it does: what each word of a text contributes, and what stands beside that."""
