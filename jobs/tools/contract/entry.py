"""One entry of the tool servers file: its fields, their validation, and the `${VAR}` in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from jobs.tools.contract.spec import SHORTEST_SECRET

# keys of other clients, which are ignored without a warning
TOLERATED = frozenset(
    {"type", "transport", "disabled", "description", "title", "name", "version", "icon", "note", "gallery"}
    | {"autoApprove", "alwaysAllow", "allowedTools", "blockedTools", "trust", "lifecycle", "logging"}
    | {"auth", "oauth", "clientName", "tokenCacheDir", "timeoutMs"}
)
EXPANDED = ("command", "args", "env", "cwd", "headers", "url", "baseUrl", "serverUrl", "bearerToken")
VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class Expansion:
    """Expands `${VAR}` and `${VAR:-default}`. `used`: the values filled in; `faults`: fields that name a
    variable that is not set, each with a message."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.used: set[str] = set()
        self.faults: list[tuple[str, str]] = []

    def fill(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return the entry with the variables in its known fields expanded."""
        token = raw.get("bearerTokenEnv")
        if isinstance(token, str) and not self.environ.get(token):
            self._miss("bearerTokenEnv", token)
        return {key: self._value(value, key) if key in EXPANDED else value for key, value in raw.items()}

    def _value(self, value: Any, path: str) -> Any:
        if isinstance(value, str):
            return VARIABLE.sub(lambda found: self._variable(found, path), value)
        if isinstance(value, list):
            return [self._value(item, f"{path}.{index}") for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {key: self._value(item, f"{path}.{key}") for key, item in value.items()}
        return value

    def _variable(self, found: re.Match[str], path: str) -> str:
        name, default = found.groups()
        if value := self.environ.get(name):
            self.used.add(value)
            return value
        if default is None:
            self._miss(path, name)
        return default or ""

    def _miss(self, path: str, name: str) -> None:
        self.faults.append((path, f"needs the environment variable {name}, which is not set"))


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be text in quotes")
    return value


def _env_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else _text(value)


def _texts(value: object) -> object:
    if not isinstance(value, list):
        raise ValueError("must be a list of strings")
    return value


def _object(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError("must be an object with text values")
    return value


def _count(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("must be a whole number of at least 1")
    return value


def _rate(value: object) -> object:
    if isinstance(value, dict):
        for tool, number in value.items():
            try:
                _count(number)
            except ValueError as error:
                raise ValueError(f"for {tool}: {error}") from None
        return value
    return _count(value)


def _seconds(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 86_400:
        raise ValueError("must be a number of seconds above 0 and below a day")
    return float(value)


def _source(value: object) -> object:
    if value not in ("live", "local", "simulated"):
        raise ValueError("must be one of live, local, simulated")
    return value


def _url(value: object) -> object:
    parts = urlsplit(str(_text(value)))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https address")
    return value


Text = Annotated[str, BeforeValidator(_text)]
Url = Annotated[str, BeforeValidator(_url)]


class Entry(BaseModel):
    """An entry of the file with its variables expanded. Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    command: Text | None = None
    args: Annotated[list[Text], BeforeValidator(_texts)] = Field(default_factory=list)
    env: Annotated[dict[str, Annotated[str, BeforeValidator(_env_text)]], BeforeValidator(_object)] = Field(
        default_factory=dict
    )
    cwd: Text | None = None
    url: Url | None = Field(default=None, validation_alias=AliasChoices("url", "baseUrl", "serverUrl"))
    headers: Annotated[dict[str, Text], BeforeValidator(_object)] = Field(default_factory=dict)
    bearer_token: Text | None = Field(default=None, validation_alias="bearerToken")
    bearer_token_env: Text | None = Field(default=None, validation_alias="bearerTokenEnv")
    concurrency: Annotated[int, BeforeValidator(_count)] | None = None
    per_minute: Annotated[int | dict[str, int], BeforeValidator(_rate)] | None = Field(
        default=None, validation_alias="perMinute"
    )
    timeout: Annotated[float, BeforeValidator(_seconds)] | None = None
    source: Annotated[Literal["live", "local", "simulated"], BeforeValidator(_source)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _check_transport(cls, raw: dict[str, Any]) -> dict[str, Any]:
        ways = [key for key in ("command", "url", "baseUrl", "serverUrl") if raw.get(key)]
        if not ways:
            raise ValueError("must name a command, or a url")
        if "command" in ways and len(ways) > 1:
            raise ValueError(f"must name either a command or a {ways[-1]}, not both")
        if raw.get("type", raw.get("transport")) == "sse":
            raise ValueError("uses the old SSE transport; enter the server's streamable HTTP address")
        return raw

    def all_headers(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the headers to send, with the bearer token unless they include an Authorization header."""
        token = self.bearer_token or environ.get(self.bearer_token_env or "", "")
        if not token or any(name.lower() == "authorization" for name in self.headers):
            return dict(self.headers)
        return {**self.headers, "Authorization": f"Bearer {token}"}

    def secrets(self, headers: Mapping[str, str], used: set[str]) -> frozenset[str]:
        """Return every value that must not be shown: expanded variables, the env, headers and credentials."""
        values = {*used, *self.env.values(), *headers.values()}
        values |= {value.removeprefix("Bearer ") for value in headers.values()}
        parts = urlsplit(self.url or "")
        values |= {parts.query, parts.password or "", parts.username or ""}
        return frozenset(value for value in values if len(value) >= SHORTEST_SECRET)


def names_of(model: type[BaseModel]) -> list[str]:
    """Return the keys that a model reads, as they are written in the file."""
    names: list[str] = []
    for name, info in model.model_fields.items():
        alias = info.validation_alias
        names += (
            [str(one) for one in alias.choices] if isinstance(alias, AliasChoices) else [str(alias or name)]
        )
    return names
