"""``purport classify``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..client import Client
    from ..errors import ServerError
    from ..prediction import Prediction

_CHUNK = 256


def classify(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts to answer; without any, one per line of standard input.")
    ] = None,
    url: Annotated[str, typer.Option(help="Where the server listens.")] = "http://127.0.0.1:8000",
    model: Annotated[str | None, typer.Option(help="A model of the server. Default: its first.")] = None,
    top_k: Annotated[int, typer.Option(min=0, help="So many likeliest labels.")] = 3,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Decide labels from this probability up.")
    ] = None,
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

    lines = iter(texts) if texts else (line.rstrip("\n") for line in sys.stdin)
    failed = 0
    with Client(url, api_key=api_key, timeout=timeout, retries=retries) as client:
        while chunk := [text for _, text in zip(range(_CHUNK), lines, strict=False)]:
            failed += _answer(client, chunk, model, top_k, threshold)
    if failed:
        raise typer.Exit(1)


def _answer(client: Client, chunk: list[str], model: str | None, top_k: int, threshold: float | None) -> int:
    """Print the answers to ``chunk``; returns how many failed."""
    from ..errors import ServerError

    answers = client.classify(chunk, model=model, top_k=top_k, threshold=threshold)
    for text, answer in zip(chunk, answers, strict=True):
        typer.echo(_line(text, answer))
    return sum(isinstance(answer, ServerError) for answer in answers)


def _line(text: str, answer: Prediction | ServerError) -> str:
    import json

    from ..errors import ServerError
    from ..prediction import AnswerOptions, encode

    if isinstance(answer, ServerError):
        fields = {"error": str(answer)}
    else:
        fields = {**encode(answer, AnswerOptions(top_k=len(answer.ranked))), "bundle": answer.bundle}
    return json.dumps({"text": text, **fields}, ensure_ascii=False)
