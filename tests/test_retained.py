"""Retained messages by AWS's rules: kept per topic, replayed to exactly that topic, listed and read over REST."""

import pytest

from support.cloud import Cloud, policy, refused, statement
from support.mqtt import PUBACK, Client, publish, unsubscribe
from support.server import Server


@pytest.fixture(scope="module", params=["1", "4"])
def server(tmp_path_factory, request):
    with Server(tmp_path_factory.mktemp("eyot"), "--loops", request.param) as server:
        yield server


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


def subscribed(server, device, name, *filters, qos=1):
    client = Client.connected(server, device, name)
    client.subscribe(*filters, qos=qos)
    return client


def retain(server, device, name, topic, payload, qos=1):
    with Client.connected(server, device, f"{name}-by") as by:
        by.send(publish(topic, payload, qos, 7 if qos else None, retain=True))
        if qos:
            by.expect(PUBACK, b"\0\x07")
        else:
            by.ping()


def test_who_subscribes_later_gets_the_last_one_with_retain_set(server, device, name):
    with subscribed(server, device, f"{name}-early", f"{name}/a") as early:
        retain(server, device, name, f"{name}/a", "1", qos=0)
        retain(server, device, name, f"{name}/a", "2")
        # [MQTT311 3.3.1-9] Whoever was there before gets an ordinary message.
        assert [early.read_message()[1:] for _ in range(2)] == [(b"1", 0, False), (b"2", 1, False)]
    with subscribed(server, device, f"{name}-late", f"{name}/a") as late:
        assert late.read_message() == (f"{name}/a", b"2", 1, True)
        # [MQTT311 3.8.4-3] Subscribing again brings it again, now with the lower QoS that is asked for.
        late.subscribe(f"{name}/a", qos=0)
        assert late.read_message() == (f"{name}/a", b"2", 0, True)
        late.ping()


def test_wildcards_and_other_topics_bring_nothing(server, device, name):
    """[AWS mqtt retain] The filter must be the topic."""
    retain(server, device, name, f"{name}/a", "1")
    with subscribed(server, device, f"{name}-late", f"{name}/+", f"{name}/#", f"{name}/b") as late:
        late.ping()
        retain(server, device, name, f"{name}/a", "2")
        assert late.read_message() == (f"{name}/a", b"2", 1, False)


def test_an_empty_message_ends_it_and_is_delivered(server, cloud, device, name):
    retain(server, device, name, f"{name}/a", "1")
    with subscribed(server, device, f"{name}-early", f"{name}/a") as early:
        assert early.read_message()[1] == b"1"
        retain(server, device, name, f"{name}/a", "")
        assert early.read_message()[1:] == (b"", 1, False)
    with subscribed(server, device, f"{name}-late", f"{name}/a") as late:
        late.ping()
    refused("ResourceNotFoundException", 404, cloud.data.get_retained_message, topic=f"{name}/a")


def test_reading_and_listing(server, cloud, device, name):
    data = cloud.data
    for number in range(5):
        retain(server, device, name, f"{name}/{number}", f"payload {number}", qos=number % 2)
    data.publish(topic=f"{name}/http", payload=b"over http", qos=1, retain=True)
    data.publish(topic=f"{name}/plain", payload=b"not kept", qos=1)
    found = data.get_retained_message(topic=f"{name}/3")
    assert (found["topic"], found["payload"], found["qos"]) == (f"{name}/3", b"payload 3", 1)
    assert found["lastModifiedTime"] > 1_700_000_000_000
    assert data.get_retained_message(topic=f"{name}/http")["payload"] == b"over http"
    topics, token = [], None
    while True:
        page = data.list_retained_messages(maxResults=2, **({"nextToken": token} if token else {}))
        topics += [(each["topic"], each["payloadSize"], each["qos"]) for each in page["retainedTopics"]]
        token = page.get("nextToken")
        if token is None:
            break
    ours = [entry for entry in topics if entry[0].startswith(f"{name}/")]
    assert ours == [(f"{name}/{number}", 9, number % 2) for number in range(5)] + [(f"{name}/http", 9, 1)]


def test_a_will_can_be_retained(server, device, name):
    dying = Client.connected(server, device, f"{name}-dying", will=(f"{name}/gone", "bye", 1, True))
    with subscribed(server, device, f"{name}-early", f"{name}/gone") as early:
        dying.close()
        assert early.read_message() == (f"{name}/gone", b"bye", 1, False)
    with subscribed(server, device, f"{name}-late", f"{name}/gone") as late:
        assert late.read_message() == (f"{name}/gone", b"bye", 1, True)


def test_retaining_needs_permission_of_its_own(server, cloud, device, name, tmp_path):
    allowed = policy(statement("iot:Connect", "*"), statement("iot:Publish", "*"))
    careful = cloud.device(tmp_path, name, allowed)
    with Client.connected(server, careful) as client:
        client.publish_qos1(f"{name}/a", "plain")
        client.send(publish(f"{name}/a", "kept", 1, 8, retain=True))
        client.expect_closed()
    refused("ResourceNotFoundException", 404, cloud.data.get_retained_message, topic=f"{name}/a")
    server.expect_log(name, "iot:RetainPublish")


def test_basic_ingest_retains_nothing(server, cloud, device, name):
    retain(server, device, name, f"$aws/rules/{name}/x", "1")
    assert not [each for each in cloud.data.list_retained_messages()["retainedTopics"] if each["topic"].startswith("$")]


def test_what_was_acknowledged_is_there_after_kill_9(tmp_path):
    server = Server(tmp_path)
    server.start()
    device = Cloud(server.api_url).device(tmp_path, "device")
    with Client.connected(server, device) as client:
        for number in range(20):
            client.send(publish(f"kept/{number}", "x", 1, 1 + number, retain=True))
        for _ in range(20):
            client.read()
        client.send(publish("kept/3", "", 1, 50, retain=True))
        client.read()
    server.kill()
    with Server(tmp_path) as again:
        topics = [each["topic"] for each in Cloud(again.api_url).data.list_retained_messages(maxResults=200)["retainedTopics"]]
        assert topics == sorted(f"kept/{number}" for number in range(20) if number != 3)


def test_relaxed_limits_replay_to_wildcards_too(tmp_path):
    with Server(tmp_path, "--limits", "relaxed") as server:
        device = Cloud(server.api_url).device(tmp_path, "device")
        for topic in ("a", "a/b", "a/b/c", "ab", "x/b"):
            retain(server, device, "relaxed", topic, topic)
        for found_by, expected in (("a/#", ["a", "a/b", "a/b/c"]), ("+/b", ["a/b", "x/b"]), ("#", ["a", "a/b", "a/b/c", "ab", "x/b"])):
            with subscribed(server, device, "late", found_by) as late:
                got = [late.read_message() for _ in expected]
                assert [(message[0], message[3]) for message in got] == [(topic, True) for topic in expected]
                late.ping()


@pytest.mark.parametrize("qos", [0, 1])
def test_a_replay_of_very_many_comes_as_it_is_taken(tmp_path, qos):
    """Six times what waits for a socket at most: nothing is dropped, and the loop serves others meanwhile."""
    count, payload = 3_000, "x" * 2_000
    with Server(tmp_path, "--limits", "relaxed", "--loops", "1") as server:
        device = Cloud(server.api_url).device(tmp_path, "device")
        with Client.connected(server, device, "by") as by:
            for first in range(0, count, 100):
                by.send(b"".join(publish(f"t/{number:04}", payload, 1, 1 + number, retain=True) for number in range(first, first + 100)))
                for number in range(first, first + 100):
                    by.expect(PUBACK, (1 + number).to_bytes(2, "big"))
            with Client.connected(server, device, "late") as late:
                late.subscribe("t/#", qos=qos)
                by.ping()
                assert [late.read_message()[0] for _ in range(count)] == [f"t/{number:04}" for number in range(count)]
                late.ping()
            with Client.connected(server, device, "gone") as gone:
                gone.subscribe("t/#", qos=qos)
                gone.send(unsubscribe(2, "t/#"))
                by.ping()
