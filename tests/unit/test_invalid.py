"""What a user reads about a wrong value: one plain sentence, nothing of the library that found it, and no secret."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from purport.invalid import problems


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int | Literal["auto"] = 1


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid")
    share: str | Annotated[float, Field(gt=0, lt=1)] = 0.1
    names: tuple[str, ...] | Literal["numbers"] = ()
    inner: Inner | None = None
    many: list[Inner] = []
    secret: SecretStr = SecretStr("")
    own: str = ""
    by_name: dict[str, int] = Field({"a": 1}, min_length=1, max_length=2)
    few: list[int] = Field([1], min_length=1, max_length=2)

    @field_validator("own")
    @classmethod
    def _own(cls, value: str) -> str:
        if value:
            raise ValueError("own and share exclude each other; remove one")
        return value


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"share": 2}, ['"share" must be a string or a number below 1, not 2']),
        ({"share": [1]}, ['"share" must be a string or a number, not a list']),
        ({"names": ["a", 1]}, ['item 2 of "names" must be a string, not 1']),
        ({"names": 1}, ['"names" must be a list or "numbers", not 1']),
        ({"inner": 1}, ['"inner" must be a table of keys and values, not 1']),
        ({"inner": {"size": "x"}}, ['"inner.size" must be a whole number or "auto", not "x"']),
        ({"many": [{}, {"size": None}]}, ['item 2 of "many.size" must be a whole number or "auto", not null']),
        ({"secret": ["hunter2"]}, ['"secret" must be a string']),
        ({"own": "x"}, ['"own": own and share exclude each other; remove one']),
        ({"own": [], "secret": 3}, ['"secret" must be a string', '"own" must be a string, not a list']),
        ({"names": "x" * 1_000}, ['"names" must be a list or "numbers", not "' + "x" * 60 + '"...']),
        ({"by_name": {}}, ['"by_name" must be a table of at least 1, not 0']),
        ({"by_name": dict.fromkeys("abc", 1)}, ['"by_name" must be a table of at most 2, not 3']),
        ({"few": []}, ['"few" must be a list of at least 1, not 0']),
        ({"few": [1, 2, 3]}, ['"few" must be a list of at most 2, not 3']),
        ({"names": "\ud800"}, [r'"names" must be a list or a string of Unicode characters, not "\ud800"']),
        ({"names": "\x9b"}, [r'"names" must be a list or "numbers", not "\x9b"']),
    ],
)  # fmt: skip
def test_each_key_gets_one_plain_sentence(fields: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Document.model_validate(fields)
    assert [str(problem) for problem in problems(caught.value, Document)] == said


def test_an_unknown_key_comes_with_those_that_there_are() -> None:
    with pytest.raises(ValidationError) as caught:
        Document.model_validate({"inner": {"sice": 1}, "shares": 2})
    inner, outer = problems(caught.value, Document)
    assert (inner.unknown, inner.key, inner.known) == (True, "inner.sice", ("inner.size",))
    assert (outer.unknown, outer.key) == (True, "shares") and "share" in outer.known
