"""The environment variables that configure Flightplan: their types, defaults and limits."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent
DEFAULT_PORTS = {"http": 80, "https": 443}
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: In TRUSTED_PROXIES: a proxy that connects over a Unix socket and therefore has no address.
UNIX = "unix"


class BadEnvironment(ImproperlyConfigured):
    """One or more environment variables cannot be used; the message has one line for each."""


def _words(text: object) -> object:
    return [word.strip() for word in text.split(",") if word.strip()] if isinstance(text, str) else text


def _upper(text: object) -> object:
    return text.strip().upper() if isinstance(text, str) else text


def _database(url: str) -> str:
    engine = dj_database_url.parse(url)["ENGINE"] if url else "sqlite3"
    if engine not in ("sqlite3", "django.db.backends.sqlite3", "django.db.backends.postgresql"):
        raise ValueError(engine)
    return url


def _latency(text: str) -> str:
    if text not in ("", "realistic") and not 0 <= float(text) <= 100:
        raise ValueError(text)
    return text


def _origins(origins: list[str]) -> list[str]:
    for origin in origins:
        parts = urlsplit(origin)
        if (
            parts.scheme not in DEFAULT_PORTS
            or f"{parts.scheme}://{parts.netloc}" != origin
            or parts.port == 0
        ):
            raise ValueError(origin)
    return origins


def _public_url(url: str) -> str:
    """Return the URL as browsers write it: lower case, no default port, no slash at the end."""
    if not url:
        return ""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        raise ValueError(url)
    if parts.query or parts.fragment or not re.fullmatch(r"(/[\w~-][\w.~-]*)*", path, re.ASCII):
        raise ValueError(url)
    host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    if not re.fullmatch(r"[\w.-]+|\[[\da-f:.]+\]", host, re.ASCII):
        raise ValueError(url)
    port = "" if parts.port in (None, DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{path}"


def _networks(text: object) -> object:
    words = _words(text)
    if not isinstance(words, list):
        return words
    return [UNIX if word == UNIX else ipaddress.ip_network(word) for word in words]


Words = Annotated[list[str], NoDecode, BeforeValidator(_words)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False, description="a number of seconds greater than 0")]


class Environment(BaseSettings):
    """Every setting of an installation. A variable that is empty counts as unset.

    Each field is read from the variable of the same name in upper case. `description` completes the
    sentence "it must be ..." of the error message; fields marked `repr=False` hold secrets, and their
    values are never shown.
    """

    model_config = SettingsConfigDict(
        alias_generator=str.upper, case_sensitive=True, env_ignore_empty=True, extra="ignore", frozen=True
    )

    secret_key: str = Field("", repr=False)
    debug: bool = Field(False, description="1 or 0")
    allowed_hosts: Words = ["localhost", "127.0.0.1", "[::1]"]
    csrf_trusted_origins: Annotated[Words, AfterValidator(_origins)] = Field(
        [], description="a list of origins such as https://flightplan.example.com, separated by commas"
    )
    database_url: Annotated[str, AfterValidator(_database)] = Field(
        "", repr=False, description="an address such as postgres://user@host:5432/name"
    )
    tool_servers: str = ""
    data_dir: Path = BASE_DIR / "var"
    admin_password: str = Field("", repr=False)
    retry_backoff: float = Field(
        1, ge=0, allow_inf_nan=False, description="a number of seconds, 0 or greater"
    )
    lease_seconds: Seconds = 30
    jobs_at_once: int = Field(16, ge=1, description="a whole number, 1 or greater")
    public_url: Annotated[str, AfterValidator(_public_url)] = Field(
        "", description="an address such as https://flightplan.example.com, with no query"
    )
    trusted_proxies: Annotated[list[Network | Literal["unix"]], NoDecode, BeforeValidator(_networks)] = Field(
        [], description='a list of IP addresses, networks such as 10.0.0.0/8 and "unix", separated by commas'
    )
    stuck_seconds: Seconds = 300
    retention_days: int = Field(90, ge=0, description="a whole number of days, 0 or greater")
    local_latency: Annotated[str, AfterValidator(_latency)] = Field(
        "", description='"realistic" or a number from 0 to 100'
    )
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)
    ] = Field("WARNING", description="DEBUG, INFO, WARNING, ERROR or CRITICAL")


def read_environment() -> Environment:
    """Return the settings of this process. Raises BadEnvironment, which names every bad variable."""
    try:
        return Environment()
    except ValidationError as error:
        bad = {str(fault["loc"][0]) for fault in error.errors(include_input=False)}
    fields = {name.upper(): field for name, field in Environment.model_fields.items()}
    raise BadEnvironment(
        "\n".join(
            f"{name} is {os.environ.get(name)!r}; it must be {field.description}"
            if field.repr
            else f"{name} cannot be used; it must be {field.description}"
            for name, field in fields.items()
            if name in bad
        )
    )
