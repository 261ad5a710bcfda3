"""Secrets that AWS Secrets Manager keeps."""

from __future__ import annotations

import json

from triptych.errors import SettingsError

FETCH_S = 10.0
"""Seconds that Secrets Manager may take to connect, and to answer."""
FETCH_TRIES = 3
PARTS = 7
"""Of an ARN, between colons. What is behind them names a field: `fetch_secret`."""


def fetch_secret(name: str, *, field: str) -> str:
    """Return a secret's text; of ``ARN:KEY::``, as ECS writes it, what its JSON has under a key.

    Args:
        name: the ARN, with or without a key.
        field: the setting that an error names.

    Raises:
        SettingsError: it cannot be fetched, or has no such key.
    """
    # Imported where it is used: botocore takes as long as all the rest of a command.
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(
        connect_timeout=FETCH_S, read_timeout=FETCH_S, retries={"total_max_attempts": FETCH_TRIES}
    )
    parts = name.split(":")
    arn, key = ":".join(parts[:PARTS]), (parts[PARTS:] or [""])[0]
    try:
        client = botocore.session.get_session().create_client(
            "secretsmanager", region_name=parts[3], config=config
        )
        text: str = client.get_secret_value(SecretId=arn)["SecretString"]
    except (BotoCoreError, ClientError, IndexError, KeyError) as error:
        raise SettingsError(
            f"The secret {arn} cannot be fetched ({error}).",
            field=field,
            remedy="Let the process' role read that secret, or give the text itself.",
        ) from error
    return _under(text, key, arn, field) if key else text


def _under(text: str, key: str, arn: str, field: str) -> str:
    """Return what a secret's JSON has under a key. Errors repeat nothing of the text."""
    try:
        found = json.loads(text)[key]
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, str):
        raise SettingsError(
            f"The secret {arn} has no text under {key!r}.",
            field=field,
            remedy=f'Let the secret be JSON with that key: {{"{key}": "…"}}.',
        ) from None
    return found
