"""``purport classify``."""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import Annotated

import typer

from .options import Threshold, TopK

_CHUNK = 256


def classify(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts to answer; without any, one per line of standard input.")
    ] = None,
    url: Annotated[str, typer.Option(help="Where the server listens.")] = "http://127.0.0.1:8000",
    model: Annotated[str | None, typer.Option(help="A model of the server. Default: its first.")] = None,
    top_k: TopK = 3,
    threshold: Threshold = None,
    api_key: Annotated[str | None, typer.Option(envvar="PURPORT_API_KEY", help="Key of the server.")] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds that one attempt may take.")] = 10.0,
    retries: Annotated[int, typer.Option(min=0, help="Further attempts when the server is busy or away.")] = 4,
) -> None:
    """Ask a running server; one JSON object per text, in order. Exits with 1 when a text could not be answered.

    Examples:

        purport classify "flights from boston to denver and the fares"

        purport classify --url http://intents:8000 --top-k 1 < questions.txt
    """
    from ..client import Client
    from ..errors import ServerError
    from ..prediction import AnswerOptions, encode

    options = AnswerOptions(top_k)
    lines = iter(texts) if texts else (line.rstrip("\n") for line in sys.stdin)
    failed = False
    with Client(url, api_key=api_key, timeout=timeout, retries=retries) as client:
        while chunk := list(islice(lines, _CHUNK)):
            answers = client.classify(chunk, model=model, top_k=top_k, threshold=threshold)
            for text, answer in zip(chunk, answers, strict=True):
                if isinstance(answer, ServerError):
                    failed, fields = True, {"error": str(answer)}
                else:
                    fields = {**encode(answer, options), "bundle": answer.bundle}
                typer.echo(json.dumps({"text": text, **fields}, ensure_ascii=False))
    if failed:
        raise typer.Exit(1)
