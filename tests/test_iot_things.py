"""Things, their principals and tags, the endpoint, and the classic shadow over REST."""

import json
import re
import time

import pytest

from support.cloud import ALLOW_ALL, arn, pages, refused
from support.server import ACCOUNT

MISSING = "ResourceNotFoundException", 404


# Things ------------------------------------------------------------------------------------------------------------

def test_create_and_describe(cloud, name):
    created = cloud.iot.create_thing(thingName=name, attributePayload={"attributes": {"room": "kitchen", "floor": "1"}})
    assert created["thingName"] == name and created["thingArn"] == arn("thing", name)
    assert re.fullmatch(r"[0-9a-f-]{36}", created["thingId"])
    described = cloud.iot.describe_thing(thingName=name)
    described.pop("ResponseMetadata")
    assert described == {
        "defaultClientId": name, "thingName": name, "thingId": created["thingId"], "thingArn": created["thingArn"],
        "attributes": {"room": "kitchen", "floor": "1"}, "version": 1,
    }


def test_create_again(cloud, name):
    """The same configuration: success with the same ids. Another one: a conflict that names what is there."""
    first = cloud.iot.create_thing(thingName=name, attributePayload={"attributes": {"a": "1"}})
    again = cloud.iot.create_thing(thingName=name, attributePayload={"attributes": {"a": "1"}})
    assert again["thingId"] == first["thingId"]
    conflict = refused("ResourceAlreadyExistsException", 409, cloud.iot.create_thing, thingName=name)
    assert conflict["resourceArn"] == first["thingArn"] and conflict["resourceId"]


def test_attribute_limits(cloud, name):
    """Three attributes without a type; names and values as the model has them."""
    cloud.iot.create_thing(thingName=name, attributePayload={"attributes": {key: "v" for key in "abc"}})
    for attributes in ({key: "v" for key in "abcd"}, {"with space": "v"}, {"a": "x" * 801}, {"k" * 129: "v"}):
        refused("InvalidRequestException", 400, cloud.loose_iot.create_thing, thingName=f"{name}-2",
                attributePayload={"attributes": attributes})
    refused(*MISSING, cloud.iot.describe_thing, thingName=f"{name}-2")


def test_a_thing_type_that_does_not_exist(cloud, name):
    refused(*MISSING, cloud.iot.create_thing, thingName=name, thingTypeName="nowhere")


def test_update(cloud, name):
    cloud.iot.create_thing(thingName=name, attributePayload={"attributes": {"a": "1", "b": "2"}})
    cloud.iot.update_thing(thingName=name, attributePayload={"attributes": {"b": "", "c": "3"}, "merge": True})
    described = cloud.iot.describe_thing(thingName=name)
    assert described["attributes"] == {"a": "1", "c": "3"} and described["version"] == 2
    cloud.iot.update_thing(thingName=name, attributePayload={"attributes": {"z": "26"}}, expectedVersion=2)
    described = cloud.iot.describe_thing(thingName=name)
    assert described["attributes"] == {"z": "26"} and described["version"] == 3
    refused("VersionConflictException", 409, cloud.iot.update_thing, thingName=name, expectedVersion=2,
            attributePayload={"attributes": {"q": "1"}})
    refused("InvalidRequestException", 400, cloud.iot.update_thing, thingName=name, thingTypeName="t", removeThingType=True)
    refused(*MISSING, cloud.iot.update_thing, thingName=f"{name}-none", attributePayload={"attributes": {"a": "b"}})
    assert cloud.iot.describe_thing(thingName=name)["version"] == 3


def test_delete(cloud, name, tmp_path):
    cloud.iot.create_thing(thingName=name)
    refused("VersionConflictException", 409, cloud.iot.delete_thing, thingName=name, expectedVersion=9)
    principal = cloud.certificate(tmp_path, name)
    cloud.iot.attach_thing_principal(thingName=name, principal=principal.arn)
    refused("InvalidRequestException", 400, cloud.iot.delete_thing, thingName=name,
            text=re.compile("is still attached to one or more principals"))
    cloud.iot.detach_thing_principal(thingName=name, principal=principal.arn)
    cloud.iot.delete_thing(thingName=name)
    cloud.iot.delete_thing(thingName=name)  # absent: success
    refused(*MISSING, cloud.iot.describe_thing, thingName=name)


def test_list_with_filters_and_pages(cloud, name):
    for number in range(5):
        attributes = {"group": name, "parity": "even" if number % 2 == 0 else "odd"}
        cloud.iot.create_thing(thingName=f"{name}-{number}", attributePayload={"attributes": attributes})
    mine = {"attributeName": "group", "attributeValue": name}
    found = pages(cloud.iot.list_things, {"maxResults": 1}, **mine)
    assert [thing["thingName"] for thing in found] == [f"{name}-{number}" for number in range(5)]
    assert found[0]["thingArn"] == arn("thing", f"{name}-0") and found[0]["version"] == 1
    even = cloud.iot.list_things(attributeName="parity", attributeValue="even")["things"]
    assert {thing["thingName"] for thing in even} >= {f"{name}-{number}" for number in (0, 2, 4)}
    prefix = cloud.iot.list_things(attributeName="parity", attributeValue="ev", usePrefixAttributeValue=True)["things"]
    assert prefix == even
    assert cloud.iot.list_things(attributeName="parity", attributeValue="ev")["things"] == []
    assert cloud.iot.list_things(thingTypeName="none")["things"] == []
    everything = pages(cloud.iot.list_things, {"maxResults": 1})
    names = [thing["thingName"] for thing in everything]
    assert len(set(names)) == len(names) and set(names) >= {thing["thingName"] for thing in found}


def test_a_page_token_survives_changes(cloud, name):
    """Key-after cursors: what is deleted or inserted in between neither repeats nor hides another thing."""
    for number in range(4):
        cloud.iot.create_thing(thingName=f"{name}-{number}", attributePayload={"attributes": {"mark": name}})
    mine = {"attributeName": "mark", "attributeValue": name, "maxResults": 2}
    first = cloud.iot.list_things(**mine)
    cloud.iot.delete_thing(thingName=f"{name}-1")
    cloud.iot.create_thing(thingName=f"{name}-0a", attributePayload={"attributes": {"mark": name}})
    second = cloud.iot.list_things(**mine, nextToken=first["nextToken"])
    assert [thing["thingName"] for thing in second["things"]] == [f"{name}-2", f"{name}-3"]


@pytest.mark.parametrize("token", ["nonsense", "AAAA", "", "=" * 10])
def test_a_bad_token(cloud, token):
    refused("InvalidRequestException", 400, cloud.loose_iot.list_things, nextToken=token)


@pytest.mark.parametrize("size", [0, 251, -1])
def test_a_bad_page_size(cloud, size):
    refused("InvalidRequestException", 400, cloud.loose_iot.list_things, maxResults=size)


# Principals ----------------------------------------------------------------------------------------------------------

def test_attach_and_detach_principals(cloud, name, tmp_path):
    cloud.iot.create_thing(thingName=name)
    certificates = [cloud.certificate(tmp_path, f"{name}-{number}").arn for number in range(3)]
    for certificate in certificates:
        cloud.iot.attach_thing_principal(thingName=name, principal=certificate)
        cloud.iot.attach_thing_principal(thingName=name, principal=certificate)  # idempotent
    walked = pages(cloud.iot.list_thing_principals, {"maxResults": 1}, thingName=name)
    assert sorted(walked) == sorted(certificates)
    walked = pages(cloud.iot.list_thing_principals_v2, {"maxResults": 1}, thingName=name)
    assert sorted(item["principal"] for item in walked) == sorted(certificates)
    assert {item["thingPrincipalType"] for item in walked} == {"NON_EXCLUSIVE_THING"}
    cloud.iot.detach_thing_principal(thingName=name, principal=certificates[0])
    left = cloud.iot.list_thing_principals(thingName=name)["principals"]
    assert sorted(left) == sorted(certificates[1:])
    assert cloud.iot.list_principal_things(principal=certificates[0])["things"] == []


def test_things_of_a_principal(cloud, name, tmp_path):
    certificate = cloud.certificate(tmp_path, name).arn
    names = [f"{name}-{number}" for number in range(3)]
    for thing in names:
        cloud.iot.create_thing(thingName=thing)
        cloud.iot.attach_thing_principal(thingName=thing, principal=certificate)
    assert sorted(pages(cloud.iot.list_principal_things, {"maxResults": 1}, principal=certificate)) == names
    objects = pages(cloud.iot.list_principal_things_v2, {"maxResults": 1}, principal=certificate)
    assert sorted(item["thingName"] for item in objects) == names


def test_an_exclusive_thing(cloud, name, tmp_path):
    """A principal that belongs to one thing exclusively may not be attached to another."""
    certificate = cloud.certificate(tmp_path, name).arn
    for thing in (name, f"{name}-2"):
        cloud.iot.create_thing(thingName=thing)
    cloud.iot.attach_thing_principal(thingName=name, principal=certificate, thingPrincipalType="EXCLUSIVE_THING")
    refused("InvalidRequestException", 400, cloud.iot.attach_thing_principal, thingName=f"{name}-2", principal=certificate)
    exclusive = cloud.iot.list_thing_principals_v2(thingName=name, thingPrincipalType="EXCLUSIVE_THING")
    assert [item["principal"] for item in exclusive["thingPrincipalObjects"]] == [certificate]
    other = cloud.iot.list_thing_principals_v2(thingName=name, thingPrincipalType="NON_EXCLUSIVE_THING")
    assert other["thingPrincipalObjects"] == []


def test_principals_that_do_not_exist(cloud, name, tmp_path):
    nobody = arn("cert", "0" * 64)
    cloud.iot.create_thing(thingName=name)
    refused(*MISSING, cloud.iot.attach_thing_principal, thingName=name, principal=nobody)
    refused(*MISSING, cloud.iot.attach_thing_principal, thingName=f"{name}-none",
            principal=cloud.certificate(tmp_path, name).arn)
    refused(*MISSING, cloud.iot.list_thing_principals, thingName=f"{name}-none")
    refused("InvalidRequestException", 400, cloud.iot.attach_thing_principal, thingName=name, principal="nonsense")


# Tags, endpoint, identity ---------------------------------------------------------------------------------------------

def test_tags(cloud, name):
    cloud.iot.create_policy(policyName=name, policyDocument=json.dumps(ALLOW_ALL), tags=[{"Key": "made", "Value": "here"}])
    resource = arn("policy", name)
    cloud.iot.tag_resource(resourceArn=resource, tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}])
    cloud.iot.tag_resource(resourceArn=resource, tags=[{"Key": "a", "Value": "2"}])
    tags = {tag["Key"]: tag.get("Value", "") for tag in cloud.iot.list_tags_for_resource(resourceArn=resource)["tags"]}
    assert tags == {"made": "here", "a": "2", "b": ""}
    cloud.iot.untag_resource(resourceArn=resource, tagKeys=["a", "unknown"])
    tags = {tag["Key"] for tag in cloud.iot.list_tags_for_resource(resourceArn=resource)["tags"]}
    assert tags == {"made", "b"}
    many = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
    with pytest.raises(cloud.iot.exceptions.ClientError):
        cloud.iot.tag_resource(resourceArn=resource, tags=many)
    refused("InvalidRequestException", 400, cloud.iot.tag_resource, resourceArn=resource, tags=[{"Key": "aws:x", "Value": "v"}])
    refused(*MISSING, cloud.iot.tag_resource, resourceArn=arn("policy", f"{name}-none"), tags=[{"Key": "a", "Value": "b"}])


def test_describe_endpoint(cloud):
    for kind in ("iot:Data-ATS", "iot:CredentialProvider"):
        address = cloud.iot.describe_endpoint(endpointType=kind)["endpointAddress"]
        assert re.fullmatch(r"[A-Za-z0-9.-]+", address), address
    assert cloud.iot.describe_endpoint()["endpointAddress"]
    refused("InvalidRequestException", 400, cloud.iot.describe_endpoint, endpointType="iot:Nonsense")


def test_caller_identity(cloud):
    identity = cloud.sts.get_caller_identity()
    assert identity["Account"] == ACCOUNT and identity["Arn"].startswith("arn:aws:") and identity["UserId"]


# The classic shadow -------------------------------------------------------------------------------------------------

def shadow(cloud, name):
    return json.loads(cloud.data.get_thing_shadow(thingName=name)["payload"].read())


def update(cloud, name, document):
    answer = cloud.data.update_thing_shadow(thingName=name, payload=json.dumps(document).encode())
    return json.loads(answer["payload"].read())


def test_shadow_update_get_delete(cloud, name):
    before = int(time.time())
    accepted = update(cloud, name, {"state": {"desired": {"led": "on", "deep": {"a": 1, "b": [1, 2]}}}, "clientToken": "token-1"})
    assert accepted["state"] == {"desired": {"led": "on", "deep": {"a": 1, "b": [1, 2]}}}
    assert accepted["version"] == 1 and accepted["clientToken"] == "token-1"
    assert isinstance(accepted["timestamp"], int) and before <= accepted["timestamp"] <= time.time()
    stamp = {"timestamp": accepted["timestamp"]}
    assert accepted["metadata"] == {"desired": {"led": stamp, "deep": {"a": stamp, "b": [stamp, stamp]}}}

    accepted = update(cloud, name, {"state": {"reported": {"led": "off", "extra": True}}})
    assert accepted["version"] == 2 and "desired" not in accepted["state"] and "clientToken" not in accepted
    document = shadow(cloud, name)
    assert document["state"] == {
        "desired": {"led": "on", "deep": {"a": 1, "b": [1, 2]}}, "reported": {"led": "off", "extra": True},
        "delta": {"led": "on", "deep": {"a": 1, "b": [1, 2]}},
    }
    deleted = json.loads(cloud.data.delete_thing_shadow(thingName=name)["payload"].read())
    assert deleted["version"] == 2
    refused(*MISSING, cloud.data.get_thing_shadow, thingName=name, text=f"No shadow exists with name: '{name}'")
    refused(*MISSING, cloud.data.delete_thing_shadow, thingName=name)


def test_shadow_nulls(cloud, name):
    update(cloud, name, {"state": {"desired": {"a": 1, "b": {"c": 3}}, "reported": {"a": 1}}})
    update(cloud, name, {"state": {"desired": {"a": None}}})
    assert shadow(cloud, name)["state"]["desired"] == {"b": {"c": 3}}
    update(cloud, name, {"state": {"desired": None}})
    assert shadow(cloud, name)["state"] == {"reported": {"a": 1}}
    accepted = update(cloud, name, {"state": None})
    assert accepted["state"] is None and accepted["version"] == 4
    document = shadow(cloud, name)
    assert (document["state"], document["metadata"], document["version"]) == ({}, {}, 4)


def test_shadow_versions(cloud, name):
    update(cloud, name, {"state": {"desired": {"a": 1}}})
    assert update(cloud, name, {"state": {"desired": {"a": 1}}, "version": 1})["version"] == 2
    refused("ConflictException", 409, cloud.data.update_thing_shadow, thingName=name, text="Version conflict",
            payload=b'{"state":{"desired":{"a":2}},"version":1}')
    assert shadow(cloud, name)["state"]["desired"] == {"a": 1}


@pytest.mark.parametrize(("payload", "text"), [
    (b"{", "Invalid JSON"), (b"[]", None), (b"{}", "Missing required node: state"),
    (b'{"state":1}', "State node must be an object"), (b'{"state":{"desired":1}}', "Desired node must be an object"),
    (b'{"state":{"reported":[]}}', "Reported node must be an object"), (b'{"state":{},"version":"x"}', "Invalid version"),
    (b'{"state":{},"clientToken":5}', "Invalid clientToken"), (b'{"state":{"other":{}}}', "State contains an invalid node"),
    (b'{"state":{"desired":{"a":[1,null]}}}', None),
    (b'{"state":{"desired":{"1":{"2":{"3":{"4":{"5":{"6":{"7":1}}}}}}}}}', "JSON contains too many levels of nesting; maximum is 6"),
])
def test_bad_shadow_documents(cloud, name, payload, text):
    refused("InvalidRequestException", 400, cloud.data.update_thing_shadow, thingName=name, payload=payload, text=text)
    refused(*MISSING, cloud.data.get_thing_shadow, thingName=name)


def test_a_shadow_over_8_kb(cloud, name):
    refused("RequestEntityTooLargeException", 413, cloud.data.update_thing_shadow, thingName=name,
            payload=json.dumps({"state": {"desired": {"a": "x" * 9000}}}).encode(),
            text="The payload exceeds the maximum size allowed")
