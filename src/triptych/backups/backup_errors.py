"""Errors of backups and of restores from them."""

from __future__ import annotations

from triptych.errors import Conflict, TriptychError


class BackupUnusable(TriptychError):
    """This is no complete backup, or not one that this release can restore."""


class BackupFailed(TriptychError):
    """The backup could not be completed."""


class RestoreFailed(TriptychError):
    """The data folder could not be made."""


class NoRoom(TriptychError):
    """There is not enough space on the disk."""


class DestinationInUse(Conflict):
    """Another backup is being written to this destination."""
