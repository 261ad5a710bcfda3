"""Versions of objects in an S3 bucket that keeps them.

obstore lists no versions, so these calls are botocore's. With credentials that may not do
``s3:ListBucketVersions`` and ``s3:GetObjectVersion`` they are refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError
from typing_extensions import override

from triptych.errors import StoreUnavailable
from triptych.queues.sqs.sqs_client import FAILURES, AwsClient, error_code
from triptych.snapshots.object_versions import FoundVersion, ObjectVersions

VERSIONS_MAX = 100
"""Versions of one object that are listed. It has as many as it was deleted and stored again."""
READ_MAX = 5
"""Versions of one object that are read: those of the right size should have the right bytes."""
READ_S = 60.0
"""Seconds that reading one version may take."""
NO_VERSIONS = frozenset({"NotImplemented", "MethodNotAllowed"})
"""Error codes of other stores with S3's interface."""
REFUSED = frozenset({"AccessDenied", "403"})


class S3Versions(ObjectVersions):
    """`ObjectVersions` of a bucket, below a prefix. Close it at the end."""

    def __init__(self, url: str) -> None:
        """Use the bucket and the prefix of ``s3://bucket/prefix``; nothing is opened yet."""
        place = urlsplit(url)
        self._bucket = place.netloc
        self._prefix = unquote(place.path).strip("/")
        self._client = AwsClient("s3", None)

    @override
    async def find(self, key: str, *, sha256: bytes, sizes: Collection[int]) -> FoundVersion | None:
        name = f"{self._prefix}/{key}" if self._prefix else key
        try:
            answer = await self._client.call(
                "list_object_versions", Bucket=self._bucket, Prefix=name, MaxKeys=VERSIONS_MAX
            )
            # The newest is listed first.
            right = [
                version
                for version in answer.get("Versions", [])
                if version["Key"] == name and version["Size"] in sizes
            ]
            for version in right[:READ_MAX]:
                body = await asyncio.wait_for(self._read(name, version), READ_S)
                if hashlib.sha256(body).digest() == sha256:
                    return FoundVersion(body, version["LastModified"])
        except FAILURES as error:
            if isinstance(error, ClientError) and error_code(error) in NO_VERSIONS:
                return None
            raise self._unavailable(error) from error
        return None

    async def _read(self, name: str, version: dict[str, Any]) -> bytes:
        answer = await self._client.call(
            "get_object", Bucket=self._bucket, Key=name, VersionId=version["VersionId"]
        )
        async with answer["Body"] as stream:
            body: bytes = await stream.read()
        return body

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        text = (str(error) or type(error).__name__).splitlines()[0]
        refused = error_code(error) in REFUSED
        return StoreUnavailable(
            f"The versions in the bucket {self._bucket} cannot be read ({text}).",
            remedy="Allow s3:ListBucketVersions and s3:GetObjectVersion."
            if refused
            else "Check TRIPTYCH_STORE_URL and its credentials.",
        )

    async def close(self) -> None:
        """Close its connections. Safe to repeat."""
        await self._client.close()
