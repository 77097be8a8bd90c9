"""Settings of long-running processes: flag > ``PURPORT_*`` environment > ``purport.toml`` > default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from .errors import FlagInvalid, SettingsError, did_you_mean

FILE = "purport.toml"


class ServerSettings(BaseSettings):
    """All settings of ``purport serve``."""

    model_config = SettingsConfigDict(env_prefix="PURPORT_", extra="forbid", toml_file=FILE)

    bundle: str = Field(
        "atis", description="Directory of a bundle, or a shipped name; write several as NAME=DIR,NAME=DIR"
    )
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all interfaces")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one")
    device: str = Field("cpu", description="Device to run on: cpu or cuda")
    workers: int = Field(0, ge=0, description="Worker processes; 0 means one per usable CPU if memory allows")
    threads: int = Field(1, ge=1, description="Threads per worker; more than 1 only helps long texts on idle cores")
    cache: int = Field(10_000, ge=0, description="Answers to cache per bundle; 0 disables the cache")
    max_body_bytes: int = Field(65_536, ge=1, description="Largest request body in bytes; a larger one gets 413")
    max_bulk_bytes: int = Field(4_194_304, ge=1, description="Largest body of POST /v1/classify; a larger one gets 413")
    queue_limit: int = Field(2_048, ge=1, description="Requests that may wait for a worker; further ones get 503")
    deadline_ms: int = Field(5_000, ge=1, description="Time limit of a request in milliseconds; a slower one gets 504")
    rate_limit: str = Field("", description='Limit per client, e.g. "100/minute"; further requests get 429')
    api_keys: SecretStr = Field(
        SecretStr(""), description='Comma-separated "key" or "key@permission"; POST /intent needs the permission intent'
    )
    authenticator: str = Field("keys", description="How clients are identified: a name in purport.authenticators")
    drain_seconds: float = Field(1.0, ge=0, description="Seconds that /ready returns 423 between SIGTERM and shutdown")
    access_log: bool = Field(True, description="Log each request")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest severity to log")
    debug: bool = Field(False, description="Include the exception's text in 500 responses")

    @field_validator("port", mode="before")
    @classmethod
    def _not_a_service_link(cls, value: Any) -> Any:
        # Kubernetes sets PURPORT_PORT=tcp://… for a Service called purport; that is not this setting.
        return 8000 if isinstance(value, str) and value.startswith("tcp://") else value

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        """Flags first, then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


@dataclass(frozen=True, slots=True)
class Origin:
    """A setting's value as text (secrets hidden) and where it came from."""

    name: str
    value: str
    source: str
    description: str


def load(flags: Mapping[str, Any] | None = None) -> ServerSettings:
    """The effective settings; ``flags`` that are ``None`` were not given.

    Raises:
        FlagInvalid: an invalid value of a flag.
        SettingsError: another invalid value, or an unknown key in ``purport.toml``.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return ServerSettings(**given)
    except ValidationError as error:
        problems = "\n".join(_problem(item, given) for item in error.errors())
        by_flag = all(item["loc"][0] in given for item in error.errors())
        raise (FlagInvalid if by_flag else SettingsError)(problems) from None
    except ValueError as error:  # tomllib
        raise SettingsError(f"{FILE} is not valid TOML: {error}") from None


def origins(flags: Mapping[str, Any] | None = None) -> list[Origin]:
    """Each effective setting, and where it came from."""
    settings = load(flags)
    found = dict.fromkeys(ServerSettings.model_fields, "default")
    found |= dict.fromkeys(TomlConfigSettingsSource(ServerSettings)(), str(Path(FILE).resolve()))
    found |= {name: f"environment PURPORT_{name.upper()}" for name in EnvSettingsSource(ServerSettings)()}
    found |= {name: "flag" for name, value in (flags or {}).items() if value is not None}
    return [
        Origin(name, str(getattr(settings, name)), found[name], field.description or "")
        for name, field in ServerSettings.model_fields.items()
    ]


def _problem(item: Any, given: Mapping[str, Any]) -> str:
    name = str(item["loc"][0])
    if item["type"] == "extra_forbidden":
        return f'{FILE}: unknown setting "{name}".{did_you_mean(name, ServerSettings.model_fields)}'
    where = f"--{name.replace('_', '-')}" if name in given else f"{name} (PURPORT_{name.upper()} or {FILE})"
    return f"{where}: {item['msg']}"
