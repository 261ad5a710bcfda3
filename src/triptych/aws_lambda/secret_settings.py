"""Settings that are secret, which a function fetches itself.

ECS takes secrets from Secrets Manager for its tasks. Lambda does not, and everybody who may see a
function sees its variables. So a variable says where the setting is kept:
``SECRET_TRIPTYCH_READS_PASSWORD=arn:…:password::``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from triptych.settings.settings import ENV_PREFIX
from triptych.wiring.aws_secrets import fetch_secret

KEPT = f"SECRET_{ENV_PREFIX}"
"""What begins the names of such variables; the setting's name follows."""


async def secret_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what is kept of the settings that the environment names, for `Settings.load`.

    Raises:
        SettingsError: one cannot be fetched; names its setting.
    """
    kept = {
        name.removeprefix(KEPT): place
        for name, place in environment.items()
        if name.startswith(KEPT)
    }
    return {
        name.lower(): await asyncio.to_thread(fetch_secret, place, field=f"{ENV_PREFIX}{name}")
        for name, place in kept.items()
    }
