"""Who may ask, for what, and how often: a mistake here lets strangers in, or keeps customers out."""

from __future__ import annotations

import asyncio
import hashlib
from types import SimpleNamespace
from typing import Any

import limits.storage.memory
import pytest

from purport.errors import Forbidden, RateLimited, SettingsError, Unauthenticated
from purport.serving.access import Access, Keys, Principal
from purport.settings import ServerSettings, load
from purport.testing import check_authenticator


class Clock:
    """The time that a test says it is."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """One clock for what is asked and for the library that counts, which takes none."""
    found = Clock()
    monkeypatch.setattr(limits.storage.memory, "time", SimpleNamespace(time=found))
    return found


def named(key: str) -> str:
    """The id of the principal with that key, which does not tell the key."""
    return f"key-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def settings(keys: str = "", **others: Any) -> ServerSettings:
    return load({"api_keys": keys, **others})


def ask(access: Access, permission: str = "intent", *, client: str | None = "10.0.0.1", **headers: str) -> Principal:
    """What becomes of a request with ``headers`` (underscores stand for hyphens)."""
    sent = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "client": client and (client, 50_000), "headers": sent}
    return asyncio.run(access.permit(scope, permission))


def test_without_keys_everybody_may_ask_and_nobody_may_change_the_server() -> None:
    access = Access(settings())
    for permission in ("intent", "classify"):
        principal = ask(access, permission)
        assert principal.anonymous and principal.id == "10.0.0.1"
    with pytest.raises(Forbidden, match="start it with PURPORT_API_KEYS=key@models"):
        ask(access, "models")
    with pytest.raises(Forbidden):
        ask(access, "models", authorization="Bearer *")


def test_a_client_without_an_address_may_ask_too() -> None:
    assert ask(Access(settings()), client=None).id == "unknown"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer secret"},
        {"authorization": "bEARER   secret "},
        {"x_api_key": "secret"},
        {"authorization": "Basic dTpw", "x_api_key": "secret"},
        {"authorization": "Bearer ", "x_api_key": "secret"},
        {"authorization": "Bearer secret", "x_api_key": "another"},
        {"x_api_key": "another", "authorization": "Bearer secret"},
    ],
)
def test_a_key_may_be_sent_in_either_header(headers: dict[str, str]) -> None:
    principal = ask(Access(settings("other@models, secret@intent")), **headers)
    assert principal == Principal(named("secret"), frozenset({"intent"}))


def test_a_missing_key_and_a_wrong_one_are_told_apart() -> None:
    access = Access(settings("secret"))
    for headers in ({}, {"x_api_key": ""}, {"authorization": "secret"}, {"authorization": "Basic secret"}):
        with pytest.raises(Unauthenticated, match="Send a key"):
            ask(access, **headers)
    for wrong in ("secre", "secrets", "SECRET", "*", "secret@intent", "s\xe9cret"):
        with pytest.raises(Unauthenticated, match="not valid"):
            ask(access, x_api_key=wrong)


def test_a_key_may_do_what_stands_behind_it_and_nothing_else() -> None:
    access = Access(settings("all,reader@intent@classify"))
    for permission in ("intent", "classify"):
        assert ask(access, permission, x_api_key="reader").id == named("reader")
    with pytest.raises(Forbidden, match="lacks the permission models"):
        ask(access, "models", x_api_key="reader")
    for permission in ("models", "what a third party asks for"):
        assert not ask(access, permission, x_api_key="all").anonymous


@pytest.mark.parametrize("keys", ["@intent", "key@", "key@@models", "good,@models", "@"])
def test_keys_that_cannot_be_read_stop_the_start(keys: str) -> None:
    with pytest.raises(SettingsError, match='write "key" or "key@permission"'):
        Keys(settings(keys))


def test_blanks_and_empty_entries_between_keys_mean_nothing() -> None:
    access = Access(settings(" a@intent ,, b@classify,"))
    assert ask(access, x_api_key="a").id == named("a") and ask(access, "classify", x_api_key="b").id == named("b")
    with pytest.raises(Unauthenticated):
        ask(Access(settings("a,")), x_api_key="")


def test_keys_keep_the_contract_of_authenticators() -> None:
    check_authenticator(Keys(settings("secret")), credential="secret", wrong="wrong")
    check_authenticator(Keys(settings("secret")), credential="secret", wrong=None)


def test_an_unknown_authenticator_or_rate_stops_the_start() -> None:
    with pytest.raises(SettingsError, match='Did you mean "keys"'):
        Access(settings(authenticator="kyes"))
    with pytest.raises(SettingsError, match='write, for example, "100/minute", not "often"'):
        Access(settings(rate_limit="often"))


def test_who_asks_too_often_is_told_when_to_come_back(clock: Clock) -> None:
    access = Access(settings(rate_limit="2/minute"), clock)
    ask(access)
    clock.now += 10
    ask(access)
    clock.now += 20
    with pytest.raises(RateLimited, match="Rate limit exceeded \\(2 per 1 minute") as refused:
        ask(access)
    assert refused.value.retry_after == 30, "the first of the two is a minute old in half a minute"
    clock.now += 29
    with pytest.raises(RateLimited):
        ask(access)
    clock.now += 1.1
    ask(access)


def test_one_client_does_not_use_up_what_another_may_ask(clock: Clock) -> None:
    access = Access(settings("a,b", rate_limit="1/hour"), clock)
    for key in ("a", "b"):
        ask(access, x_api_key=key, client="10.0.0.1")
    for client in ("10.0.0.1", "10.0.0.2"):
        with pytest.raises(RateLimited):
            ask(access, x_api_key="a", client=client)
    nobody = Access(settings(rate_limit="1/hour"), clock)
    for client in ("10.0.0.1", "10.0.0.2"):
        ask(nobody, client=client)
        with pytest.raises(RateLimited):
            ask(nobody, client=client)


def test_what_is_refused_for_another_reason_does_not_count(clock: Clock) -> None:
    access = Access(settings("a@intent", rate_limit="1/hour"), clock)
    for _ in range(3):
        with pytest.raises(Forbidden):
            ask(access, "models", x_api_key="a")
        with pytest.raises(Unauthenticated):
            ask(access, x_api_key="wrong")
    ask(access, x_api_key="a")


def test_a_principal_with_a_rate_of_its_own_has_that_instead_of_the_servers(clock: Clock) -> None:
    access = Access(settings(authenticator="names", rate_limit="1/minute"), clock)
    for _ in range(3):
        ask(access, "spell", x_api_key="clerk")
    with pytest.raises(RateLimited, match="exceeded \\(3 per"):
        ask(access, "spell", x_api_key="clerk")
    ask(access, x_api_key="guest")
    with pytest.raises(RateLimited, match="exceeded \\(1 per"):
        ask(access, x_api_key="guest")
