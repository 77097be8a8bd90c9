"""The OpenAPI document is true to the letter: schemathesis makes requests from it and finds nothing."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, Phase, settings

from .conftest import Server, Starter


def test_schemathesis_finds_nothing(start: Starter, server: Server, linear_bundle) -> None:  # type: ignore[no-untyped-def]
    with start(linear_bundle.path, PURPORT_API_KEYS="boss") as guarded:
        for url, headers in ((server.url, {}), (guarded.url, {"Authorization": "Bearer boss"})):
            schema = schemathesis.openapi.from_url(f"{url}/openapi.json")

            @settings(
                max_examples=50,
                deadline=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @schema.parametrize()
            def ask(case: schemathesis.Case) -> None:
                case.call_and_validate(headers=headers)  # noqa: B023

            for operation in schema.get_all_operations():
                ask(operation.ok())
