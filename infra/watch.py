"""What is watched: alarms that somebody gets, one dashboard, a budget."""

from __future__ import annotations

import math

from aws_cdk import Duration, Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_docdb as docdb
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.alarms import Own, alarms_of
from infra.data import Data
from infra.edge import Edge
from infra.functions import Functions
from infra.profiles import Choices
from infra.reads import Reads

MORE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
LESS = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


def _documentdb_metric(
    cluster: docdb.DatabaseCluster, name: str, statistic: str
) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/DocDB",
        metric_name=name,
        dimensions_map={"DBClusterIdentifier": cluster.cluster_identifier},
        statistic=statistic,
        period=Duration.minutes(5),
    )


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
        reads: Reads,
    ) -> None:
        super().__init__(scope, name)
        self._namespace = Stack.of(self).stack_name
        self._alarms = alarms_of(choices.reads)
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
        if reads.cluster is not None:
            self._documentdb(reads.cluster)
        self._work(functions)
        self._dashboard(data, edge, functions, reads)
        self._budget(choices)

    def _queues(self, data: Data) -> None:
        for name, pair in data.queues.items():
            minutes = Duration.minutes(5)
            oldest = pair.queue.metric_approximate_age_of_oldest_message(period=minutes)
            self._alarm(f"{name}-oldest", oldest)
            dead = pair.dead.metric_approximate_number_of_messages_visible(period=minutes)
            self._alarm(f"{name}-dead", dead)

    def _web(self, edge: Edge) -> None:
        codes = (elb.HttpCodeElb.ELB_5XX_COUNT, elb.HttpCodeTarget.TARGET_5XX_COUNT)
        metrics = edge.balancer.metrics
        minutes = Duration.minutes(5)
        self._alarm("5xx-balancer", metrics.http_code_elb(codes[0], period=minutes))
        self._alarm("5xx-services", metrics.http_code_target(codes[1], period=minutes))
        for name, group in (("api", edge.api), ("live", edge.live)):
            unhealthy = group.metrics.unhealthy_host_count(period=Duration.minutes(1))
            self._alarm(f"{name}-unhealthy", unhealthy)

    def _database(self, data: Data) -> None:
        database, minutes = data.database, Duration.minutes(5)
        self._alarm("database-cpu", database.metric_cpu_utilization(period=minutes))
        self._alarm("database-storage", database.metric_free_storage_space(period=minutes))

    def _documentdb(self, cluster: docdb.DatabaseCluster) -> None:
        def metric(name: str, statistic: str) -> cloudwatch.Metric:
            return _documentdb_metric(cluster, name, statistic)

        used = cloudwatch.MathExpression(
            expression="100 * used / most",
            using_metrics={
                "used": metric("DatabaseConnections", "Maximum"),
                "most": metric("DatabaseConnectionsLimit", "Minimum"),
            },
            period=Duration.minutes(5),
        )
        # Of all instances, the one that has it worst.
        self._alarm("documentdb-cpu", metric("CPUUtilization", "Maximum"))
        self._alarm("documentdb-memory", metric("FreeableMemory", "Minimum"))
        self._alarm("documentdb-storage", metric("FreeLocalStorage", "Minimum"))
        self._alarm("documentdb-connections", used)

    def _work(self, functions: Functions) -> None:
        """Alarms on Triptych's own metrics; the sweeper's are missing if it does not run."""
        for alarm in self._alarms.values():
            if alarm.own is not None:
                self._alarm(alarm.name, self._own(alarm.own))
        errors = functions.made["sweep"].metric_errors(period=Duration.minutes(5))
        self._alarm("sweep-errors", errors)

    def _own(self, own: Own) -> cloudwatch.Metric | cloudwatch.MathExpression:
        period = Duration.minutes(own.period_min)
        metrics = {
            name: cloudwatch.Metric(
                namespace=self._namespace, metric_name=metric, statistic=statistic, period=period
            )
            for name, (metric, statistic) in own.metrics.items()
        }
        if own.expression:
            return cloudwatch.MathExpression(
                expression=own.expression, using_metrics=metrics, period=period
            )
        (metric,) = metrics.values()
        return metric

    def _alarm(self, name: str, metric: cloudwatch.Metric | cloudwatch.MathExpression) -> None:
        """Make an alarm of the table."""
        given = self._alarms[name]
        periods = math.ceil(given.for_min / metric.period.to_minutes())
        missing = cloudwatch.TreatMissingData
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            alarm_description=f"{name}: what to do is in docs/runbooks.md#{given.runbook}",
            threshold=given.threshold,
            evaluation_periods=max(1, periods),
            comparison_operator=LESS if given.below else MORE,
            treat_missing_data=missing.BREACHING if given.silence_rings else missing.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self._topic))
        alarm.add_ok_action(actions.SnsAction(self._topic))

    def _dashboard(self, data: Data, edge: Edge, functions: Functions, reads: Reads) -> None:
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
                    graph(title="Items", left=self._plotted("Sum", "ItemsDone", "ItemsFailed")),
                    graph(
                        title="Runs",
                        left=self._plotted("Sum", "RunsCommitted", "RunsFailed"),
                        right=self._plotted("Maximum", "RunsStalled", "RunsHeld"),
                    ),
                    graph(
                        title="Seconds: commits, and the index behind its snapshots",
                        left=self._plotted("Maximum", "CommitSeconds", "IndexLagSeconds"),
                    ),
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
                *self._reads_graphs(reads),
            ],
        )

    def _reads_graphs(self, reads: Reads) -> list[list[cloudwatch.IWidget]]:
        """Return a row of graphs where immediate reads are answered by more than Postgres."""
        if not reads.settings and not reads.secrets():
            return []
        graph = cloudwatch.GraphWidget
        row: list[cloudwatch.IWidget] = [
            graph(
                title="Seconds: immediate reads behind the snapshots",
                left=self._plotted("Maximum", "ReadsLagSeconds"),
            )
        ]
        if reads.cluster is not None:
            cpu = _documentdb_metric(reads.cluster, "CPUUtilization", "Maximum")
            open_now = _documentdb_metric(reads.cluster, "DatabaseConnections", "Maximum")
            row.append(graph(title="DocumentDB", left=[cpu], right=[open_now]))
        return [row]

    def _plotted(self, statistic: str, *names: str) -> list[cloudwatch.IMetric]:
        return [
            cloudwatch.Metric(namespace=self._namespace, metric_name=name, statistic=statistic)
            for name in names
        ]

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
                budget_limit=budgets.CfnBudget.SpendProperty(amount=choices.budget_usd, unit="USD"),
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
