"""What is watched: alarms that somebody gets, one dashboard, a budget."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.data import Data
from infra.edge import Edge
from infra.functions import Functions
from infra.profiles import Choices

OLDEST_S = {
    "brand-gather-queue": 900,
    "url-process-queue": 1800,
    "brand-ai-phase-queue": 3600,
}
"""Seconds after which a waiting message is too old: those put off wait 15 minutes at most."""
FREE_STORAGE_BYTES = 5 * 1024**3
DATABASE_CPU = 85
NAMESPACE = "Triptych"
RUNBOOKS = {
    **{f"{queue}-oldest": "oldest-message" for queue in OLDEST_S},
    **{f"{queue}-dead": "dead-letters" for queue in OLDEST_S},
    "5xx-balancer": "errors-and-unhealthy-servers",
    "5xx-services": "errors-and-unhealthy-servers",
    "api-unhealthy": "errors-and-unhealthy-servers",
    "live-unhealthy": "errors-and-unhealthy-servers",
    "database-cpu": "database-load",
    "database-storage": "disk-full",
    "stuck-runs": "stalled-run",
    "sweep-errors": "sweeper",
}
"""The section of docs/runbooks.md for each alarm."""
STUCK = "StuckRuns"
MORE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
LESS = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


class Watch(Construct):
    """Alarms go to one topic and from there to the deployer's address."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        choices: Choices,
        data: Data,
        edge: Edge,
        functions: Functions,
    ) -> None:
        super().__init__(scope, name)
        self._topic = sns.Topic(self, "Alarms", enforce_ssl=True)
        self._topic.grant_publish(iam.ServicePrincipal("cloudwatch.amazonaws.com"))
        sns.Subscription(
            self,
            "ByMail",
            topic=self._topic,
            protocol=sns.SubscriptionProtocol.EMAIL,
            endpoint=choices.email,
        )
        self._queues(data)
        self._web(edge)
        self._database(data)
        self._runs(functions)
        self._dashboard(data, edge, functions)
        self._budget(choices)

    def _queues(self, data: Data) -> None:
        for name, pair in data.queues.items():
            oldest = pair.queue.metric_approximate_age_of_oldest_message(period=Duration.minutes(5))
            self._alarm(f"{name}-oldest", oldest, OLDEST_S[name], periods=2)
            dead = pair.dead.metric_approximate_number_of_messages_visible(
                period=Duration.minutes(5)
            )
            # Workers take dead letters at once: what stays is not even recorded.
            self._alarm(f"{name}-dead", dead, 0, periods=3)

    def _web(self, edge: Edge) -> None:
        codes = (elb.HttpCodeElb.ELB_5XX_COUNT, elb.HttpCodeTarget.TARGET_5XX_COUNT)
        metrics = edge.balancer.metrics
        minutes = Duration.minutes(5)
        self._alarm("5xx-balancer", metrics.http_code_elb(codes[0], period=minutes), 10)
        self._alarm("5xx-services", metrics.http_code_target(codes[1], period=minutes), 10)
        for name, group in (("api", edge.api), ("live", edge.live)):
            unhealthy = group.metrics.unhealthy_host_count(period=Duration.minutes(1))
            self._alarm(f"{name}-unhealthy", unhealthy, 0, periods=5)

    def _database(self, data: Data) -> None:
        database = data.database
        cpu = database.metric_cpu_utilization(period=Duration.minutes(5))
        self._alarm("database-cpu", cpu, DATABASE_CPU, periods=3)
        free = database.metric_free_storage_space(period=Duration.minutes(5))
        self._alarm("database-storage", free, FREE_STORAGE_BYTES, below=True)

    def _runs(self, functions: Functions) -> None:
        """The sweeper's line tells how many runs stand still; silence is an alarm, too."""
        logs.MetricFilter(
            self,
            "Stuck",
            log_group=functions.logs["sweep"],
            filter_pattern=logs.FilterPattern.string_value("$.event", "=", "care_taken"),
            metric_namespace=NAMESPACE,
            metric_name=STUCK,
            metric_value="$.stuck_runs",
        )
        stuck = cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=STUCK,
            statistic="Maximum",
            period=Duration.minutes(5),
        )
        self._alarm("stuck-runs", stuck, 0, periods=2, silent=cloudwatch.TreatMissingData.BREACHING)
        errors = functions.made["sweep"].metric_errors(period=Duration.minutes(5))
        self._alarm("sweep-errors", errors, 2, periods=2)

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        *,
        periods: int = 1,
        below: bool = False,
        silent: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            alarm_description=f"{name}: what to do is in docs/runbooks.md#{RUNBOOKS[name]}",
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=LESS if below else MORE,
            treat_missing_data=silent,
        )
        alarm.add_alarm_action(actions.SnsAction(self._topic))
        alarm.add_ok_action(actions.SnsAction(self._topic))

    def _dashboard(self, data: Data, edge: Edge, functions: Functions) -> None:
        pairs = list(data.queues.values())
        waiting = [p.queue.metric_approximate_number_of_messages_visible() for p in pairs]
        oldest = [p.queue.metric_approximate_age_of_oldest_message() for p in pairs]
        dead = [p.dead.metric_approximate_number_of_messages_visible() for p in pairs]
        metrics = edge.balancer.metrics
        database = data.database
        graph = cloudwatch.GraphWidget
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            widgets=[
                [
                    graph(title="Messages waiting", left=waiting),
                    graph(title="Oldest message", left=oldest),
                    graph(title="Dead letters", left=dead),
                ],
                [
                    graph(
                        title="Requests and 5xx",
                        left=[metrics.request_count()],
                        right=[metrics.http_code_target(elb.HttpCodeTarget.TARGET_5XX_COUNT)],
                    ),
                    graph(title="Answer time", left=[metrics.target_response_time()]),
                    graph(title="Live clients", left=[metrics.active_connection_count()]),
                ],
                [
                    graph(
                        title="Database",
                        left=[database.metric_cpu_utilization()],
                        right=[database.metric_database_connections()],
                    ),
                    graph(title="Storage left", left=[database.metric_free_storage_space()]),
                    graph(
                        title="Functions",
                        left=[each.metric_duration() for each in functions.made.values()],
                        right=[each.metric_errors() for each in functions.made.values()],
                    ),
                ],
            ],
        )

    def _budget(self, choices: Choices) -> None:
        teller = budgets.CfnBudget.SubscriberProperty(
            address=choices.email, subscription_type="EMAIL"
        )
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(
                    amount=choices.profile.budget_usd, unit="USD"
                ),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN",
                        notification_type=kind,
                        threshold=share,
                    ),
                    subscribers=[teller],
                )
                for kind, share in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
        )
