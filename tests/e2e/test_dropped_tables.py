"""A table that is not UTF-8, dropped on a page whose model knows no encoding: the person chooses by a word."""

from __future__ import annotations

import html
import re
from pathlib import Path

import httpx
import pytest

from purport import Bundle

from .conftest import Starter, until

TABLE = "Text;Nr\r\nich möchte meine Lampe;1\r\nwo ist sie;2\r\n".encode("cp1252")


@pytest.mark.parametrize(("page", "ready"), [("batch", "ich möchte meine Lampe"), ("review", "Ablage")])
def test_the_encoding_is_chosen_beside_the_error(
    page: str, ready: str, start: Starter, linear_bundle: Bundle, tmp_path: Path
) -> None:
    with (
        start(f"shop={linear_bundle.path}", PURPORT_REVIEW_DIR=str(tmp_path)) as server,
        httpx.Client(base_url=server.url, follow_redirects=True) as client,
    ):
        answer = client.post(f"/ui/{page}", data={"model": "shop", "below": "1"}, files={"file": ("Ablage.csv", TABLE)})
        address = answer.url

        def asked() -> bool:
            return "Encoding" in client.get(address).text

        until(asked)
        answer = client.get(address)
        shown = html.unescape(answer.text)
        assert answer.status_code == 400 and "--encoding" not in shown, "no option of a command line"
        assert "Ablage.csv was not saved as UTF-8" in shown and "Western European: möchte" in shown
        action = re.search(r'action="([^"]+/encoding)"', answer.text)
        assert action is not None and action[1] == f"{address.path}/encoding"
        assert client.post(action[1], data={"encoding": "utf-7"}).status_code == 400
        client.post(action[1], data={"encoding": "cp1252"})

        def read() -> bool:
            found = client.get(address)
            return found.status_code == 200 and ready in html.unescape(found.text) and "Reading" not in found.text

        until(read)
        assert client.post(action[1], data={"encoding": "cp1252"}).status_code == 400, "it is read already"
