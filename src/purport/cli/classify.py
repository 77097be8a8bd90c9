"""``purport classify``."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Annotated

import typer

from .options import Threshold, TopK

_CHUNK = 256


def classify(
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="Texts to classify. If none are given, standard input is read, one text per line."),
    ] = None,
    url: Annotated[str, typer.Option(help="Address of the server.")] = "http://127.0.0.1:8000",
    model: Annotated[
        str | None, typer.Option(help="Name of a model on the server. Default: the server's default model.")
    ] = None,
    top_k: TopK = 3,
    threshold: Threshold = None,
    api_key: Annotated[str | None, typer.Option(envvar="PURPORT_API_KEY", help="API key for the server.")] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Timeout of each attempt, in seconds.")] = 10.0,
    retries: Annotated[int, typer.Option(min=0, help="Retries when the server is busy or unreachable.")] = 4,
) -> None:
    """Classify texts with a running server.

    Prints one JSON object per text, in order. Exits with 1 if any text failed.

    Examples:

        purport classify "flights from boston to denver and the fares"

        purport classify --url http://intents:8000 --top-k 1 < questions.txt
    """
    from ..client import Client
    from ..errors import ServerError
    from ..prediction import AnswerOptions, encode
    from ..wording import json_line

    options = AnswerOptions(top_k)
    lines = iter(texts) if texts else (line.rstrip("\n") for line in sys.stdin)
    failed = False
    with Client(url, api_key=api_key, timeout=timeout, retries=retries) as client:
        while chunk := list(islice(lines, _CHUNK)):
            try:
                answers = client.classify(chunk, model=model, top_k=top_k, threshold=threshold)
            except ServerError as error:
                if error.status != 401:
                    raise
                raise ServerError(
                    401, "", f"{str(error).rstrip('.')}; pass the right --api-key, or set PURPORT_API_KEY"
                ) from None
            for text, answer in zip(chunk, answers, strict=True):
                if isinstance(answer, ServerError):
                    failed, fields = True, {"error": str(answer)}
                else:
                    fields = {**encode(answer, options), "bundle": answer.bundle}
                typer.echo(json_line({"text": text, **fields}))
    if failed:
        raise typer.Exit(1)
