"""Rows that no check of the doctor minds, for tests that add a defect to them."""

from __future__ import annotations

from purport import Example

NOUNS = ("lamp", "sofa", "chair", "table", "shelf", "mirror", "carpet", "kettle", "rug", "mattress", "cup", "drawer")


def clean() -> list[Example]:
    """Two intents with words of their own."""
    return [
        *(Example(f"when will my {noun} arrive at the {at}", ("track",)) for noun in NOUNS for at in ("door", "shop")),
        *(Example(f"{noun} money back please {verb} soon", ("refund",)) for noun in NOUNS for verb in ("pay", "send")),
    ]
