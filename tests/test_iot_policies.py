"""Policies, versions, attachments, the older principal-policy operations, TestAuthorization."""

import json
import re

import pytest

from support.cloud import ALLOW_ALL, arn, pages, policy, refused, statement

MISSING = "ResourceNotFoundException", 404
ALL = json.dumps(ALLOW_ALL)
MARKER = {"token": "marker", "answer_token": "nextMarker"}


@pytest.fixture
def certificate(cloud, tmp_path, name):
    return cloud.certificate(tmp_path, name).arn


def test_create_get_delete(cloud, name):
    document = '{ "Version": "2012-10-17",\n  "Statement": [ {"Effect":"Allow", "Action":"iot:*", "Resource":"*"} ] }'
    created = cloud.iot.create_policy(policyName=name, policyDocument=document)
    created.pop("ResponseMetadata")
    assert created == {"policyName": name, "policyArn": arn("policy", name), "policyDocument": document, "policyVersionId": "1"}
    got = cloud.iot.get_policy(policyName=name)
    assert got["policyDocument"] == document, "byte for byte, blanks included"
    assert got["defaultVersionId"] == "1" and got["creationDate"] <= got["lastModifiedDate"] and got["generationId"]
    refused("ResourceAlreadyExistsException", 409, cloud.iot.create_policy, policyName=name, policyDocument=document)
    cloud.iot.delete_policy(policyName=name)
    refused(*MISSING, cloud.iot.get_policy, policyName=name)
    refused(*MISSING, cloud.iot.delete_policy, policyName=name)


@pytest.mark.parametrize("document", [
    "", "nonsense", "{}", "[]", '{"Version":"2012-10-17"}', '{"Version":"2012-10-17","Statement":[{"Effect":"Maybe","Action":"*","Resource":"*"}]}',
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*"}]}',
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*"}]}',
    '{"Version":"1999-01-01","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":5,"Resource":"*"}]}',
])
def test_malformed_documents(cloud, name, document):
    refused("MalformedPolicyException", 400, cloud.iot.create_policy, policyName=name, policyDocument=document)
    refused(*MISSING, cloud.iot.get_policy, policyName=name)


def test_a_document_over_2048_characters(cloud, name):
    """Blanks do not count."""
    cloud.iot.create_policy(policyName=name, policyDocument=ALL.replace(" ", " " * 1000))
    long = policy(statement("iot:Publish", arn("topic", "x" * 2048)))
    for call, policy_name in ((cloud.iot.create_policy, f"{name}-2"), (cloud.iot.create_policy_version, name)):
        refused("MalformedPolicyException", 400, call, policyName=policy_name, policyDocument=long,
                text=re.compile(f"has {len(long) - long.count(' ')} characters without white space, at most 2048 are allowed"))
    refused(*MISSING, cloud.iot.get_policy, policyName=f"{name}-2")


def test_versions(cloud, name):
    cloud.iot.create_policy(policyName=name, policyDocument=ALL)
    for number in range(2, 6):
        created = cloud.iot.create_policy_version(policyName=name, policyDocument=ALL, setAsDefault=number == 3)
        assert (created["policyVersionId"], created["isDefaultVersion"]) == (str(number), number == 3)
    refused("VersionsLimitExceededException", 409, cloud.iot.create_policy_version, policyName=name, policyDocument=ALL,
            text=f"The policy {name} already has the maximum number of versions (5)")
    listed = cloud.iot.list_policy_versions(policyName=name)["policyVersions"]
    assert {version["versionId"]: version["isDefaultVersion"] for version in listed} == {
        "1": False, "2": False, "3": True, "4": False, "5": False}
    got = cloud.iot.get_policy_version(policyName=name, policyVersionId="2")
    assert got["policyDocument"] == ALL and got["isDefaultVersion"] is False and got["policyName"] == name
    refused("InvalidRequestException", 400, cloud.iot.delete_policy_version, policyName=name, policyVersionId="3",
            text="Cannot delete the default version of a policy")
    refused("DeleteConflictException", 409, cloud.iot.delete_policy, policyName=name,
            text=f"Cannot delete the policy because it has one or more policy versions attached to it (name={name})")
    for version in ("1", "5"):
        cloud.iot.delete_policy_version(policyName=name, policyVersionId=version)
    created = cloud.iot.create_policy_version(policyName=name, policyDocument=ALL)
    assert created["policyVersionId"] == "6", "ids are never used again"
    cloud.iot.set_default_policy_version(policyName=name, policyVersionId="6")
    assert cloud.iot.get_policy(policyName=name)["defaultVersionId"] == "6"
    for call in (cloud.iot.get_policy_version, cloud.iot.delete_policy_version, cloud.iot.set_default_policy_version):
        refused(*MISSING, call, policyName=name, policyVersionId="99")
    refused("MalformedPolicyException", 400, cloud.iot.create_policy_version, policyName=name, policyDocument="{}")


def test_list_in_pages_both_ways(cloud, name):
    made = {f"{name}-{number}" for number in range(3)}
    for each in made:
        cloud.iot.create_policy(policyName=each, policyDocument=ALL)
    up = [item["policyName"] for item in pages(cloud.iot.list_policies, {"pageSize": 1}, **MARKER, ascendingOrder=True)]
    down = [item["policyName"] for item in pages(cloud.iot.list_policies, {"pageSize": 1}, **MARKER)]
    assert up == down[::-1] and set(up) >= made and len(set(up)) == len(up)


def test_attach_and_detach(cloud, name, certificate):
    names = [f"{name}-{number}" for number in range(3)]
    for each in names:
        cloud.iot.create_policy(policyName=each, policyDocument=ALL)
        cloud.iot.attach_policy(policyName=each, target=certificate)
        cloud.iot.attach_policy(policyName=each, target=certificate)  # idempotent
    attached = pages(cloud.iot.list_attached_policies, {"pageSize": 1}, **MARKER, target=certificate)
    assert sorted(item["policyName"] for item in attached) == names
    assert attached[0]["policyArn"] == arn("policy", attached[0]["policyName"])
    assert cloud.iot.list_targets_for_policy(policyName=names[0])["targets"] == [certificate]
    refused("DeleteConflictException", 409, cloud.iot.delete_policy, policyName=names[0],
            text=f"The policy cannot be deleted as the policy is attached to one or more principals (name={names[0]})")
    cloud.iot.detach_policy(policyName=names[0], target=certificate)
    cloud.iot.detach_policy(policyName=names[0], target=certificate)
    assert cloud.iot.list_targets_for_policy(policyName=names[0])["targets"] == []
    cloud.iot.delete_policy(policyName=names[0])
    refused(*MISSING, cloud.iot.attach_policy, policyName=f"{name}-none", target=certificate)
    refused(*MISSING, cloud.iot.attach_policy, policyName=names[1], target=arn("cert", "0" * 64))
    refused("InvalidRequestException", 400, cloud.iot.attach_policy, policyName=names[1], target="nonsense")


def test_targets_in_pages(cloud, name, tmp_path):
    cloud.iot.create_policy(policyName=name, policyDocument=ALL)
    targets = [cloud.certificate(tmp_path, f"{name}-{number}").arn for number in range(3)]
    for target in targets:
        cloud.iot.attach_policy(policyName=name, target=target)
    assert sorted(pages(cloud.iot.list_targets_for_policy, {"pageSize": 1}, **MARKER, policyName=name)) == sorted(targets)
    assert sorted(pages(cloud.iot.list_policy_principals, {"pageSize": 1}, **MARKER, policyName=name)) == sorted(targets)


def test_the_eleventh_policy(cloud, name, certificate):
    for number in range(11):
        cloud.iot.create_policy(policyName=f"{name}-{number}", policyDocument=ALL)
        if number < 10:
            cloud.iot.attach_policy(policyName=f"{name}-{number}", target=certificate)
    refused("LimitExceededException", 410, cloud.iot.attach_policy, policyName=f"{name}-10", target=certificate)


def test_the_older_principal_policy_operations(cloud, name, certificate):
    cloud.iot.create_policy(policyName=name, policyDocument=ALL)
    cloud.iot.attach_principal_policy(policyName=name, principal=certificate)
    listed = cloud.iot.list_principal_policies(principal=certificate)["policies"]
    assert [item["policyName"] for item in listed] == [name]
    assert cloud.iot.list_policy_principals(policyName=name)["principals"] == [certificate]
    cloud.iot.detach_principal_policy(policyName=name, principal=certificate)
    assert cloud.iot.list_principal_policies(principal=certificate)["policies"] == []
    refused(*MISSING, cloud.iot.attach_principal_policy, policyName=f"{name}-none", principal=certificate)


def test_effective_policies(cloud, name, certificate):
    cloud.iot.create_policy(policyName=name, policyDocument=ALL)
    cloud.iot.attach_policy(policyName=name, target=certificate)
    effective = cloud.iot.get_effective_policies(principal=certificate)["effectivePolicies"]
    assert effective == [{"policyName": name, "policyArn": arn("policy", name), "policyDocument": ALL}]


def test_test_authorization(cloud, name, certificate):
    document = policy(
        statement(["iot:Publish", "iot:Receive"], arn("topic", "own/*")),
        statement("iot:Publish", arn("topic", "own/secret"), "Deny"),
        statement("iot:Connect", arn("client", "${iot:ClientId}")),
    )
    cloud.iot.create_policy(policyName=name, policyDocument=document)
    cloud.iot.attach_policy(policyName=name, target=certificate)
    asked = [
        {"actionType": "PUBLISH", "resources": [arn("topic", "own/a")]},
        {"actionType": "PUBLISH", "resources": [arn("topic", "own/secret")]},
        {"actionType": "SUBSCRIBE", "resources": [arn("topicfilter", "own/a")]},
        {"actionType": "CONNECT", "resources": [arn("client", "me")]},
    ]
    results = cloud.iot.test_authorization(principal=certificate, clientId="me", authInfos=asked)["authResults"]
    assert [result["authInfo"] for result in results] == asked
    assert [result["authDecision"] for result in results] == ["ALLOWED", "EXPLICIT_DENY", "IMPLICIT_DENY", "ALLOWED"]
    assert [item["policyName"] for item in results[0]["allowed"]["policies"]] == [name]
    assert [item["policyName"] for item in results[1]["denied"]["explicitDeny"]["policies"]] == [name]
    # What a policy not attached yet would change, and what is left without one.
    cloud.iot.create_policy(policyName=f"{name}-more", policyDocument=ALL)
    more = cloud.iot.test_authorization(principal=certificate, authInfos=[asked[2]], policyNamesToAdd=[f"{name}-more"])
    assert more["authResults"][0]["authDecision"] == "ALLOWED"
    less = cloud.iot.test_authorization(principal=certificate, authInfos=[asked[0]], policyNamesToSkip=[name])
    assert less["authResults"][0]["authDecision"] == "IMPLICIT_DENY"
    missing = cloud.iot.test_authorization(principal=certificate, authInfos=[asked[3]])["authResults"][0]
    assert missing["authDecision"] == "IMPLICIT_DENY"
    assert any(re.search("ClientId", value) for value in missing["missingContextValues"])
