"""Sign-in with an identity provider: the listener's rules, the secret, whom the servers trust."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from infra import sign_in
from infra.profiles import Choices
from infra.routes import BY_SIGN_IN
from infra.sign_in import DISCOVERY_MAX_BYTES, NEEDED, SignIn, discover
from infra.tests.conftest import CONTEXT, ENDPOINTS, ISSUER, SIGN_IN, Synthesised

REGION = "eu-central-1"
SECRET = SIGN_IN["oidc_secret"]
PUBLISHED = {"issuer": ISSUER} | {
    theirs: ENDPOINTS[ours] for ours, theirs in sign_in.ENDPOINTS.items()
}


def published(**changes: object) -> Any:
    """Return a fetch that answers as the provider does, with changes."""
    body = {name: value for name, value in {**PUBLISHED, **changes}.items() if value is not None}

    def fetch(url: str) -> bytes:
        assert url == f"{ISSUER}/.well-known/openid-configuration"
        return json.dumps(body).encode()

    return fetch


def target(synthesised: Synthesised, actions: list[dict[str, Any]]) -> str:
    """Return which service the last of a rule's actions leads to."""
    forward = max(actions, key=lambda action: action.get("Order", 1))
    port = synthesised.of("AWS::ElasticLoadBalancingV2::TargetGroup")[
        forward["TargetGroupArn"]["Ref"]
    ]["Port"]
    return {8321: "api", 8701: "live"}[port]


def asks(actions: list[dict[str, Any]]) -> str | None:
    """Return what happens to a request without a session, or None if it needs none."""
    first = min(actions, key=lambda action: action.get("Order", 1))
    found: str | None = first.get("AuthenticateOidcConfig", {}).get("OnUnauthenticatedRequest")
    return found


def test_rules_come_in_their_order_and_who_bypasses_is_named(chosen: Synthesised) -> None:
    rules = chosen.of("AWS::ElasticLoadBalancingV2::ListenerRule").values()
    found = []
    for rule in sorted(rules, key=lambda rule: int(rule["Priority"])):
        wanted = {}
        for condition in rule["Conditions"]:
            if condition["Field"] == "path-pattern":
                wanted["path"] = condition["PathPatternConfig"]["Values"]
            else:
                (value,) = condition["HttpHeaderConfig"]["Values"]
                wanted[condition["HttpHeaderConfig"]["HttpHeaderName"]] = value
        found.append((wanted, asks(rule["Actions"]), target(chosen, rule["Actions"])))
    live = {"path": ["/ws", "/ws/*"]}
    assert found == [
        ({"path": ["/healthz", "/readyz"]}, None, "api"),
        ({**live, "Authorization": "Bearer *"}, None, "live"),
        ({**live, "Sec-WebSocket-Protocol": "*triptych.key.*"}, None, "live"),
        ({"Authorization": "Bearer *"}, None, "api"),
        ({"path": ["/api/*"], "Sec-Fetch-Mode": "navigate"}, "authenticate", "api"),
        ({"path": ["/api/*"]}, "deny", "api"),
        (live, "deny", "live"),
    ]
    (https,) = [
        listener
        for listener in chosen.of("AWS::ElasticLoadBalancingV2::Listener").values()
        if listener["Port"] == 443
    ]
    assert asks(https["DefaultActions"]) == "authenticate"
    assert target(chosen, https["DefaultActions"]) == "api"
    assert len({rule.priority for rule in BY_SIGN_IN}) == len(BY_SIGN_IN)


def test_the_clients_secret_is_a_reference_and_in_no_template(chosen: Synthesised) -> None:
    resources = chosen.json["Resources"].values()
    configurations = [
        action["AuthenticateOidcConfig"]
        for resource in resources
        for actions in ("Actions", "DefaultActions")
        for action in resource.get("Properties", {}).get(actions, ())
        if isinstance(action, dict) and "AuthenticateOidcConfig" in action
    ]
    assert len(configurations) == 4
    for given in configurations:
        assert given["ClientSecret"] == f"{{{{resolve:secretsmanager:{SECRET}:SecretString:::}}}}"
        assert given["Issuer"] == ISSUER
        assert given["AuthorizationEndpoint"] == ENDPOINTS["oidc_authorization_endpoint"]
        assert given["TokenEndpoint"] == ENDPOINTS["oidc_token_endpoint"]
        assert given["UserInfoEndpoint"] == ENDPOINTS["oidc_user_info_endpoint"]
        assert given["Scope"] == "openid email"
        assert str(given["SessionTimeout"]) == str(12 * 3600)


def test_both_servers_trust_this_balancer_and_it_waits_for_neither(chosen: Synthesised) -> None:
    (balancer,) = chosen.of("AWS::ElasticLoadBalancingV2::LoadBalancer")
    trusting = set()
    for definition in chosen.of("AWS::ECS::TaskDefinition").values():
        for container in definition["ContainerDefinitions"]:
            given = {each["Name"]: each["Value"] for each in container["Environment"]}
            if "TRIPTYCH_OIDC_SIGNER" in given:
                trusting.add(container["Name"])
                assert given["TRIPTYCH_OIDC_SIGNER"] == {"Ref": balancer}
                assert given["TRIPTYCH_OIDC_ISSUER"] == ISSUER
                assert given["TRIPTYCH_OIDC_CLIENT"] == "triptych-1"
                assert given["TRIPTYCH_OIDC_OPERATORS"] == "email:boss@example.org,sub:chief"
    assert trusting == {"api", "live"}
    # What the balancer waits for, followed to its end, has nothing that waits for the balancer.
    resources, after = chosen.json["Resources"], [balancer]
    seen: set[str] = set()
    while after:
        text = json.dumps(resources[after.pop()])
        new = {name for name in resources if f'"{name}"' in text} - seen
        seen |= new
        after += new
    assert balancer not in seen
    assert not any(name.startswith("Services") for name in seen)


def test_the_balancer_reaches_the_provider_over_https_alone(
    chosen: Synthesised, prod: Synthesised
) -> None:
    def beyond(synthesised: Synthesised) -> list[int]:
        (group,) = [
            group
            for name, group in synthesised.of("AWS::EC2::SecurityGroup").items()
            if name.startswith("EdgeBalancer")
        ]
        out = group.get("SecurityGroupEgress", [])
        return [each["FromPort"] for each in out if each["CidrIp"] == "0.0.0.0/0"]

    assert beyond(chosen) == [443]
    assert beyond(prod) == []


def test_the_firewall_lets_long_answers_of_providers_through(chosen: Synthesised) -> None:
    (firewall,) = chosen.of("AWS::WAFv2::WebACL").values()
    counted = {
        override["Name"]
        for rule in firewall["Rules"]
        for override in rule["Statement"]
        .get("ManagedRuleGroupStatement", {})
        .get("RuleActionOverrides", ())
    }
    assert {"SizeRestrictions_QUERYSTRING", "SizeRestrictions_Cookie_HEADER"} <= counted


def test_without_a_provider_nothing_asks_for_one(prod: Synthesised) -> None:
    assert "Oidc" not in json.dumps(prod.json)
    assert "TRIPTYCH_OIDC" not in json.dumps(prod.json)


@pytest.mark.parametrize("missing", NEEDED)
def test_what_is_missing_of_the_provider_is_named(missing: str) -> None:
    said = {name: value for name, value in SIGN_IN.items() if name != missing}
    with pytest.raises(ValueError, match=f"^{missing}: is missing; give .* -c {missing}="):
        Choices.read({**CONTEXT, **said, **ENDPOINTS})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("oidc_issuer", "http://idp.example"),
        ("oidc_issuer", "https://idp.example?x=1"),
        ("oidc_secret", "s3cret"),
        ("oidc_secret", SECRET.replace(REGION, "us-east-1")),
        ("oidc_secret", SECRET + ":key"),
        ("oidc_token_endpoint", "http://idp.example/token"),
        ("oidc_token_endpoint", "https://idp.example:8443/token"),
        ("oidc_token_endpoint", "https://idp.example:x/token"),
        ("oidc_token_endpoint", "https://user:pass@idp.example/token"),
        ("oidc_session_hours", "0"),
        ("oidc_session_hours", "169"),
        ("oidc_session_hours", "½"),
        ("operators", "boss"),
        ("operators", "a@x.example,sub:"),
        ("operators", "group:admins"),
    ],
)
def test_what_is_wrong_of_the_provider_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        Choices.read({**CONTEXT, **SIGN_IN, **ENDPOINTS, name: value})


def test_a_provider_has_all_endpoints_named_or_none() -> None:
    with pytest.raises(ValueError, match=r"^oidc_authorization_endpoint: name all or none"):
        SignIn.read({**SIGN_IN, "oidc_token_endpoint": f"{ISSUER}/t"}, REGION)


def test_endpoints_are_asked_of_the_issuer() -> None:
    found = SignIn.read(SIGN_IN, REGION, published())
    assert found is not None
    assert [found.authorization, found.token, found.user_info] == [*ENDPOINTS.values()]
    assert SignIn.read({}, REGION) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": ISSUER + "/"},
        {"token_endpoint": None},
        {"token_endpoint": 7},
    ],
)
def test_an_issuer_that_publishes_something_else_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^oidc_issuer: "):
        discover(ISSUER, published(**changes))


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"\xff"])
def test_an_issuer_that_publishes_nothing_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^oidc_issuer: "):
        discover(ISSUER, lambda _: body)


def test_an_issuer_that_does_not_answer_is_refused_with_the_remedy() -> None:
    def away(_: str) -> bytes:
        raise TimeoutError("timed out")

    with pytest.raises(ValueError, match=r"timed out.*-c oidc_token_endpoint="):
        discover(ISSUER, away)


def test_discovery_is_read_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    large = io.BytesIO(b"x" * (DISCOVERY_MAX_BYTES + 9))
    monkeypatch.setattr(sign_in, "urlopen", lambda *_, **__: large)
    with pytest.raises(ValueError, match="more than"):
        sign_in.fetched(ISSUER)
