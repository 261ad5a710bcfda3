"""The template's numbers agree with each other: tasks with hosts, counts with groups."""

from __future__ import annotations

from typing import Any

import pytest

from infra.cluster import LARGE, LARGE_MAX, MEMORY_SHARE, SPOT, SPOT_MAX, STEADY, STEADY_MAX
from infra.profiles import PROFILES
from infra.sizes import BATCH, HIDDEN_TIMES, SHAPES, SIZES, TASK_WINDOW, hidden_s, window
from infra.tests.conftest import CONTEXT, Synthesised

SIZE_OF = {"large": (2, 2, 3), "xlarge": (4, 4, 4)}
"""vCPUs, share of memory, and network interfaces, of which the host has one (Amazon EC2 docs)."""
WINDOW = "TRIPTYCH_DISPATCH_WINDOW"
GIB_A_VCPU = {"m": 4, "r": 8}
PROVIDERS = {
    "steady": (STEADY, STEADY_MAX, ("api", "live")),
    "large": (LARGE, LARGE_MAX, ("ai",)),
    "spot": (SPOT, SPOT_MAX, ("gather", "acquire")),
}


def host(kind: str) -> tuple[int, float, int]:
    """Return CPU units, MiB for tasks, and how many tasks can have an interface."""
    family, size = kind.split(".")
    vcpus, _, interfaces = SIZE_OF[size]
    memory = vcpus * GIB_A_VCPU[family[0]] * 1024 * MEMORY_SHARE
    return vcpus * 1024, memory, interfaces - 1


def taken(synthesised: Synthesised, service: str) -> tuple[int, int]:
    """Return CPU units and MiB of a service's task, all its containers together."""
    (definition,) = [
        properties["ContainerDefinitions"]
        for name, properties in synthesised.of("AWS::ECS::TaskDefinition").items()
        if name.lower().startswith((f"services{service}", f"workers{service}"))
    ]
    return sum(each["Cpu"] for each in definition), sum(each["Memory"] for each in definition)


def provider_of(properties: dict[str, Any]) -> str:
    (strategy,) = properties["CapacityProviderStrategy"]
    name = str(strategy["CapacityProvider"]["Ref"]).lower()
    return next(each for each in PROVIDERS if f"cluster{each}" in name)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_task_fits_every_host_of_its_provider_beside_the_others(
    prod: Synthesised, provider: str
) -> None:
    kinds, _, services = PROVIDERS[provider]
    cpu, memory = map(sum, zip(*(taken(prod, each) for each in services), strict=True))
    for kind in kinds:
        cpu_there, memory_there, tasks_there = host(kind)
        assert cpu <= cpu_there, kind
        assert memory <= memory_there, kind
        assert len(services) <= tasks_there, kind


def test_services_are_on_the_provider_that_they_are_sized_for(prod: Synthesised) -> None:
    for name, properties in prod.of("AWS::ECS::Service").items():
        services = PROVIDERS[provider_of(properties)][2]
        assert any(each in name.lower() for each in services), name


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_most_tasks_have_room_in_their_group(
    prod: Synthesised, provider: str, profile: Any
) -> None:
    kinds, most, services = PROVIDERS[provider]
    # Behind the balancer, a release runs the new tasks beside the old ones.
    times = 2 if provider == "steady" else 1
    wanted = {each: times * profile.tasks[each][1] for each in services}
    for kind in kinds:
        cpu_there, memory_there, tasks_there = host(kind)
        hosts = max(
            sum(count * taken(prod, each)[0] for each, count in wanted.items()) / cpu_there,
            sum(count * taken(prod, each)[1] for each, count in wanted.items()) / memory_there,
            sum(wanted.values()) / tasks_there,
        )
        assert hosts <= most, kind


def test_spot_has_many_kinds_and_hosts_beside_it(prod: Synthesised) -> None:
    groups = prod.of("AWS::AutoScaling::AutoScalingGroup")
    (spot,) = [group for name, group in groups.items() if "Spot" in name]
    policy = spot["MixedInstancesPolicy"]
    assert len(policy["LaunchTemplate"]["Overrides"]) == len(SPOT) >= 10
    assert policy["InstancesDistribution"]["OnDemandBaseCapacity"] >= 1
    assert policy["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"] == 0


def test_a_release_resets_no_count_of_tasks(
    prod: Synthesised, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name, properties in prod.of("AWS::ECS::Service").items():
        assert "DesiredCount" not in properties, name
    first = Synthesised(
        tmp_path_factory.mktemp("idle"), "prod", "ecs", context={**CONTEXT, "idle": "true"}
    )
    counts = [service["DesiredCount"] for service in first.of("AWS::ECS::Service").values()]
    assert counts == [0] * 5


def test_zones_are_looked_up(prod: Synthesised) -> None:
    subnets = prod.of("AWS::EC2::Subnet").values()
    assert all("Fn::GetAZs" in str(subnet["AvailabilityZone"]) for subnet in subnets)


def test_the_balancer_asks_whether_servers_live_and_not_what_they_depend_on(
    prod: Synthesised,
) -> None:
    groups = prod.of("AWS::ElasticLoadBalancingV2::TargetGroup").values()
    assert {group["HealthCheckPath"] for group in groups} == {"/healthz"}


def test_messages_of_functions_stay_hidden_for_six_times_their_timeout() -> None:
    hidden = hidden_s("lambda")
    assert all(hidden[shape.queue] >= HIDDEN_TIMES * shape.timeout_s for shape in SHAPES)
    assert HIDDEN_TIMES >= 6


def test_a_brand_alone_doubles_the_tasks_at_each_scaling(prod: Synthesised) -> None:
    (acquire,) = [size for size in SIZES if size.phase == "acquire"]
    for definition in prod.of("AWS::ECS::TaskDefinition").values():
        for container in definition["ContainerDefinitions"]:
            given = {each["Name"]: each["Value"] for each in container["Environment"]}
            assert int(given["TRIPTYCH_DISPATCH_WINDOW"]) == TASK_WINDOW > 2 * acquire.backlog


def test_the_window_of_functions_keeps_all_that_may_run_busy(dev: Synthesised) -> None:
    (acquire,) = [shape for shape in SHAPES if shape.phase == "acquire"]
    functions = dev.of("AWS::Lambda::Function").values()
    given = [each.get("Environment", {}).get("Variables", {}) for each in functions]
    windows = {int(each[WINDOW]) for each in given if WINDOW in each}
    assert windows == {window("lambda")}
    assert window("lambda") >= 2 * BATCH * acquire.concurrency
