"""Servers for as many as are connected: live status by its clients, the API by its requests."""

from __future__ import annotations

from aws_cdk import Duration, Stack
from constructs import Construct

from infra.edge import Edge
from infra.services import Services
from infra.sizes import CLIENTS_A_TASK, REQUESTS_A_MINUTE, SCALE_IN_S, SCALE_OUT_S
from infra.tracking import Cooldowns, query, track

LIVE_CLIENTS = "LiveClients"
"""Metric of every process with live status, once a minute: `triptych.telemetry.cloudwatch_metrics`.
The balancer's ActiveConnectionCount would not do: it counts browsers' other connections, and those
to the tasks, too."""
COOLDOWNS = Cooldowns(SCALE_OUT_S, SCALE_IN_S)


class Connections(Construct):
    """Scales live status and the API besides what `Services` does by CPU."""

    def __init__(self, scope: Construct, name: str, services: Services, edge: Edge) -> None:
        super().__init__(scope, name)
        # A client counts until it leaves: a new one is led to where the fewest are.
        edge.live.set_attribute("load_balancing.algorithm.type", "least_outstanding_requests")
        track(
            self,
            "live-clients",
            services.live,
            # Each process writes its number once a minute, so that the sum of a minute is all.
            [query("clients", Stack.of(self).stack_name, LIVE_CLIENTS, {}, stat="Sum")],
            "clients",
            CLIENTS_A_TASK,
            COOLDOWNS,
            after=services.scaling["LiveService"],
        )
        services.scaling["ApiService"].scale_on_request_count(
            "Requests",
            requests_per_target=REQUESTS_A_MINUTE,
            target_group=edge.api,
            scale_in_cooldown=Duration.seconds(COOLDOWNS.in_s),
            scale_out_cooldown=Duration.seconds(COOLDOWNS.out_s),
        )
