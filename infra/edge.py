"""The way in: an application load balancer with HTTPS, and a web application firewall."""

from __future__ import annotations

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

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


class Edge(Construct):
    """`/` and `/api` lead to the API service, `/ws*` to the live service."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        choices: Choices,
        vpc: ec2.IVpc,
        services: Services,
        log_bucket: s3.IBucket,
    ) -> None:
        super().__init__(scope, name)
        self._profile = choices.profile
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
        listener = self.balancer.add_listener(
            "Https",
            port=443,
            certificates=[
                certificates.Certificate.from_certificate_arn(
                    self, "Certificate", choices.certificate
                )
            ],
            ssl_policy=elb.SslPolicy.RECOMMENDED_TLS,
        )
        self.api = listener.add_targets(
            "Api",
            port=API_PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            targets=[services.api],
            deregistration_delay=Duration.seconds(30),
            health_check=_health(),
        )
        self.live = listener.add_targets(
            "Live",
            priority=10,
            conditions=[elb.ListenerCondition.path_patterns(["/ws", "/ws/*"])],
            port=LIVE_PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            targets=[services.live],
            # A client that is cut comes back elsewhere and misses nothing.
            deregistration_delay=Duration.seconds(15),
            health_check=_health(),
        )
        self._firewall()

    def _firewall(self) -> None:
        rules = rate_rules(_visible)
        rules += [_managed_rule(n, each) for n, each in enumerate(MANAGED, len(rules))]
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


def _managed_rule(priority: int, name: str) -> waf.CfnWebACL.RuleProperty:
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        statement=waf.CfnWebACL.StatementProperty(
            managed_rule_group_statement=waf.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS",
                name=name,
                rule_action_overrides=[
                    waf.CfnWebACL.RuleActionOverrideProperty(
                        name=rule,
                        action_to_use=waf.CfnWebACL.RuleActionProperty(count={}),
                    )
                    for rule in MANAGED[name]
                ],
            )
        ),
        visibility_config=_visible(name),
    )
