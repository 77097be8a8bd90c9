"""Who may ask, for what, and how often: a mistake here lets strangers in, or keeps customers out."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import Any

import pytest

from purport import registry
from purport.errors import Forbidden, RateLimited, SettingsError, Unauthenticated
from purport.serving.access import Access, Keys, Principal
from purport.serving.rates import RateLimiter, parse_rate
from purport.settings import ServerSettings, load
from purport.testing import check_authenticator


class Clock:
    """The time that a test says it is."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


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


def ask_fast(access: Access, client: str) -> None:
    """The same with a wrong key, and without an event loop for each."""
    scope = {"type": "http", "client": (client, 50_000), "headers": [(b"x-api-key", b"wrong")]}
    with pytest.raises(StopIteration):
        access.permit(scope, "intent").send(None)


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
    access = Access(settings("plain,reader@intent,ops@models"))
    assert ask(access, "intent", x_api_key="reader").id == named("reader")
    assert ask(access, "models", x_api_key="ops").id == named("ops")
    for key, permission in [("reader", "classify"), ("reader", "models"), ("ops", "intent"), ("plain", "spell")]:
        with pytest.raises(Forbidden, match=f"lacks the permission {permission}"):
            ask(access, permission, x_api_key=key)


def test_a_key_without_permissions_may_ask_but_not_change_models() -> None:
    access = Access(settings("plain"))
    for permission in ("intent", "classify"):
        assert not ask(access, permission, x_api_key="plain").anonymous
    with pytest.raises(Forbidden, match="lacks the permission models"):
        ask(access, "models", x_api_key="plain")


@pytest.mark.parametrize(
    ("keys", "entry"),
    [("@intent", 1), ("key@", 1), ("key@@models", 1), ("good,@models", 2), ("@", 1),
     (",", 1), (" ", 1), ("good,", 2), ("good, ,other", 2), ("good,\n", 2)],
)  # fmt: skip
def test_keys_that_are_not_complete_stop_the_start(keys: str, entry: int) -> None:
    with pytest.raises(SettingsError, match=f'entry {entry} is not complete; write "key" or "key@permission"'):
        Keys(settings(keys))


def test_repeated_keys_and_unknown_permissions_stop_the_start() -> None:
    with pytest.raises(SettingsError, match=r'entry 1 has the unknown permission "clasify". Did you mean "classify"'):
        Keys(settings("hunter2@intent@clasify"))
    with pytest.raises(SettingsError, match="entry 2 repeats a key") as repeated:
        Keys(settings("hunter2@intent,hunter2@models"))
    # "@" in a key splits it: its second half must not be told.
    with pytest.raises(SettingsError, match="entry 1 has an unknown permission; known are intent, classify") as split:
        Keys(settings("hunter2@s3cr3t"))
    for refused in (repeated, split):
        assert "hunter2" not in str(refused.value) and "s3cr3t" not in str(refused.value)
    with pytest.raises(SettingsError):
        Keys(settings("hunter2@*"))


def test_a_permission_of_a_third_party_is_known_where_it_is_registered() -> None:
    assert "spell" in registry.names("permissions")
    access = Access(settings("clerk@spell,plain"))
    assert ask(access, "spell", x_api_key="clerk").id == named("clerk")
    with pytest.raises(Forbidden):
        ask(access, "spell", x_api_key="plain")


def test_blanks_around_keys_mean_nothing() -> None:
    access = Access(settings(" a@intent , b@classify\n"))
    assert ask(access, x_api_key="a").id == named("a") and ask(access, "classify", x_api_key="b").id == named("b")


def test_keys_keep_the_contract_of_authenticators() -> None:
    check_authenticator(Keys(settings("secret")), credential="secret", wrong="wrong")
    check_authenticator(Keys(settings("secret")), credential="secret", wrong=None)


def test_an_unknown_authenticator_or_rate_stops_the_start() -> None:
    with pytest.raises(SettingsError, match='Did you mean "keys"'):
        Access(settings(authenticator="kyes"))
    with pytest.raises(SettingsError, match='write, for example, "100/minute", not "often"'):
        Access(settings(rate_limit="often"))


def test_rates_that_allow_nothing_stop_the_start() -> None:
    for rate in ("0/minute", "-1/minute", "minute", "/", "9/minute;1/second"):
        with pytest.raises(SettingsError, match="rate_limit: write"):
            Access(settings(rate_limit=rate))


def test_who_asks_too_often_is_told_when_to_come_back(clock: Clock) -> None:
    access = Access(settings(rate_limit="2/minute"), clock)
    ask(access)
    clock.now += 10
    ask(access)
    with pytest.raises(RateLimited, match="Rate limit exceeded \\(2 per 1 minute") as refused:
        ask(access)
    assert refused.value.retry_after == pytest.approx(20), "one of two comes back in half a minute, 10 s have passed"
    clock.now += 19
    with pytest.raises(RateLimited):
        ask(access)
    clock.now += 1
    ask(access)
    clock.now += 3600
    for _ in range(2):
        ask(access)
    with pytest.raises(RateLimited):
        ask(access)


def test_a_clock_that_somebody_sets_locks_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real, jump = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    access = Access(settings(rate_limit="1/second"))
    ask(access)
    jump = -86_400.0
    with pytest.raises(RateLimited) as refused:
        ask(access)
    assert refused.value.retry_after and refused.value.retry_after <= 1
    jump = 86_400.0
    with pytest.raises(RateLimited):
        ask(access)
    time.sleep(refused.value.retry_after)
    ask(access)


def test_a_limit_counts_texts_and_not_requests(clock: Clock) -> None:
    access = Access(settings(rate_limit="10/minute"), clock)
    principal = ask(access)
    access.count(principal, 5, counted=1)
    with pytest.raises(RateLimited, match="exceeded") as refused:
        access.count(principal, 6)
    assert refused.value.retry_after == pytest.approx(6)
    access.count(principal, 5)
    with pytest.raises(RateLimited, match=r"11 texts are more than the rate limit .* ever allows") as never:
        access.count(principal, 11, counted=1)
    assert never.value.retry_after
    Access(settings()).count(principal, 1_000_000)


def test_guessing_keys_is_limited_by_address(clock: Clock) -> None:
    access = Access(settings("secret,another"), clock)
    ask(access, x_api_key="secret")
    refusals = []
    for number in range(40):
        with pytest.raises((Unauthenticated, RateLimited)) as refused:
            ask(access, x_api_key=f"wrong {number}")
        refusals.append(refused.value)
    assert [type(each) for each in refusals] == [Unauthenticated] * 20 + [RateLimited] * 20
    assert refusals[-1].retry_after == pytest.approx(3)
    with pytest.raises(RateLimited, match="wrong keys"):
        ask(access, x_api_key="another")  # or a guess would be told as fast as before
    ask(access, x_api_key="secret")  # who was known before is answered
    ask(access, x_api_key="another", client="10.0.0.2")
    with pytest.raises(Unauthenticated, match="Send a key"):
        ask(access)
    clock.now += 3
    ask(access, x_api_key="another")


def test_a_site_of_ipv6_counts_as_one_client_and_a_mapped_address_as_ipv4(clock: Clock) -> None:
    access = Access(settings(rate_limit="1/hour"), clock)
    for first, second in [("2001:db8::1", "2001:db8::ffff:2"), ("::ffff:10.0.0.9", "10.0.0.9")]:
        ask(access, client=first)
        with pytest.raises(RateLimited):
            ask(access, client=second)
    ask(access, client="2001:db8:0:1::1")
    ask(access, client="::ffff:10.0.0.10")


def test_what_is_kept_of_clients_is_bounded(clock: Clock) -> None:
    limiter = RateLimiter(clock, most=100)
    rate = parse_rate("1/minute")
    for number in range(1_000):
        assert limiter.take(rate, f"client {number}") == 0.0
    assert len(limiter) == 100
    assert limiter.take(rate, "client 999") > 0, "those who asked last are remembered"
    access = Access(settings("secret", rate_limit="1/minute"), clock)
    for number in range(20_000):
        with pytest.raises(Unauthenticated):
            ask_fast(access, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(access._wrong) <= 16_384


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
