# SPDX-License-Identifier: Apache-2.0
"""VPCs: enough of EC2 for jobs without a way to the internet."""

from __future__ import annotations

from typing import Any

from localcloud.cloudformation.resource_types.registry import (
    Made,
    Properties,
    ResourceType,
    Target,
    ignoring_absence,
    picked,
    resource_type,
    without,
)


def _tagged(properties: Properties, kind: str) -> dict[str, Any]:
    tags = properties.get("Tags")
    plain = without(properties, "Tags")
    return {**plain, "TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else plain


@resource_type("AWS::EC2::VPC", replaced_by=("CidrBlock", "InstanceTenancy"))
class Vpc(ResourceType):
    """A virtual private cloud."""

    def create(self, it: Target) -> Made:
        plain = without(_tagged(it.properties, "vpc"), "EnableDnsHostnames", "EnableDnsSupport")
        vpc = it.call("ec2", "CreateVpc", plain)["Vpc"]
        it.claim(vpc["VpcId"])
        return self.update(it.named(vpc["VpcId"]))

    def update(self, it: Target) -> Made:
        for name in ("EnableDnsHostnames", "EnableDnsSupport"):
            if name in it.properties:
                value = str(it.properties[name]).lower() == "true"
                it.client("ec2").modify_vpc_attribute(VpcId=it.physical_id, **{name: {"Value": value}})
        groups = it.client("ec2").describe_security_groups(
            Filters=[{"Name": "vpc-id", "Values": [it.physical_id]}, {"Name": "group-name", "Values": ["default"]}]
        )["SecurityGroups"]
        attributes = {
            "VpcId": it.physical_id,
            "CidrBlock": it.properties["CidrBlock"],
            "DefaultSecurityGroup": groups[0]["GroupId"] if groups else "",
        }
        return Made(it.physical_id, attributes)

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("ec2").delete_vpc, VpcId=it.physical_id)


@resource_type("AWS::EC2::Subnet", replaced_by=("CidrBlock", "AvailabilityZone", "VpcId"))
class Subnet(ResourceType):
    """A subnet."""

    def create(self, it: Target) -> Made:
        plain = without(_tagged(it.properties, "subnet"), "MapPublicIpOnLaunch")
        subnet = it.call("ec2", "CreateSubnet", plain)["Subnet"]
        attributes = {"SubnetId": subnet["SubnetId"], "AvailabilityZone": subnet["AvailabilityZone"]}
        return Made(subnet["SubnetId"], {**attributes, "VpcId": subnet["VpcId"]})

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("ec2").delete_subnet, SubnetId=it.physical_id)


@resource_type("AWS::EC2::RouteTable", replaced_by=("VpcId",))
class RouteTable(ResourceType):
    """A route table."""

    def create(self, it: Target) -> Made:
        table = it.call("ec2", "CreateRouteTable", _tagged(it.properties, "route-table"))["RouteTable"]
        return Made(table["RouteTableId"], {"RouteTableId": table["RouteTableId"]})

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("ec2").delete_route_table, RouteTableId=it.physical_id)


@resource_type("AWS::EC2::SubnetRouteTableAssociation", replaced_by=("RouteTableId", "SubnetId"))
class SubnetRouteTableAssociation(ResourceType):
    """A subnet's route table."""

    def create(self, it: Target) -> Made:
        made = it.call("ec2", "AssociateRouteTable", it.properties)["AssociationId"]
        return Made(made, {"Id": made})

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("ec2").disassociate_route_table, AssociationId=it.physical_id)


@resource_type("AWS::EC2::SecurityGroup", replaced_by=("GroupDescription", "GroupName", "VpcId"))
class SecurityGroup(ResourceType):
    """A security group with the rules written in it."""

    def create(self, it: Target) -> Made:
        plain = picked(_tagged(it.properties, "security-group"), "VpcId", "TagSpecifications")
        name = it.properties.get("GroupName") or it.name(255)
        description = it.properties["GroupDescription"]
        group = it.call("ec2", "CreateSecurityGroup", {**plain, "GroupName": name, "Description": description})
        it.claim(group["GroupId"])
        for rule in it.properties.get("SecurityGroupIngress", []):
            permission = [_permission(rule, "Source")]
            it.client("ec2").authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=permission)
        egress = it.properties.get("SecurityGroupEgress", [])
        if egress and "VpcId" in it.properties:
            everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
            it.client("ec2").revoke_security_group_egress(GroupId=group["GroupId"], IpPermissions=everything)
        for rule in egress:
            permission = [_permission(rule, "Destination")]
            it.client("ec2").authorize_security_group_egress(GroupId=group["GroupId"], IpPermissions=permission)
        return Made(group["GroupId"], {"GroupId": group["GroupId"], "VpcId": it.properties.get("VpcId", "")})

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("ec2").delete_security_group, GroupId=it.physical_id)


@resource_type("AWS::EC2::SecurityGroupIngress", replaced_by=("GroupId",))
class SecurityGroupIngress(ResourceType):
    """A rule into a security group."""

    side = "Source"
    direction = "ingress"

    def create(self, it: Target) -> Made:
        authorize = getattr(it.client("ec2"), f"authorize_security_group_{self.direction}")
        authorize(GroupId=it.properties["GroupId"], IpPermissions=[_permission(it.properties, self.side)])
        name = it.name()
        return Made(name, {"Id": name})

    def delete(self, it: Target) -> None:
        revoke = getattr(it.client("ec2"), f"revoke_security_group_{self.direction}")
        ignoring_absence(
            revoke, GroupId=it.properties["GroupId"], IpPermissions=[_permission(it.properties, self.side)]
        )


@resource_type("AWS::EC2::SecurityGroupEgress", replaced_by=("GroupId",))
class SecurityGroupEgress(SecurityGroupIngress):
    """A rule out of a security group."""

    side = "Destination"
    direction = "egress"


def _permission(rule: Properties, side: str) -> dict[str, Any]:
    made: dict[str, Any] = {"IpProtocol": str(rule["IpProtocol"])}
    for port in ("FromPort", "ToPort"):
        if port in rule:
            made[port] = int(rule[port])
    described = picked(rule, "Description")
    if "CidrIp" in rule:
        made["IpRanges"] = [{"CidrIp": rule["CidrIp"], **described}]
    group = rule.get(f"{side}SecurityGroupId")
    if group:
        made["UserIdGroupPairs"] = [{"GroupId": group, **described}]
    prefix_list = rule.get(f"{side}PrefixListId")
    if prefix_list:
        made["PrefixListIds"] = [{"PrefixListId": prefix_list, **described}]
    return made


@resource_type("AWS::EC2::VPCEndpoint", replaced_by=("ServiceName", "VpcEndpointType", "VpcId"))
class VpcEndpoint(ResourceType):
    """A private way to an AWS service."""

    def create(self, it: Target) -> Made:
        endpoint = it.call("ec2", "CreateVpcEndpoint", _tagged(it.properties, "vpc-endpoint"))["VpcEndpoint"]
        return Made(endpoint["VpcEndpointId"], {"Id": endpoint["VpcEndpointId"], "DnsEntries": []})

    def delete(self, it: Target) -> None:
        ignoring_absence(it.client("ec2").delete_vpc_endpoints, VpcEndpointIds=[it.physical_id])
