"""The frame of the web app."""

from __future__ import annotations

from codecs import BOM_UTF8

import pytest

from purport.ui.site import Site


@pytest.mark.parametrize(
    ("content", "media_type", "sent"),
    [
        ("text\nüber\n".encode(), "text/csv", BOM_UTF8 + "text\nüber\n".encode()),
        (BOM_UTF8 + "text\nüber\n".encode(), "text/csv", BOM_UTF8 + "text\nüber\n".encode()),
        (b"text\nover\n", "text/csv", b"text\nover\n"),
        ('{"text": "über"}\n'.encode(), "application/jsonl", '{"text": "über"}\n'.encode()),
    ],
)
def test_a_spreadsheet_reads_the_umlauts_of_a_table(content: bytes, media_type: str, sent: bytes) -> None:
    answer = object.__new__(Site).download(content, "answers.csv", media_type)
    assert answer.body == sent and "answers.csv" in answer.headers["Content-Disposition"]
