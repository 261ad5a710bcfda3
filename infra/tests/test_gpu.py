"""With `acquire_gpu`, acquire alone has GPUs: one a task, on hosts that it fits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.cluster import GPU, GPU_DISK_GIB, GPU_MAX, MEMORY_SHARE
from infra.profiles import PROFILES, Choices
from infra.sizes import ACQUIRE_WITH_GPU, SIZES, sizes
from infra.tests.conftest import CONTEXT, Synthesised

HOSTS = {"g4dn.xlarge": (4, 16, 1, 3), "g5.xlarge": (4, 16, 1, 4), "g6.xlarge": (4, 16, 1, 4)}
"""vCPUs, GiB, GPUs and network interfaces, of which the host has one (Amazon EC2 docs)."""


def found(synthesised: Synthesised, kind: str, name: str) -> dict[str, Any]:
    """Return the one resource of a kind whose logical id begins with a name."""
    (one,) = [each for given, each in synthesised.of(kind).items() if given.startswith(name)]
    return one


@pytest.fixture
def container(external: Synthesised) -> dict[str, Any]:
    definition = found(external, "AWS::ECS::TaskDefinition", "Workersacquire")
    (container,) = definition["ContainerDefinitions"]
    return dict(container)


@pytest.mark.parametrize("kind", GPU)
def test_a_task_fits_every_kind_of_host_and_has_its_gpus(
    container: dict[str, Any], kind: str
) -> None:
    vcpus, gib, gpus, interfaces = HOSTS[kind]
    assert container["Cpu"] <= vcpus * 1024
    assert container["Memory"] <= gib * 1024 * MEMORY_SHARE
    assert container["ResourceRequirements"] == [{"Type": "GPU", "Value": str(gpus)}]
    assert interfaces >= 2, "one for the task, where it has its own"


def test_acquire_alone_is_on_hosts_with_a_gpu(external: Synthesised) -> None:
    on_gpus = [
        name
        for name, service in external.of("AWS::ECS::Service").items()
        if "ClusterGpu" in json.dumps(service["CapacityProviderStrategy"])
    ]
    assert [name.startswith("Workersacquire") for name in on_gpus] == [True]
    definitions = external.of("AWS::ECS::TaskDefinition")
    asking = [name for name, each in definitions.items() if "ResourceReq" in json.dumps(each)]
    assert [name.startswith("Workersacquire") for name in asking] == [True]


def test_hosts_are_of_the_image_with_the_driver_and_the_agent_gives_gpus_out(
    external: Synthesised,
) -> None:
    data = found(external, "AWS::EC2::LaunchTemplate", "ClusterGpu")["LaunchTemplateData"]
    parameter = external.json["Parameters"][data["ImageId"]["Ref"]]["Default"]
    assert "/ecs/optimized-ami/amazon-linux-2023/gpu/" in parameter
    assert "ECS_ENABLE_GPU_SUPPORT=true" in json.dumps(data["UserData"])
    assert data["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == GPU_DISK_GIB
    group = found(external, "AWS::AutoScaling::AutoScalingGroup", "ClusterGpu")
    overrides = group["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
    assert [each["InstanceType"] for each in overrides] == list(GPU)
    assert (group["MinSize"], group["MaxSize"]) == ("0", str(GPU_MAX))


def test_the_task_has_an_image_and_settings_of_its_own(
    external: Synthesised, container: dict[str, Any]
) -> None:
    settings = {each["Name"]: each["Value"] for each in container["Environment"]}
    assert settings["TRIPTYCH_EMBED_DEVICE"] == "cuda"
    assert settings["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    others = [
        each
        for definition in external.of("AWS::ECS::TaskDefinition").values()
        for each in definition["ContainerDefinitions"]
        if each["Name"] != "worker-acquire"
    ]
    assert container["Image"] not in [each["Image"] for each in others]
    for each in others:
        assert "TRIPTYCH_EMBED_DEVICE" not in json.dumps(each["Environment"])
    built = json.loads(
        external.file.with_name(f"{external.file.stem.split('.')[0]}.assets.json").read_text()
    )
    sources = [image["source"] for image in built["dockerImages"].values()]
    (with_cuda,) = [each for each in sources if each.get("dockerBuildArgs") == {"PACKAGES": "gpu"}]
    assert with_cuda["platform"] == "linux/amd64"
    assert {each["platform"] for each in sources if each is not with_cuda} == {"linux/arm64"}


@pytest.mark.parametrize("profile", PROFILES)
def test_the_most_tasks_have_a_host_each(profile: str) -> None:
    chosen = Choices.read({**CONTEXT, "profile": profile, "acquire_gpu": "true"})
    least, most = chosen.tasks("acquire")
    assert (least, most) == (0, PROFILES[profile].gpu_tasks)
    assert 1 <= most <= GPU_MAX
    assert chosen.tasks("gather") == PROFILES[profile].tasks["gather"]
    assert sizes(acquire_gpu=chosen.acquire_gpu).count(ACQUIRE_WITH_GPU) == 1


def test_the_tasks_of_acquire_are_scaled_within_that(external: Synthesised) -> None:
    targets = external.of("AWS::ApplicationAutoScaling::ScalableTarget")
    (most,) = [each["MaxCapacity"] for name, each in targets.items() if "acquire" in name.lower()]
    assert most == PROFILES["prod"].gpu_tasks


def test_it_is_off_by_default(prod: Synthesised) -> None:
    assert not Choices.read(CONTEXT).acquire_gpu
    assert sizes(acquire_gpu=False) == SIZES
    text = json.dumps(prod.json)
    assert not [each for each in ("ClusterGpu", "ResourceRequirements", "/gpu/") if each in text]
