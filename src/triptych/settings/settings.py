"""Every knob, with its unit, read from ``TRIPTYCH_*``; URLs choose the adapters.

Precedence: command line, environment, ``.env`` in the working folder, default.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from triptych.errors import SettingsError
from triptych.model import Policy
from triptych.settings.addresses import (
    DATABASE_SCHEMES,
    STORE_SCHEMES,
    check_queue,
    check_scheme,
    check_source,
    read_ports,
)
from triptych.settings.provenance import ToldSettings

ENV_PREFIX = "TRIPTYCH_"
MIB = 1024 * 1024

AUTO: Literal["auto"] = "auto"

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
CountOrAuto = Count | Literal["auto"]


class Settings(ToldSettings):
    """The settings in force. Frozen: a process reads them once, at its start."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    data: Path = Field(Path(".triptych"), description="Folder of everything that is embedded.")
    database_url: SecretStr = Field(
        SecretStr("embedded:"),
        description="`embedded:` (Postgres from a wheel, in the data folder), `postgresql://…`, or "
        "`postgresql+iam://USER@HOST/…` (Amazon RDS, by IAM token).",
    )
    database_read_url: SecretStr | None = Field(
        None, description="A replica that searches are read from; empty for the database itself."
    )
    database_connections: Count = Field(
        10, description="Connections to the database that one process holds, beside one or two."
    )
    queue_url: str = Field(
        "pgmq:",
        description="`pgmq:` (in the same Postgres), or `sqs:` or `sqs://REGION/NAME_PREFIX`.",
    )
    store_url: str = Field(
        "file:",
        description="`file:` (folder `objects` in the data folder), `file:///path`, `s3://bucket`.",
    )
    source: str | None = Field(
        None,
        description="Where URLs come from if a brand has no source of its own: `SCHEME:PLACE`, as "
        "`--source` takes it.",
    )
    source_token: SecretStr | None = Field(None, description="Bearer token for the catalog.")
    embedder: str = Field(
        "bundled",
        description="`bundled`, `none`, or an ONNX image encoder: its path, or a URL "
        "`https://…/model.onnx` or `s3://…/model.onnx`, `#sha256=…` behind it to pin it.",
    )
    embedder_max_bytes: Count = Field(
        4096 * MIB, description="Bytes of one file of a model that is fetched."
    )
    tags: Path | None = Field(None, description="File of tags, one a line; empty for our own.")
    postgres_bin: Path | None = Field(
        None, description="Folder of Postgres' own binaries, instead of the wheel's."
    )

    tolerated_failures: float = Field(
        0.5, ge=0, le=1, description="Share of a run's items that may fail and it still commits."
    )
    max_attempts: Count = Field(5, description="Attempts an item gets; then it has failed.")
    run_deadline_s: Positive = Field(
        24 * 3600.0, description="Seconds a run has from its first dispatch."
    )
    run_cap_s: Positive = Field(
        7 * 24 * 3600.0, description="Seconds a run has from its opening, whatever happens."
    )

    dispatch_window: Count = Field(
        500, description="Messages of one run that may be out at a time."
    )
    page_rows: Annotated[int, Field(gt=0, le=10_000)] = Field(
        1000, description="Rows read from a source before they are written down."
    )
    visibility_s: Positive = Field(
        60.0, description="Seconds a received message stays hidden without a heartbeat."
    )
    max_receives: Count = Field(
        20, description="Deliveries a message gets before it is a dead letter."
    )
    acquire_concurrency: Count = Field(64, description="Downloads at a time in one worker.")
    acquire_prefetch: Count = Field(
        256, description="URL messages one worker holds at a time, unsettled ones included."
    )
    flush_items: Count = Field(100, description="Finished items of a run that make a flush.")
    flush_s: Positive = Field(1.0, description="Seconds a finished item waits for a flush at most.")
    embed_batch: CountOrAuto = Field(
        AUTO, description="Images embedded in one call of the model; `auto`: 4."
    )
    embed_threads: CountOrAuto = Field(
        AUTO,
        description="Such calls at a time, each on a thread; `auto`: the cores that the machine "
        "and its control group allow, divided by `TRIPTYCH_WORKERS`.",
    )
    gather_concurrency: Count = Field(8, description="Brands gathered at a time in one worker.")
    ai_concurrency: Count = Field(1, description="Brands in the AI phase at a time in one worker.")
    workers: Count = Field(1, description="Worker processes that `triptych up` starts.")
    drain_s: Positive = Field(
        20.0, description="Seconds a stopping worker gives the work it holds; the rest is returned."
    )

    fetch_deadline_s: Positive = Field(
        30.0, description="Seconds for one URL: name, connection, headers, body and redirects."
    )
    fetch_max_bytes: Count = Field(32 * MIB, description="Bytes of one body, after decompression.")
    fetch_max_redirects: Annotated[int, Field(ge=0, le=20)] = Field(
        5, description="Redirects followed for one URL."
    )
    fetch_allow: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        description="Networks that are reached although they are not public, comma-separated: "
        "`127.0.0.0/8,10.1.0.0/16`.",
    )
    fetch_ports: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Ports that public servers are reached on beside 80 and 443, comma-separated: "
        "`8080,9000-9010`. Networks of `TRIPTYCH_FETCH_ALLOW` are reached on every port.",
    )
    fetch_proxy: SecretStr | None = Field(
        None,
        description="Proxy that requests go through: `http://user:password@host:3128`.",
    )
    fetch_profiles: SecretStr | None = Field(
        None,
        description="User-Agent, headers and proxy of some sources: a JSON list, or the path of a "
        "file that holds one.",
    )
    fetch_memory_bytes: Count = Field(
        256 * MIB, description="Bytes of all bodies that one worker holds at a time."
    )
    host_concurrency: Count = Field(
        16, description="Requests at a time from one worker to one host."
    )
    host_rate: Positive | None = Field(
        None, description="Requests a second from one worker to one host; empty for no limit."
    )
    robots: bool = Field(
        True,
        description="Ask each host for its robots.txt, once an hour, and keep to it, "
        "its Crawl-delay included.",
    )
    opt_outs: bool = Field(
        True,
        description="Honour X-Robots-Tag (noai, noimageai, noindex, noimageindex) and "
        "tdm-reservation.",
    )
    user_agent: str = Field(
        "triptych/0.1 (+https://pypi.org/project/triptych/)",
        description="How Triptych names itself to the servers it fetches from.",
    )
    decode_max_pixels: Count = Field(
        100_000_000, description="Pixels of one image; checked before they are allocated."
    )

    decode: bool = Field(
        True,
        description="Decode pictures. Without, they are stored as they are: no size, fingerprint, "
        "colours or embedding of them is known.",
    )
    other_media: bool = Field(
        False, description="Keep videos, sounds and PDFs too, without an embedding."
    )

    live_clients: Count = Field(
        2_000, description="WebSocket clients that one process serves; more are refused."
    )

    sweep_s: Positive = Field(1.0, description="Seconds between two sweeps.")
    stalled_s: Positive = Field(
        90.0, description="Seconds without progress after which a run counts as standing still."
    )
    resend_s: Positive = Field(
        120.0,
        description="Seconds until an item of a stalled run is sent again; doubles each time.",
    )
    add_idle_s: Positive = Field(
        5.0, description="Seconds without a newcomer that seal a run opened by strangers' URLs."
    )
    outbox_s: Positive = Field(
        5.0, description="Seconds after which an owed message is sent by the sweeper."
    )

    summary_url: str | None = Field(
        None,
        description="An endpoint that speaks OpenAI's chat completions, `https://host/v1`, for a "
        "few sentences in reports; empty for none.",
    )
    summary_model: str = Field("gpt-4o-mini", description="The model asked for summaries.")
    summary_key: SecretStr | None = Field(None, description="Its API key.")

    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        0,
        description="Port of a worker's own /metrics, or the next free one; 0 for none.",
    )
    metrics_host: str = Field("127.0.0.1", description="Address of a worker's own /metrics.")
    otlp_endpoint: str | None = Field(
        None, description="Where traces go: an OTLP endpoint, `http://collector:4318/v1/traces`."
    )
    trace_share: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0, description="Share of the runs begun here that are traced."
    )

    keep_snapshots: Count = Field(
        5, description="Snapshots kept of each brand, the current one included."
    )
    keep_s: Positive = Field(
        24 * 3600.0,
        description="Seconds for which a snapshot, or a run without one, is kept in any case.",
    )
    keep_timeline_s: Positive = Field(
        90 * 24 * 3600.0, description="Seconds for which an ended run's timeline is kept."
    )
    collect_s: Positive = Field(
        60.0, description="Seconds between two looks for what is no longer kept."
    )
    object_grace_s: Positive = Field(
        3600.0,
        description="Seconds for which an object stays that nothing uses any more; also those "
        "between two passes over them.",
    )

    api_host: str = Field(
        "127.0.0.1",
        description="Address that the API binds to. Any but loopback needs keys, or OIDC.",
    )
    api_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        8321, description="Port of the API; 0 for a free one."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Names under which the API is reached beside loopback's, comma-separated: "
        "`triptych.example,10.0.0.7`. If any is set, keys are asked for on loopback too.",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Sites whose pages may use the API beside its own, comma-separated: "
        "`https://dashboard.example`.",
    )
    api_rate: Positive = Field(
        200.0, description="Requests a second that one key may make in the long run."
    )
    api_burst: Count = Field(400, description="Requests that one key may make at once.")
    server: str | None = Field(
        None, description="Server that commands ask, `https://host`; empty for what is here."
    )
    server_key: SecretStr | None = Field(None, description="API key for that server.")
    oidc_signer: str | None = Field(
        None, description="ARN of the load balancer whose OIDC identities are believed."
    )
    oidc_issuer: str | None = Field(None, description="Issuer of those identities.")
    oidc_client: str | None = Field(None, description="OIDC client of the load balancer.")
    oidc_keys_url: str | None = Field(
        None,
        description="Where the load balancer's public keys are, `{kid}` for the key's id; empty "
        "for its region's own.",
    )
    oidc_operators: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="E-mail addresses or subjects that are operators, comma-separated; "
        "the others are readers.",
    )

    @field_validator(
        *("fetch_allow", "fetch_ports", "allowed_hosts", "allowed_origins", "oidc_operators"),
        mode="before",
    )
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("fetch_ports")
    @classmethod
    def _ports(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            read_ports(value)
        return values

    @field_validator("oidc_keys_url")
    @classmethod
    def _keys_url(cls, value: str | None) -> str | None:
        if value is not None and not (
            value.startswith(("https://", "http://")) and value.count("{kid}") == 1
        ):
            raise ValueError("must be an http(s) URL with {kid} in it")
        return value

    @field_validator("database_url", "database_read_url")
    @classmethod
    def _database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_scheme(value.get_secret_value(), DATABASE_SCHEMES)
        return value

    @field_validator("queue_url")
    @classmethod
    def _queue(cls, value: str) -> str:
        return check_queue(value)

    @field_validator("store_url")
    @classmethod
    def _store(cls, value: str) -> str:
        return check_scheme(value, STORE_SCHEMES)

    @field_validator("source")
    @classmethod
    def _source(cls, value: str | None) -> str | None:
        return value if value is None else check_source(value)

    @property
    def policy(self) -> Policy:
        """The policy that new runs get unless they name their own."""
        return Policy(self.tolerated_failures, self.max_attempts, self.run_deadline_s)

    @property
    def embedded(self) -> bool:
        """True when Triptych runs its own Postgres."""
        return self.database_url.get_secret_value().startswith("embedded:")

    @classmethod
    def load(cls, **overrides: Any) -> Settings:
        """Read the settings; ``overrides`` are the command line's, None meaning not given.

        Raises:
            SettingsError: naming the first variable that is wrong, and why.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            name = str(first["loc"][0])
            known = cls.model_fields.get(name)
            raise SettingsError(
                f"{first['msg'].removeprefix('Value error, ')}.".replace("..", "."),
                field=f"{ENV_PREFIX}{name.upper()}",
                remedy=known.description if known else None,
            ) from error
