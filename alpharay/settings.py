"""Settings of every part, read from the environment (`ALPHARAY_…`) or from the running local stack."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

STATE_FOLDER = ".alpharay"
RAY_ON_LOOPBACK = {
    # Ray replaces 127.0.0.1 by the machine's outer address unless it is told that there is but one machine.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
ENDPOINTS_FILE = "endpoints.env"


SIGNAL_SERVICES = ("orchestrator", "ml", "features", "market-context", "strategies", "risk-check", "analytics")
"""Path prefixes of the signal application; a probe asks each for its health and metrics, without a key."""


class Settings(BaseSettings):
    """Where the services are and how to speak to them.

    A value comes from the environment variable `ALPHARAY_` + its name; where that is not set, from the file
    `endpoints.env` that the local stack writes into its state folder while it is up. Generic names such as
    DATABASE_URL are never read: a demo must not touch another project's database.
    """

    model_config = SettingsConfigDict(env_prefix="ALPHARAY_", extra="ignore", frozen=True)

    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL: postgresql://user:password@host:port/name"
    )
    kafka_bootstrap_servers: str | None = Field(default=None, description="Kafka brokers: host:port[,host:port]")
    kafka_security_protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        default="plaintext", description="how to speak to the brokers: with or without TLS (ssl) and a password (sasl)"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="how the brokers check the password; PLAIN only over TLS"
    )
    kafka_username: str | None = Field(default=None, description="the user of the brokers")
    kafka_password: SecretStr | None = Field(default=None, description="its password")
    kafka_password_file: Path | None = Field(default=None, description="a file with it")
    kafka_ca_file: Path | None = Field(
        default=None, description="the authority that signed the brokers' certificates, PEM; unset: the system's"
    )
    kafka_certificate_file: Path | None = Field(
        default=None, description="the client's own certificate, PEM, where the brokers ask for one"
    )
    kafka_key_file: Path | None = Field(default=None, description="that certificate's key, PEM")
    redis_url: SecretStr | None = Field(default=None, description="Redis or Valkey: redis://:password@host:port/0")
    ray_address: str | None = Field(default=None, description="Ray cluster: host:port of the head, or ray://host:port")
    ray_dashboard_url: str | None = Field(default=None, description="Ray dashboard and Jobs API: http://host:port")
    ray_token_file: Path | None = Field(
        default=None, description="file with the token of the Ray cluster; without one the cluster asks for none"
    )
    ray_authentication: Literal["token", "off"] = Field(
        default="token", description="whether the local stack's Ray asks for a token: jobs, dashboard, every client"
    )
    serve_url: str | None = Field(default=None, description="Ray Serve's HTTP address: http://host:port")
    exchange_url: str | None = Field(default=None, description="the simulated exchange: http://host:port")
    default_quote: str = Field(default="USD", description="the quote currency of a bare symbol such as SOL")
    signal_max_age_timeframes: float = Field(
        default=5.0, gt=0, description="the oldest data that a signal may rest on, in time frames of its candles"
    )
    signal_max_price_deviation: float = Field(
        default=0.5, gt=0, description="how far a client's price may be from the last close, as a fraction of it"
    )
    signal_account: str = Field(
        default="paper", description="the account whose kill switch, limits and positions signals are held against"
    )
    queue_limit: int = Field(
        default=20_000,
        ge=1,
        description="waiting runs (and waiting backtests) at which their consumer leaves further requests in Kafka",
    )
    worker_memory_mb: int = Field(
        default=1536,
        ge=512,
        description="memory that one worker's candles, indicator columns and comparisons may take, MB",
    )
    search_groups: str = Field(
        default="",
        description="groups of Ray nodes (label alpharay.dev/group) that searches, backtests and validation run on: "
        "name[,name]; unset: any node",
    )
    training_groups: str = Field(default="", description="the same for the training of models")
    actor_groups: str = Field(
        default="", description="the same for actors that are always there: ingestion, sinks, consumers, the monitor"
    )
    strategy_files: str = Field(
        default="", description="users' Python files whose indicators stored strategies need: path[,path]"
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="of jobs and actors; auto: text on a terminal, else one JSON object a line"
    )
    otlp_endpoint: str | None = Field(
        default=None, description="where traces go, OTLP over HTTP: http://host:port; unset: none are made"
    )
    otlp_headers: SecretStr | None = Field(default=None, description="headers sent there: NAME=VALUE[,NAME=VALUE]")
    trace_sample_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="the share of traces that begin here and are kept; others decide themselves",
    )
    authentication: Literal["auto", "off", "required"] = Field(
        default="auto",
        description="auto: clients need a key or token where any are configured, else only this machine is answered; "
        "off: anyone is answered; required: the services do not start without keys",
    )
    api_keys: SecretStr | None = Field(default=None, description="API keys: NAME SCOPE[,SCOPE] SHA256[;…]")
    api_keys_file: str | None = Field(default=None, description="a file of such lines, read again when it changes")
    jwt_secret: SecretStr | None = Field(default=None, description="the secret of HS256 tokens, 32 bytes or more")
    jwt_secret_file: str | None = Field(default=None, description="a file with it")
    jwt_public_key_file: str | None = Field(default=None, description="the public key of RS256 tokens, a PEM file")
    jwt_issuer: str | None = Field(default=None, description="the iss that a token must have")
    jwt_audience: str | None = Field(default=None, description="the aud that a token must have")
    open_paths: str = Field(
        default="/health*,/ready,/metrics,"
        + ",".join(f"/{prefix}/health,/{prefix}/metrics" for prefix in SIGNAL_SERVICES),
        description="paths that need no key: path[,path], * at the end for any rest",
    )
    rate_limit_per_minute: int | None = Field(
        default=None, ge=0, description="requests a client and minute; 0 for no limit; unset: 100 where keys are needed"
    )
    rate_limit_without_redis: Literal["local", "refuse", "open"] = Field(
        default="local",
        description="while Redis is away: each replica counts alone, all get 503, or nothing is counted",
    )
    request_max_bytes: int = Field(default=1_048_576, ge=1, description="the largest body that an application reads")
    request_time_limit_s: float = Field(default=8.0, gt=0, description="the time after which an answer must have begun")
    allowed_origins: str = Field(default="", description="web pages that may call (CORS): https://host[,https://host]")
    trusted_proxies: int = Field(
        default=0, ge=0, description="proxies in front whose X-Forwarded-For tells the client's address"
    )

    @property
    def candle_bytes(self) -> int:
        """What of a worker's memory its candles may take: an eighth; a data set's columns and comparisons take more."""
        return self.worker_memory_mb * 1024 * 1024 // 8

    def require(self, name: str) -> str:
        """Return the setting `name`; raises SettingMissingError, saying how to set it, when it is empty."""
        value = getattr(self, name)
        if value is None:
            raise SettingMissingError(
                f"ALPHARAY_{name.upper()} is not set and no local stack is running: "
                f"run `alpharay stack up`, or set it ({type(self).model_fields[name].description})"
            )
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


class SettingMissingError(LookupError):
    """A setting is needed that neither the environment nor the local stack gives."""


def state_folder(start: Path | None = None) -> Path:
    """Return the folder that keeps the local stack's data: `.alpharay` in this or the nearest folder above."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / STATE_FOLDER).is_dir():
            return folder / STATE_FOLDER
    return here / STATE_FOLDER


def ray_authentication(token_file: Path | None) -> dict[str, str]:
    """Return the variables by which Ray, head and client, is told its token, or that there is none."""
    if token_file is None:
        # Said, because Ray would else take one that it finds in ~/.ray, or make one.
        return {"RAY_AUTH_MODE": "disabled"}
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token_file)}


def prepare_for_ray(current: Settings) -> None:
    """Set what Ray's client reads from the environment: the cluster's token, and that it is on the loopback address.

    Has an effect only before Ray is imported.
    """
    if current.ray_token_file is not None:
        os.environ.update(ray_authentication(current.ray_token_file))
    if (current.ray_address or "").startswith("127.0.0.1:"):
        for name, value in (RAY_ON_LOOPBACK | ray_authentication(current.ray_token_file)).items():
            os.environ.setdefault(name, value)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the process's settings, read once."""
    endpoints = state_folder() / ENDPOINTS_FILE
    # pydantic-settings takes the file at construction; its own signature does not say so to a type checker.
    return Settings(_env_file=endpoints if endpoints.is_file() else None)  # type: ignore[call-arg]
