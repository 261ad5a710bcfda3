"""The way in: an application load balancer with HTTPS, and a web application firewall."""

from __future__ import annotations

from aws_cdk import ArnFormat, Duration, RemovalPolicy, SecretValue, Stack
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from infra import routes
from infra.profiles import Choices
from infra.request_limits import rate_rules
from infra.retention import days
from infra.services import API_PORT, LIVE_PORT, Services

IDLE_S = 120
"""Well above the 25 s after which live status pings, and below the time for which servers keep an
idle connection (`triptych.runtime.asgi_server.KEEP_ALIVE_S`)."""
MANAGED = {
    "AWSManagedRulesAmazonIpReputationList": (),
    "AWSManagedRulesKnownBadInputsRuleSet": (),
    # Pictures to search by are larger than 8 KiB, and URLs in bodies are what this API is about.
    "AWSManagedRulesCommonRuleSet": (
        "SizeRestrictions_BODY",
        "GenericRFI_BODY",
        "EC2MetaDataSSRF_BODY",
    ),
}


UPLOADS = "/api/v1/uploads"
"""The path of the one operation whose body is a file of somebody's, which is stored and parsed in a
sandbox, and never shown as it is."""
SIGN_IN_UNCOUNTED = ("SizeRestrictions_QUERYSTRING", "SizeRestrictions_Cookie_HEADER")
"""What a provider sends back is longer than 2 KiB, and the balancer's cookies have up to 16 KiB."""
SCOPE = "openid email"
"""Claims that the provider is asked for: operators are named by their address."""


class Edge(Construct):
    """The balancer and its firewall; `lead_to` gives it services.

    It is made before them: they trust what this balancer signs, and so have its ARN.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        choices: Choices,
        vpc: ec2.IVpc,
        log_bucket: s3.IBucket,
    ) -> None:
        super().__init__(scope, name)
        self._profile = choices.profile
        self._choices, self._vpc = choices, vpc
        self.balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=vpc,
            internet_facing=True,
            idle_timeout=Duration.seconds(IDLE_S),
            drop_invalid_header_fields=True,
            deletion_protection=choices.profile.keep,
            http2_enabled=True,
        )
        self.balancer.log_access_logs(log_bucket, "balancer")
        self.balancer.add_redirect()
        self._firewall()

    def lead_to(self, services: Services) -> None:
        """Lead `/ws*` to live status and all else to the API, as `infra.routes` says."""
        listener = self.balancer.add_listener(
            "Https",
            port=443,
            certificates=[
                certificates.Certificate.from_certificate_arn(
                    self, "Certificate", self._choices.certificate
                )
            ],
            ssl_policy=elb.SslPolicy.RECOMMENDED_TLS,
        )
        self.api = self._group(listener, "Api", API_PORT, services.api, drain_s=30)
        # A client that is cut comes back elsewhere and misses nothing.
        self.live = self._group(listener, "Live", LIVE_PORT, services.live, drain_s=15)
        groups = {routes.API: self.api, routes.LIVE: self.live}
        signs_in = self._choices.sign_in is not None
        listener.add_action(
            "Api", action=self._action(self.api, routes.AUTHENTICATE if signs_in else None)
        )
        for rule in routes.BY_SIGN_IN if signs_in else routes.BY_KEY:
            listener.add_action(
                rule.name,
                priority=rule.priority,
                conditions=_conditions(rule),
                action=self._action(groups[rule.target], rule.unauthenticated),
            )

    def _group(
        self,
        listener: elb.ApplicationListener,
        name: str,
        port: int,
        service: ecs.Ec2Service,
        *,
        drain_s: int,
    ) -> elb.ApplicationTargetGroup:
        return elb.ApplicationTargetGroup(
            listener,
            f"{name}Group",
            vpc=self._vpc,
            port=port,
            protocol=elb.ApplicationProtocol.HTTP,
            targets=[service],
            deregistration_delay=Duration.seconds(drain_s),
            health_check=_health(),
        )

    def _action(
        self, group: elb.ApplicationTargetGroup, unauthenticated: str | None
    ) -> elb.ListenerAction:
        """Return what leads to a group; first to the identity provider, where that is wanted."""
        onward = elb.ListenerAction.forward([group])
        provider = self._choices.sign_in
        if unauthenticated is None or provider is None:
            return onward
        return elb.ListenerAction.authenticate_oidc(
            issuer=provider.issuer,
            client_id=provider.client,
            # CloudFormation asks Secrets Manager; the template has a reference.
            client_secret=SecretValue.secrets_manager(provider.secret),
            authorization_endpoint=provider.authorization,
            token_endpoint=provider.token,
            user_info_endpoint=provider.user_info,
            scope=SCOPE,
            session_timeout=Duration.hours(provider.session_hours),
            on_unauthenticated_request=elb.UnauthenticatedAction(unauthenticated.upper()),
            next=onward,
        )

    def _firewall(self) -> None:
        longer = SIGN_IN_UNCOUNTED if self._choices.sign_in else ()
        rules = rate_rules(_visible)
        rules += [_managed_rule(n, each, longer) for n, each in enumerate(MANAGED, len(rules))]
        firewall = waf.CfnWebACL(
            self,
            "Firewall",
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visible("firewall"),
            rules=rules,
        )
        group = logs.LogGroup(
            self,
            "FirewallLogs",
            # AWS WAF takes only groups of this prefix.
            log_group_name=f"aws-waf-logs-triptych-{self._profile.name}",
            retention=days(self._profile.log_days),
            removal_policy=RemovalPolicy.DESTROY,
        )
        waf.CfnLoggingConfiguration(
            self,
            "FirewallLogging",
            resource_arn=firewall.attr_arn,
            log_destination_configs=[
                Stack.of(self).format_arn(
                    service="logs",
                    resource="log-group",
                    resource_name=group.log_group_name,
                    arn_format=ArnFormat.COLON_RESOURCE_NAME,
                )
            ],
            redacted_fields=[
                {"singleHeader": {"Name": name}} for name in ("authorization", "cookie")
            ],
            # What was let through is in the balancer's own log.
            logging_filter={
                "DefaultBehavior": "DROP",
                "Filters": [
                    {
                        "Behavior": "KEEP",
                        "Requirement": "MEETS_ANY",
                        "Conditions": [{"ActionCondition": {"Action": "BLOCK"}}],
                    }
                ],
            },
        )
        waf.CfnWebACLAssociation(
            self,
            "FirewallOnBalancer",
            resource_arn=self.balancer.load_balancer_arn,
            web_acl_arn=firewall.attr_arn,
        )


def _conditions(rule: routes.Rule) -> list[elb.ListenerCondition]:
    found = [elb.ListenerCondition.path_patterns(list(rule.paths))] if rule.paths else []
    if rule.header:
        found.append(elb.ListenerCondition.http_header(rule.header[0], [rule.header[1]]))
    return found


def _health() -> elb.HealthCheck:
    return elb.HealthCheck(
        # Whether it lives, not whether the database and the queues do: a server that is taken away
        # because they are away comes back no sooner than they do.
        path="/healthz",
        interval=Duration.seconds(10),
        timeout=Duration.seconds(5),
        healthy_threshold_count=2,
        unhealthy_threshold_count=3,
    )


def _visible(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=True
    )


def _managed_rule(priority: int, name: str, longer: tuple[str, ...]) -> waf.CfnWebACL.RuleProperty:
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        statement=waf.CfnWebACL.StatementProperty(
            managed_rule_group_statement=waf.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS",
                name=name,
                # A list may have anything in it, such as the HTML of a shop's export.
                scope_down_statement=_not_an_upload() if MANAGED[name] else None,
                rule_action_overrides=[
                    waf.CfnWebACL.RuleActionOverrideProperty(
                        name=rule,
                        action_to_use=waf.CfnWebACL.RuleActionProperty(count={}),
                    )
                    for rule in MANAGED[name] + (longer if MANAGED[name] else ())
                ],
            )
        ),
        visibility_config=_visible(name),
    )


def _not_an_upload() -> waf.CfnWebACL.StatementProperty:
    upload = waf.CfnWebACL.StatementProperty(
        byte_match_statement=waf.CfnWebACL.ByteMatchStatementProperty(
            field_to_match=waf.CfnWebACL.FieldToMatchProperty(uri_path={}),
            positional_constraint="EXACTLY",
            search_string=UPLOADS,
            text_transformations=[
                waf.CfnWebACL.TextTransformationProperty(priority=0, type="NONE")
            ],
        )
    )
    return waf.CfnWebACL.StatementProperty(
        not_statement=waf.CfnWebACL.NotStatementProperty(statement=upload)
    )
