"""Every setting, with its unit, read from ``TRIPTYCH_*``; URLs choose the adapters.

Precedence: command line, environment, ``.env`` in the working folder, default.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from triptych.errors import SettingsError
from triptych.model import Policy
from triptych.settings.addresses import (
    DATABASE_SCHEMES,
    MODEL_SCHEMES,
    READS_SCHEMES,
    STORE_SCHEMES,
    check_queue,
    check_scheme,
    read_ports,
)
from triptych.settings.provenance import ToldSettings
from triptych.settings.source_text import PlaceKind, parse_place, read_source

ENV_PREFIX = "TRIPTYCH_"
MIB = 1024 * 1024

AUTO: Literal["auto"] = "auto"

EMF_NAMESPACE = r"^[A-Za-z0-9._/#:-]{0,255}$"
"""What CloudWatch takes as a namespace."""

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
CountOrAuto = Count | Literal["auto"]


class Settings(ToldSettings):
    """The current settings. Frozen: a process reads them once, when it starts."""

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
        None, description="A read replica for searches; empty for the database itself."
    )
    reads_url: SecretStr = Field(
        SecretStr(""),
        description="MongoDB or Amazon DocumentDB, which immediate reads of snapshots are answered "
        "by: `mongodb://HOST/DATABASE` or `mongodb+srv://…`; the database is `triptych` by "
        "default. Empty: Postgres. Needs `pip install 'triptych[mongodb]'`.",
    )
    reads_user: str = Field("", description="User of that MongoDB, for a URL without one.")
    reads_password: SecretStr = Field(SecretStr(""), description="That user's password.")
    reads_ca: Path | None = Field(
        None,
        description="PEM file of the certificate authorities that MongoDB's certificate is checked "
        "with; empty for those of the system.",
    )
    reads_certificate: Path | None = Field(
        None,
        description="PEM file of a client's certificate and its key, which MongoDB knows the "
        "client by (X.509).",
    )
    database_connections: Count = Field(
        10,
        description="Connections in one process's database pool; it may open four more, two of "
        "them for commits.",
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
        description="Where URLs come from if a brand has no source of its own: `SCHEME:PLACE`, or "
        "the path or URL of a list.",
    )
    source_token: SecretStr | None = Field(None, description="Bearer token for the catalog.")
    source_token_for: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Where that token may be sent, comma-separated: origins, "
        "`https://catalogue.example.com`, or whole sources; empty for the origin of "
        "`TRIPTYCH_SOURCE`. Plain http only to an address of a private network.",
    )
    sealing_key: SecretStr | None = Field(
        None,
        description="What webhook secrets and sources with passwords are sealed with: at least 32 "
        "random characters, or the ARN of a secret in AWS Secrets Manager. Several, separated by "
        "commas: the first seals, all open. Empty with the embedded database: made at the first "
        "start, in the file `sealing.key` of the data folder.",
    )
    source_folders: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="Folders below which anybody who may start a run may name lists and pictures, "
        "comma-separated, each an absolute path: `/srv/lists`. Set it for the API, for gather and "
        "for acquire.",
    )
    source_buckets: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Buckets in which anybody who may start a run may name lists and pictures, "
        "comma-separated, whole or below a prefix: `s3://lists,s3://shared/triptych`. Set it for "
        "the API, for gather and for acquire.",
    )
    embedder: str = Field(
        "bundled",
        description="`bundled`, `none`, a name that `triptych models` lists, or an ONNX image "
        "encoder: its path, or a URL `https://…/model.onnx` or `s3://…/model.onnx`, `#sha256=…` "
        "behind it to pin it.",
    )
    models_url: str = Field(
        "https://huggingface.co",
        description="Where models are fetched from by name: the Hugging Face Hub, or a mirror of "
        "its layout, `https://…` or `s3://…`. The content of each file is pinned by the release.",
    )
    embedder_max_bytes: Count = Field(
        4096 * MIB, description="Bytes of one file of a model that is fetched."
    )
    tags: Path | None = Field(None, description="File of tags, one a line; empty for our own.")
    ocr: bool = Field(
        True,
        description="Whether the text in pictures is read, after the commit: about a quarter of a "
        "CPU second for each new picture.",
    )
    people: bool = Field(
        True,
        description="Whether people are looked for in pictures, by their faces and after the "
        "commit: up to a fifth of a CPU second for each new picture. Nobody is recognised.",
    )
    postgres_bin: Path | None = Field(
        None, description="Folder of Postgres' own binaries, instead of the wheel's."
    )

    tolerated_failures: float = Field(
        0.5, ge=0, le=1, description="Share of a run's items that may fail and it still commits."
    )
    max_removed: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of a brand's snapshot that a run may remove; with more, it is held.",
    )
    max_attempts: Count = Field(5, description="Attempts per item; then the item fails.")
    run_deadline_s: Positive = Field(
        24 * 3600.0, description="Seconds from a run's first dispatch to its deadline."
    )
    run_cap_s: Positive = Field(
        7 * 24 * 3600.0, description="Seconds from a run's opening to its deadline in any case."
    )

    dispatch_window: Count = Field(
        500,
        description="Items that may be outstanding at a time for each live worker that acquires; "
        "runs with items to send share them, and each has at least as many. Lambda functions are "
        "not counted.",
    )
    dispatch_window_max: Count = Field(
        50_000, description="Items of one run that may be outstanding at a time in any case."
    )
    page_rows: Annotated[int, Field(gt=0, le=10_000)] = Field(
        1000, description="Rows that are read from a source before they are stored."
    )
    visibility_s: Positive = Field(
        60.0, description="Seconds a received message stays hidden without a heartbeat."
    )
    max_receives: Count = Field(
        20, description="Deliveries of a message before it becomes a dead letter."
    )
    acquire_concurrency: Count = Field(64, description="Downloads at a time in one worker.")
    acquire_prefetch: Count = Field(
        256, description="URL messages that one worker holds at a time, including unsettled ones."
    )
    flush_items: Count = Field(100, description="Finished items of a run that trigger a flush.")
    flush_s: Positive = Field(
        1.0, description="Seconds that a finished item waits for a flush at most."
    )
    embed_device: Literal["auto", "cpu", "cuda", "tensorrt", "openvino", "coreml"] = Field(
        AUTO,
        description="What image encoders run on. `auto`: CUDA or OpenVINO if the installed ONNX "
        "Runtime has it and it works, else the CPU. Text encoders run on the CPU.",
    )
    embed_precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32",
        description="Numbers that image encoders calculate with: `bfloat16` with `openvino` or "
        "`tensorrt`, `float16` with `tensorrt`. Give every process of an installation the same.",
    )
    embed_batch: CountOrAuto = Field(
        AUTO,
        description="Images embedded in one call of the model; `auto`: 4, or 32 on a GPU or with "
        "CoreML.",
    )
    embed_threads: CountOrAuto = Field(
        AUTO,
        description="Calls of the model at a time, each in a thread; `auto`: the cores that the "
        "machine and its control group allow, divided by `TRIPTYCH_WORKERS`, or 2 on a GPU or "
        "with CoreML.",
    )
    decoders: CountOrAuto = Field(
        AUTO,
        description="Pictures that one worker decodes at a time, each in a process; `auto`: the "
        "cores that the machine and its control group allow, as far as the memory that they allow, "
        "divided by `TRIPTYCH_WORKERS`, has 512 MiB for each beside the worker.",
    )
    gather_concurrency: Count = Field(8, description="Brands that one worker gathers at a time.")
    ai_concurrency: Count = Field(1, description="Brands whose AI phase one worker runs at a time.")
    workers: Count = Field(1, description="Worker processes that `triptych up` starts.")
    drain_s: Positive = Field(
        20.0, description="Seconds a stopping worker has to finish its work; the rest is returned."
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
        description="Private networks that may be fetched from, comma-separated: "
        "`127.0.0.0/8,10.1.0.0/16`.",
    )
    fetch_ports: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Ports besides 80 and 443 that may be fetched from, comma-separated: "
        "`8080,9000-9010`. Every port of `TRIPTYCH_FETCH_ALLOW` is allowed.",
    )
    fetch_proxy: SecretStr | None = Field(
        None,
        description="Proxy for requests to sources and URLs: `http://user:password@host:3128`.",
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
        None, description="Requests per second from one worker to one host; empty for no limit."
    )
    host_patience_s: Positive = Field(
        180.0,
        description="Seconds that a run waits for a host that does not answer before that host's "
        "URLs fail: long enough for a server that is started again or a name that moves, and "
        "short beside a run.",
    )
    robots: bool = Field(
        True,
        description="Read each host's robots.txt once an hour and obey it, including Crawl-delay.",
    )
    opt_outs: bool = Field(
        True,
        description="Honour X-Robots-Tag (noai, noimageai, noindex, noimageindex) and "
        "tdm-reservation.",
    )
    user_agent: str = Field(
        "triptych/0.1 (+https://pypi.org/project/triptych/)",
        description="The User-Agent header of Triptych's requests.",
    )
    decode_max_pixels: Count = Field(
        100_000_000, description="Pixels of one image at most; checked before memory is allocated."
    )
    min_side: Count = Field(
        1,
        description="Pixels that the shorter side of a picture must have; 1 takes all. For example "
        "16 leaves out tracking pixels, 64 icons too. Not for SVG, which has no size in pixels.",
    )
    decode_max_missing: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="Share of rows that may be missing at the end of a JPEG, PNG or WebP that was "
        "cut short, 0 to 1. One that has all its rows and only no end is taken anyway.",
    )

    decode: bool = Field(
        True,
        description="Decode pictures. If false, they are stored without size, fingerprint, "
        "colours or embedding.",
    )
    other_media: bool = Field(
        False,
        description="Keep videos, audio, PDFs and pictures that are not decoded, such as JPEG XL, "
        "too, without an embedding.",
    )

    direct_thumbnails: bool = Field(
        False,
        description="Redirect requests for thumbnails to S3, by URLs that are signed for five "
        "minutes. The bucket has to be its own origin, and to allow the dashboard's (CORS).",
    )
    live_clients: Count = Field(
        2_000, description="WebSocket clients that one process serves; more are refused."
    )
    live_clients_each: Count = Field(
        200,
        description="WebSocket clients of one key or account in one process. Raise it where many "
        "dashboards share a key.",
    )

    sweep_s: Positive = Field(1.0, description="Seconds between two sweeps.")
    quiet_s: Positive = Field(
        90.0,
        description="Seconds without a change after which a run's outstanding items may be sent "
        "again.",
    )
    resend_s: Positive = Field(
        120.0,
        description="Seconds until an item of a quiet run is sent again; doubles each time.",
    )
    stalled_s: Positive = Field(
        600.0,
        description="Seconds without progress after which an active run is shown as stalled, "
        "unless all its items wait for a known time.",
    )
    add_idle_s: Positive = Field(
        5.0, description="Seconds without a new URL after which an `add` run is sealed."
    )
    outbox_s: Positive = Field(
        5.0, description="Seconds after which the sweeper sends a message left in the outbox."
    )

    summary_url: str | None = Field(
        None,
        description="An endpoint for OpenAI's chat completions, `https://host/v1`, that writes a "
        "few sentences in reports; empty for none.",
    )
    summary_model: str = Field("gpt-4o-mini", description="The model for summaries.")
    summary_key: SecretStr | None = Field(None, description="The API key for summaries.")

    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        0,
        description="Port of a worker's own /metrics, or the next free one; 0 for none.",
    )
    metrics_host: str = Field("127.0.0.1", description="Address of a worker's own /metrics.")
    otlp_endpoint: str | None = Field(
        None,
        description="Where traces go: an OTLP endpoint, `http://collector:4318/v1/traces`. "
        "Requests to CloudWatch's, `https://xray.REGION.amazonaws.com/v1/traces`, are signed.",
    )
    trace_share: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0, description="Share of the runs started here that are traced."
    )

    emf_namespace: Annotated[str, Field(pattern=EMF_NAMESPACE)] = Field(
        "",
        description="Namespace in CloudWatch: each process writes a few metrics as lines of its "
        "log, in the embedded metric format. Empty: none.",
    )

    keep_snapshots: Count = Field(
        5, description="Snapshots kept of each brand, the current one included."
    )
    keep_s: Positive = Field(
        24 * 3600.0,
        description="Seconds for which every snapshot, or run without one, is kept.",
    )
    keep_timeline_s: Positive = Field(
        90 * 24 * 3600.0, description="Seconds for which an ended run's timeline is kept."
    )
    keep_uploads_s: Positive = Field(
        7 * 24 * 3600.0,
        description="Seconds for which an uploaded list is kept after its last use. One that is a "
        "brand's source is kept as long as it is that.",
    )
    collect_s: Positive = Field(60.0, description="Seconds between two passes of the collector.")
    object_grace_s: Positive = Field(
        3600.0,
        description="Seconds for which an unused object is kept; also the time "
        "between two passes over unused objects.",
    )

    api_host: str = Field(
        "127.0.0.1",
        description="Address that the API listens on. Any but loopback requires keys or OIDC.",
    )
    api_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        8321, description="Port of the API; 0 for a free one."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Host names of the API besides loopback's, comma-separated: "
        "`triptych.example,10.0.0.7`. If any is set, keys are required on loopback too.",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Other sites whose pages may use the API, comma-separated: "
        "`https://dashboard.example`.",
    )
    api_rate: Positive = Field(
        200.0, description="Requests per second that one key may make in the long run."
    )
    api_burst: Count = Field(400, description="Requests that one key may make in a burst.")
    api_picture_rate: Positive = Field(
        2_000.0,
        description="Thumbnails per second that one key may ask for in the long run; they do not "
        "count as other requests.",
    )
    api_picture_burst: Count = Field(
        4_000, description="Thumbnails that one key may ask for in a burst."
    )
    upload_max_bytes: Count = Field(256 * MIB, description="Bytes of one list that is uploaded.")
    server: str | None = Field(
        None, description="Server that the commands use, `https://host`; empty for the local one."
    )
    server_key: SecretStr | None = Field(None, description="API key for that server.")
    oidc_signer: str | None = Field(
        None, description="ARN of the load balancer whose OIDC identities are trusted."
    )
    oidc_issuer: str | None = Field(None, description="Issuer of those identities.")
    oidc_client: str | None = Field(None, description="OIDC client of the load balancer.")
    oidc_keys_url: str | None = Field(
        None,
        description="URL of the load balancer's public keys, with `{kid}` for the key's id; empty "
        "for the default of its region.",
    )
    oidc_operators: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Operators, comma-separated: `email:` and an address that the provider has "
        "verified, or `sub:` and a subject; all others are readers.",
    )

    @field_validator(
        *("fetch_allow", "fetch_ports", "allowed_hosts", "allowed_origins", "oidc_operators"),
        *("source_token_for", "source_folders", "source_buckets"),
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

    @field_validator("source_folders")
    @classmethod
    def _folders(cls, values: tuple[Path, ...]) -> tuple[Path, ...]:
        for value in values:
            if not value.is_absolute() or ".." in value.parts:
                raise ValueError(f"{str(value)!r} is not an absolute path without ..")
        return values

    @field_validator("source_buckets")
    @classmethod
    def _buckets(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if parse_place(value).kind is not PlaceKind.OBJECT:
                raise ValueError(f"{value!r} is not s3://BUCKET, gs://BUCKET or az://CONTAINER")
        return values

    @field_validator("oidc_operators")
    @classmethod
    def _operators(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            kind, _, name = value.partition(":")
            if kind not in {"email", "sub"} or not name:
                raise ValueError(f"{value!r} must be email:ADDRESS or sub:SUBJECT")
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

    @field_validator("reads_url")
    @classmethod
    def _reads(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            check_scheme(value.get_secret_value(), READS_SCHEMES)
        return value

    @field_validator("reads_password")
    @classmethod
    def _reads_password(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if value.get_secret_value() and not info.data.get("reads_user"):
            raise ValueError("needs TRIPTYCH_READS_USER")
        return value

    @field_validator("reads_ca", "reads_certificate", mode="before")
    @classmethod
    def _no_file(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("reads_ca", "reads_certificate")
    @classmethod
    def _reads_file(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        """Refuse a file that is not there, if it is used: a URL that is wrong says so itself."""
        url = info.data.get("reads_url")
        if value is not None and url and url.get_secret_value() and not value.is_file():
            raise ValueError(f"there is no file {str(value)!r}")
        return value

    @field_validator("queue_url")
    @classmethod
    def _queue(cls, value: str) -> str:
        return check_queue(value)

    @field_validator("store_url")
    @classmethod
    def _store(cls, value: str) -> str:
        return check_scheme(value, STORE_SCHEMES)

    @field_validator("models_url")
    @classmethod
    def _models(cls, value: str) -> str:
        return check_scheme(value, MODEL_SCHEMES)

    @field_validator("source")
    @classmethod
    def _source(cls, value: str | None) -> str | None:
        return value if value is None else read_source(value).spec

    @property
    def policy(self) -> Policy:
        """The policy of new runs that do not specify one."""
        return Policy(
            self.tolerated_failures, self.max_attempts, self.run_deadline_s, self.max_removed
        )

    @property
    def embedded(self) -> bool:
        """True when Triptych runs its own Postgres."""
        return self.database_url.get_secret_value().startswith("embedded:")

    @classmethod
    def load(cls, **overrides: Any) -> Settings:
        """Read the settings; ``overrides`` come from the command line, None meaning not given.

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
