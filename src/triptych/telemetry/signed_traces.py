"""Traces to Amazon CloudWatch without a collector: requests signed with the process's own role.

The endpoint takes OTLP over HTTP and is authorised as ``xray:PutTraceSegments``; it needs
Transaction Search in the account:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html
"""

from __future__ import annotations

import re
from typing import Any

import requests
import requests.auth
from typing_extensions import override

SERVICE = "xray"
ENDPOINT = re.compile(r"https://xray\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?/v1/traces")


def region_of(endpoint: str) -> str | None:
    """Return the region of an endpoint of CloudWatch's; None for any other."""
    match = ENDPOINT.fullmatch(endpoint)
    return match[1] if match else None


def signed_session(region: str) -> requests.Session:
    """Return a session whose requests are signed for CloudWatch in a region."""
    session = requests.Session()
    session.auth = SignatureV4(region)
    return session


class SignatureV4(requests.auth.AuthBase):
    """Signs requests with the credentials that the SDK finds: on ECS those of the task's role.

    They are looked for at the first request and renewed before they end. Without any, a request
    goes out unsigned and is refused, which the exporter logs.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._credentials: Any = None

    @override
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Imported where it is used: botocore takes as long as all the rest of a command.
        import botocore.session
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        if self._credentials is None:
            self._credentials = botocore.session.get_session().get_credentials()
        if self._credentials is None:
            return request
        frozen = self._credentials.get_frozen_credentials()
        # Of the headers only what nobody on the way changes.
        headers = {"Content-Type": request.headers["Content-Type"]}
        signed = AWSRequest(request.method, request.url, headers=headers, data=request.body)
        SigV4Auth(frozen, SERVICE, self._region).add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        return request
