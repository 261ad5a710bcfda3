"""Browsers read thumbnails from the bucket, by URLs that the API signs for its page."""

from __future__ import annotations

from infra.tests.conftest import CONTEXT, Synthesised


def test_the_api_signs_urls_of_the_buckets_own_origin(prod: Synthesised) -> None:
    found = {
        container["Name"]: {each["Name"]: each["Value"] for each in container["Environment"]}
        for definition in prod.of("AWS::ECS::TaskDefinition").values()
        for container in definition["ContainerDefinitions"]
    }
    signs = {name for name, given in found.items() if "TRIPTYCH_DIRECT_THUMBNAILS" in given}
    assert signs == {"api"}
    assert found["api"]["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] == "true"


def test_the_bucket_lets_the_dashboards_scripts_read_and_nobody_elses(prod: Synthesised) -> None:
    rules = [
        bucket["CorsConfiguration"]["CorsRules"]
        for bucket in prod.of("AWS::S3::Bucket").values()
        if "CorsConfiguration" in bucket
    ]
    ((rule,),) = rules
    assert rule["AllowedOrigins"] == [f"https://{CONTEXT['domain']}"]
    assert rule["AllowedMethods"] == ["GET"]
