"""The synthesised template, made fit for the emulator: what that cannot make is taken out."""

from __future__ import annotations

import copy
from typing import Any

STRIPPED = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "no such service in the emulator",
    "AWS::ApplicationAutoScaling::ScalingPolicy": "no such service in the emulator",
    "AWS::AutoScaling::AutoScalingGroup": "no hosts to scale",
    "AWS::Budgets::Budget": "no such service in the emulator",
    "AWS::CDK::Metadata": "says nothing of the stack",
    "AWS::CloudWatch::Alarm": "metric math is not understood",
    "AWS::DocDB::DBCluster": "no such service in the emulator",
    "AWS::DocDB::DBClusterParameterGroup": "no such service in the emulator",
    "AWS::DocDB::DBInstance": "no such service in the emulator",
    "AWS::DocDB::DBSubnetGroup": "no such service in the emulator",
    "AWS::EC2::EIP": "not made by the emulator",
    "AWS::EC2::FlowLog": "not made by the emulator",
    "AWS::EC2::LaunchTemplate": "no hosts to launch",
    "AWS::EC2::NatGateway": "not made by the emulator",
    "AWS::EC2::SecurityGroupEgress": "not made by the emulator",
    "AWS::EC2::SecurityGroupIngress": "not made by the emulator",
    "AWS::ECS::CapacityProvider": "no hosts to provide",
    "AWS::ECS::ClusterCapacityProviderAssociations": "no hosts to provide",
    "AWS::Lambda::EventSourceMapping": "its functions are images",
    "AWS::Lambda::Function": "images need Docker",
    "AWS::Lambda::Permission": "its functions are images",
    "AWS::RDS::DBInstance": "needs Docker",
    "AWS::RDS::DBParameterGroup": "needs Docker",
    "AWS::SecretsManager::SecretTargetAttachment": "its database is not made",
    "AWS::WAFv2::LoggingConfiguration": "not made by the emulator",
    "AWS::WAFv2::WebACLAssociation": "not made by the emulator",
}
"""Types that are taken out, and why. The template's assertions cover all of them."""
CUSTOM = "Custom::"
"""Resources that a function makes: there are no functions."""
PLACE = "not-made-by-the-emulator"


def strip(template: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a template without what is stripped, and the type of each resource taken out.

    What refers to those gets a placeholder.
    """
    fit = copy.deepcopy(template)
    resources: dict[str, Any] = fit["Resources"]
    gone = {
        name: resource["Type"]
        for name, resource in resources.items()
        if resource["Type"] in STRIPPED or resource["Type"].startswith(CUSTOM)
    }
    for name in gone:
        del resources[name]
    for resource in resources.values():
        before = resource.pop("DependsOn", [])
        kept = [n for n in ([before] if isinstance(before, str) else before) if n not in gone]
        if kept:
            resource["DependsOn"] = kept
    # AWS looks machine images up for these; there are none here.
    looked_up = {
        name
        for name, given in fit.get("Parameters", {}).items()
        if given["Type"].startswith("AWS::SSM::Parameter::Value")
    }
    for name in looked_up:
        if name != "BootstrapVersion":
            del fit["Parameters"][name]
    fit.get("Parameters", {}).pop("BootstrapVersion", None)
    fit.pop("Rules", None)
    fit.pop("Outputs", None)
    fit["Resources"] = _without(resources, gone.keys() | looked_up)
    return fit, gone


def _without(value: Any, gone: set[str]) -> Any:
    """Replace references to what is gone."""
    if isinstance(value, dict):
        if set(value) == {"Ref"} and value["Ref"] in gone:
            return PLACE
        if set(value) == {"Fn::GetAtt"} and value["Fn::GetAtt"][0] in gone:
            return PLACE
        return {name: _without(each, gone) for name, each in value.items()}
    if isinstance(value, list):
        return [_without(each, gone) for each in value]
    return value
