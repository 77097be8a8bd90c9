"""Settings of long-running processes: flag > ``PURPORT_*`` environment > ``purport.toml`` > default."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from ipaddress import ip_network
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
from .invalid import Problem, problems
from .wording import nearest

FILE = "purport.toml"
CLIENT_KEY = "PURPORT_API_KEY"
"""The variable with the key that a client sends."""
UNIX = "unix"
"""What stands for the address of a client of the Unix socket."""
_PREFIX = "PURPORT_"
_PREFIX_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+/?|/")
# Read by commands other than the server, or by deploy/compose.
PROVIDER_URLS = "PURPORT_PROVIDER_URLS"
"""Allows bundles to ask language models at other addresses than the vendors' own and this machine."""
LOCAL_MODELS = "PURPORT_LOCAL_MODELS"
"""The directory where the language models are that bundles run in this process, if they are not where they were."""
_ELSEWHERE = {
    "PURPORT_DATA_DIR",
    CLIENT_KEY,
    PROVIDER_URLS,
    LOCAL_MODELS,
    "PURPORT_IMAGE",
    "PURPORT_PUBLISH",
    "PURPORT_MEMORY",
}
_SERVICE = re.compile(r"PURPORT_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")


class ServerSettings(BaseSettings):
    """All settings of ``purport serve``."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid", toml_file=FILE)

    bundle: str = Field(
        "atis", description="Directory of a bundle, or a shipped name; write several as NAME=DIR,NAME=DIR"
    )
    host: str = Field(
        "127.0.0.1",
        description="Addresses or names to listen on, separated by commas; 0.0.0.0 for all interfaces, :: for IPv6 too",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one")
    models_dir: str = Field(
        "", description="Directory whose bundles PUT /v1/models/NAME may load, beside those named at the start"
    )
    review_dir: str = Field(
        "",
        description="Directory with the review queues and fix plans of the web app; by default purport/review in the "
        "user's data directory",
    )
    reports_dir: str = Field(
        "", description="Directory with pages of evaluate, explore, compare and doctor, which the web app shows"
    )
    require_signature: str = Field(
        "", description="Comma-separated files with public keys (purport sign); only bundles signed by one are loaded"
    )
    unix_socket: str = Field("", description="Path of a Unix socket to listen on instead of host and port")
    root_path: str = Field("", description="Path prefix that a proxy strips, such as /purport")
    keep_alive_seconds: int = Field(
        75, ge=1, description="Seconds that a connection may stay idle between requests; more than in a proxy in front"
    )
    device: str = Field("cpu", description="Device to run on: cpu or cuda")
    workers: int = Field(0, ge=0, description="Worker processes; 0 means one per usable CPU if memory allows")
    threads: int = Field(1, ge=1, description="Threads per worker; more than 1 only helps long texts on idle cores")
    cache: int = Field(10_000, ge=0, description="Answers to cache; 0 disables the cache")
    cache_bytes: int = Field(67_108_864, ge=1, description="Memory for cached answers in bytes")
    max_body_bytes: int = Field(65_536, ge=1, description="Largest request body in bytes; a larger one gets 413")
    max_bulk_bytes: int = Field(
        4_194_304,
        ge=1,
        le=16_777_216,
        description="Largest body of POST /v1/classify and /v1/systemone; a larger one gets 413",
    )
    queue_limit: int = Field(2_048, ge=1, description="Requests that may wait for a worker; further ones get 503")
    deadline_ms: int = Field(5_000, ge=1, description="Time limit of a request in milliseconds; a slower one gets 504")
    rate_limit: str = Field("", description='Texts per client, e.g. "100/minute"; further ones get 429')
    api_keys: SecretStr = Field(
        SecretStr(""),
        description='Comma-separated "key" or "key@permission@permission"; a key without permissions may ask, but not '
        "change models",
    )
    trusted_proxies: str = Field(
        "",
        description="Comma-separated addresses or networks of the proxies whose X-Forwarded-For is believed; unix for "
        "those who connect to the Unix socket",
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

    @field_validator("review_dir", "reports_dir")
    @classmethod
    def _is_no_file(cls, value: str) -> str:
        try:
            is_file = bool(value) and not stat.S_ISDIR(Path(value).stat().st_mode)
        except FileNotFoundError:
            return value
        except OSError as error:
            raise ValueError(f"{value} cannot be looked at ({error.strerror})") from None
        if is_file:
            raise ValueError(f"{value} is not a directory; name one, which need not be there yet")
        return value

    @field_validator("root_path")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if value and not _PREFIX_PATH.fullmatch(value):
            raise ValueError(f'"{value}" is not a path; write, for example, /purport')
        return value.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        networks = [part.strip() for part in value.split(",")] if value.strip() else []
        for network in networks:
            if network == UNIX:
                continue
            try:
                ip_network(network)
            except ValueError:
                raise ValueError(
                    f'"{network}" is not an address or a network; write, for example, 10.0.0.7 or 10.0.0.0/24'
                ) from None
        return ",".join(networks)

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
        found = problems(error, ServerSettings)
        by_flag = all(problem.key in given for problem in found)
        told = "\n".join(_told(problem, given) for problem in found)
        raise (FlagInvalid if by_flag else SettingsError)(told) from None
    except ValueError as error:  # tomllib
        raise SettingsError(f"{FILE} is not valid TOML: {error}") from None


def origins(flags: Mapping[str, Any] | None = None) -> list[Origin]:
    """Each effective setting, and where it came from."""
    settings = load(flags)
    found = dict.fromkeys(ServerSettings.model_fields, "default")
    found |= dict.fromkeys(TomlConfigSettingsSource(ServerSettings)(), str(Path(FILE).resolve()))
    found |= {name: f"environment {variable(name)}" for name in EnvSettingsSource(ServerSettings)()}
    found |= {name: "flag" for name, value in (flags or {}).items() if value is not None}
    return [
        Origin(name, str(getattr(settings, name)), found[name], field.description or "")
        for name, field in ServerSettings.model_fields.items()
    ]


@dataclass(frozen=True, slots=True)
class Unread:
    """An environment variable that begins with ``PURPORT_`` and that nothing reads."""

    name: str
    meant: str | None
    """The variable of the setting that its name resembles."""

    def __str__(self) -> str:
        if self.meant:
            return f"nothing reads the variable {self.name}. Did you mean {self.meant}?"
        return f"nothing reads the variable {self.name}; `purport config` lists the settings"


def unread_variables(environment: Mapping[str, str]) -> list[Unread]:
    """The variables with our prefix that are no settings of the server and that no other command reads."""
    fields = ServerSettings.model_fields
    read = {*map(variable, fields), *_ELSEWHERE}
    found = []
    for name, value in sorted(environment.items()):
        if name.upper().startswith(_PREFIX) and name.upper() not in read and not _of_service(name, value):
            near = nearest(name[len(_PREFIX) :].lower(), fields)
            found.append(Unread(name, near and variable(near)))
    return found


def require_meant(environment: Mapping[str, str]) -> list[Unread]:
    """Those of :func:`unread_variables` that resemble no setting.

    Raises:
        SettingsError: one resembles a setting, which would silently keep its default.
    """
    unread = unread_variables(environment)
    if misspelt := [each for each in unread if each.meant]:
        raise SettingsError("\n".join(map(str, misspelt)))
    return unread


def forget_secrets(environment: MutableMapping[str, str]) -> None:
    """Remove the secrets from ``environment``, so that no process which is started from now on inherits them."""
    secrets = {variable(name) for name, field in ServerSettings.model_fields.items() if field.annotation is SecretStr}
    for name in [name for name in environment if name.upper() in secrets | {CLIENT_KEY}]:
        del environment[name]


def variable(name: str) -> str:
    """The environment variable of the setting ``name``."""
    return f"{_PREFIX}{name.upper()}"


def _of_service(name: str, value: str) -> bool:
    """Whether Kubernetes sets it, for a Service whose name begins with ``purport``."""
    return bool(_SERVICE.fullmatch(name)) or (name.endswith("_PORT") and "://" in value)


def _told(problem: Problem, given: Mapping[str, Any]) -> str:
    name = problem.key
    if problem.unknown:
        return f'{FILE}: unknown setting "{name}".{did_you_mean(name, ServerSettings.model_fields)}'
    return problem.at(f"--{name.replace('_', '-')}" if name in given else f"{name} ({variable(name)} or {FILE})")
