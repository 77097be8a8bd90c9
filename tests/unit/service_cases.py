"""What holds of the provider of every service, whatever its protocol."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from purport.errors import ProviderError
from purport.kinds.llm.model import LlmScorer

from .scripted_llm import Script

Make = Callable[..., LlmScorer]
"""Makes a scorer that asks a script."""


def a_redirect_takes_no_text_elsewhere(script: Script, make: Make, path: str) -> None:
    script.faults += [(307, b"", {"Location": script.url.replace("127.0.0.1", "localhost") + path})]
    with pytest.raises(ProviderError, match="answers 307"):
        make(script).score(["i want to fly"])
    assert len(script.asked) == 1


def a_service_that_is_not_there_is_said_to_be_unreachable(script: Script, make: Make) -> None:
    with pytest.raises(ProviderError, match="cannot be reached"):
        make(script, base_url="http://127.0.0.1:9", retries=0).score(["i want to fly"])
