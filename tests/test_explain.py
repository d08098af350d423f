"""`eyot explain`: why a device did not get in, why it was hung up on, why nobody gets its messages; and what to do next."""

import faulthandler
import json
import os
import ssl
import subprocess

import pytest

from support import mqtt, mqtt5
from support.authority import Authority
from support.cloud import Cloud, arn, log_rule, policy, statement
from support.http import send
from support.mqtt import GONE, Client, expect_refused, tls_context
from support.server import BINARY, Server, clean_environment
from support.sessions import V5, V311, Peer
from support.waiting import eventually
from support.websocket import Refused, WebSocket
from test_https_publish import Https
from test_insecure_port import NoTls
from test_refusals import self_signed
from test_websocket import Way


def eyot(server, *arguments, code=0):
    done = subprocess.run([BINARY, "explain", *arguments, "--endpoint-url", server.api_url], capture_output=True, text=True,
                          timeout=60, env=clean_environment(NO_COLOR="1"), stdin=subprocess.DEVNULL)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


def explain(server, *arguments):
    return json.loads(eyot(server, *arguments, "--json"))


def happening(server, *arguments, among="happenings", **wanted):
    """Waits until something with these members has happened; gives the last."""

    def found():
        told = explain(server, *arguments)[among]
        return next((one for one in reversed(told) if all(one.get(key) == value for key, value in wanted.items())), None)

    return eventually(found, lambda: f"{wanted} in {explain(server, *arguments)}")


def hints(happening):
    return "\n".join(happening["hints"])


@pytest.fixture
def device(cloud, tmp_path, name):
    """A device that may do everything."""
    return cloud.device(tmp_path, name)


# Why did it not get in? --------------------------------------------------------------------------------------------

def test_a_client_with_the_wrong_ca(server, device, tmp_path):
    """It gives up the handshake with an alert, before it has said who it is: found by its address, and by its name since
    nothing else is known of that."""
    authority = Authority(tmp_path, "ec")
    with pytest.raises(ssl.SSLCertVerificationError):
        Client(server, tls_context(device, ca=authority.certificate), server_name="localhost")
    found = happening(server, "--address", "127.0.0.1", cause="tls", tlsAlert="UnknownCA")
    assert "root CA" in hints(found) and found["certificateId"] is None and found["clientId"] is None
    happening(server, device.name, among="anonymous", tlsAlert="UnknownCA")
    assert "never said who they are" in eyot(server, device.name)


def test_no_certificate(server, name):
    expect_refused(server, tls_context(), name)
    found = happening(server, "--address", "127.0.0.1", cause="no_certificate")
    assert "load certificate and private key" in hints(found)


def test_an_unknown_certificate(server, tmp_path, name):
    stranger = self_signed(tmp_path, name)
    expect_refused(server, tls_context(stranger), name)
    found = happening(server, name, cause="not_registered", certificateId=stranger.certificate_id)
    assert "register-certificate-without-ca" in hints(found)
    answer = explain(server, "--certificate", stranger.arn)
    assert answer["certificates"] == [{"certificateId": stranger.certificate_id, "status": None}]
    assert [one["clientId"] for one in answer["happenings"]] == [name]
    assert "not registered" in eyot(server, name)


def test_an_inactive_certificate_and_the_command_that_helps(server, cloud, device):
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    for _ in range(3):
        expect_refused(server, tls_context(device), device.name)
    found = happening(server, device.name, cause="not_active", count=3)
    command = f"aws iot update-certificate --certificate-id {device.certificate_id} --new-status ACTIVE"
    assert command in hints(found)
    assert "3 times since" in eyot(server, "--thing", device.name)
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="ACTIVE")
    assert "is ACTIVE now" in hints(happening(server, device.name, cause="not_active"))
    with Client.connected(server, device):
        answer = explain(server, device.name)
        assert answer["summary"].startswith("connected since") and answer["connection"]["certificateId"] == device.certificate_id


# Over HTTP nobody says a client id: found by certificate, thing or address.

@pytest.mark.parametrize("port", ["api", "https"])
def test_a_websocket_without_a_signature(server, port):
    with pytest.raises(Refused):
        Way(server, port).open("/mqtt")
    found = happening(server, "--address", "127.0.0.1", cause="signature")
    assert "Missing Authentication Token" in found["sentence"]
    assert "iotdevicegateway" in hints(found) and found["certificateId"] is None


def test_a_websocket_that_is_asked_for_wrongly(server):
    with pytest.raises(Refused):
        Way(server, "api").open(headers={"Sec-WebSocket-Protocol": "telnet"}.items())
    found = happening(server, "--address", "127.0.0.1", cause="upgrade")
    assert "subprotocol" in hints(found)


def test_a_websocket_with_an_inactive_certificate(server, cloud, device):
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    with pytest.raises(Refused):
        WebSocket(("127.0.0.1", server.https_port), "/mqtt", tls_context(device))
    found = happening(server, "--thing", device.name, cause="not_active", certificateId=device.certificate_id)
    assert "--new-status ACTIVE" in hints(found)


def test_a_publish_over_https_that_no_policy_allows(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name, policy(statement("iot:Publish", arn("topic", f"{name}/*"))))
    with Https(server, tls_context(device)) as https:
        assert https.publish("other", b"x")[0] == 403
    found = happening(server, "--certificate", device.arn, action="iot:Publish", resource="topic/other")
    assert found["policy"]["policyName"] == name and found["policy"]["statement"] == 1
    assert "not on `topic/other`" in eyot(server, "--thing", name)


def test_https_with_the_wrong_ca(server, device, tmp_path):
    authority = Authority(tmp_path, "ec")
    with pytest.raises(ssl.SSLCertVerificationError):
        Https(server, tls_context(device, ca=authority.certificate)).publish("t", b"")
    found = happening(server, "--address", "127.0.0.1", cause="tls", tlsAlert="UnknownCA")
    assert found["sourceIp"] == "127.0.0.1" and "root CA" in hints(found)


def test_no_policy(server, cloud, tmp_path, name):
    device = cloud.certificate(tmp_path, name)
    expect_refused(server, tls_context(device), name)
    found = happening(server, name, cause="policy")
    assert found["policy"]["kind"] == "no_policy" and f"--target {device.arn}" in hints(found)


def test_a_policy_of_another_account(server, cloud, tmp_path, name):
    foreign = f"arn:aws:iot:eu-west-1:123456789012:client/{name}"
    device = cloud.device(tmp_path, name, policy(statement("iot:Connect", foreign)))
    expect_refused(server, tls_context(device), name)
    found = happening(server, name, cause="policy")
    assert "account 123456789012, this server is 000000000000" in hints(found)
    assert "region eu-west-1, this server is us-east-1" in hints(found)


def test_a_client_id_that_is_not_the_things_name(server, cloud, tmp_path, name):
    own = statement("iot:Connect", arn("client", "${iot:Connection.Thing.ThingName}"))
    device = cloud.device(tmp_path, name, policy(own))
    other = f"{name}-other"
    expect_refused(server, tls_context(device), other)
    found = happening(server, other, cause="policy")
    assert found["policy"] == {"kind": "variable", "policyName": name, "version": 1, "statement": 1, "sid": None,
                               "closest": "iot:Connection.Thing.ThingName", "document": own}
    assert f"`{other}` is not the name of a thing that the certificate is attached to (`{name}`)" in hints(found)
    assert happening(server, "--thing", name, clientId=other), "found by the thing, too"


def test_a_version_of_a_policy_that_decided_is_named_after_it_was_replaced(server, cloud, tmp_path, name):
    first = statement("iot:Connect", arn("client", name), effect="Deny")
    device = cloud.device(tmp_path, name, policy(first))
    expect_refused(server, tls_context(device), name)
    cloud.iot.create_policy_version(policyName=name, setAsDefault=True,
                                    policyDocument=policy(statement("iot:*", "*")))
    found = happening(server, name, cause="policy")
    assert (found["policy"]["kind"], found["policy"]["version"]) == ("denies", 1)
    assert found["policy"]["document"] == first
    expected = f"policy {name} version 1 statement 1: {json.dumps(first, separators=(',', ':'), sort_keys=True)}"
    assert expected in eyot(server, name)


def test_a_connect_above_a_limit(server, device):
    expect_refused(server, tls_context(device), "x" * 129)
    found = happening(server, "x" * 129, cause="protocol")
    assert "129 bytes, at most 128" in found["sentence"] and "--limits relaxed" in hints(found)


def test_a_name_that_nobody_used(server, device):
    with Client.connected(server, device, f"{device.name}_UPPER"):
        answer = explain(server, f"{device.name}_upper")
        assert answer["summary"].startswith("nothing is known") and answer["similar"] == [f"{device.name}_UPPER"]
    assert "upper and lower case count" in eyot(server, f"{device.name}_upper")


# Why did it hang up? -----------------------------------------------------------------------------------------------

def test_a_takeover_names_the_other_address(server, device):
    with Client.connected(server, device) as old:
        old_port = old.socket.getsockname()[1]
        with Client.connected(server, device, source="127.0.0.2") as new:
            old.expect_closed()
            port = new.socket.getsockname()[1]
            ended = happening(server, device.name, disconnectReason="DUPLICATE_CLIENTID")
            assert f"from 127.0.0.2:{port}" in ended["sentence"] and "the newest wins" in hints(ended)
            began = happening(server, device.name, event="connected", sourceIp="127.0.0.2")
            assert began["tookOver"] == f"127.0.0.1:{old_port}"


def test_a_will_is_named_with_the_end(server, device):
    topic = f"{device.name}/will"
    Client.connected(server, device, will=(topic, "gone", 0, False)).close()
    found = happening(server, device.name, disconnectReason="CONNECTION_LOST")
    assert found["willDue"] == topic
    Client.connected(server, device, will=(topic, "gone", 0, False)).disconnect()
    found = happening(server, device.name, disconnectReason="CLIENT_INITIATED_DISCONNECT")
    assert found["willDue"] is None and not found["isTrouble"]


def test_a_will_that_no_policy_allows_any_more(server, cloud, device):
    topic = f"{device.name}/will"
    with Client.connected(server, device, will=(topic, "gone", 0, False)) as client:
        only_connect = policy(statement("iot:Connect", "*"))
        cloud.iot.create_policy_version(policyName=device.name, setAsDefault=True, policyDocument=only_connect)
        client.close()
    found = happening(server, device.name, action="iot:Publish", resource=f"topic/{topic}")
    assert found["policy"]["kind"] == "no_statement" and f":topic/{topic}" in hints(found)


def test_silence_for_longer_than_the_keep_alive(tmp_path):
    """Without AWS's least keep-alive of 30 s, which is a matter of minutes."""
    (tmp_path / "s").mkdir()
    with Server(tmp_path / "s", "--limits", "none") as server:
        device = Cloud(server.api_url).device(tmp_path, "silent")
        with Client.connected(server, device, keep_alive=1) as client:
            client.expect_closed()
        found = happening(server, "silent", disconnectReason="MQTT_KEEP_ALIVE_TIMEOUT")
        assert "PINGREQ" in hints(found)


def test_a_limit_that_hangs_up(server, device):
    with Client.connected(server, device) as client:
        client.send(mqtt.publish("a/" * 9, "x"))
        client.expect_closed()
    found = happening(server, device.name, disconnectReason="CLIENT_ERROR")
    assert "slashes" in found["sentence"] and "limits" in hints(found)


# Why was it denied? ------------------------------------------------------------------------------------------------

def restricted(name, *more):
    return policy(
        statement("iot:Connect", "*"),
        statement(["iot:Publish", "iot:Receive"], arn("topic", f"{name}/Own/*")),
        statement("iot:Subscribe", [arn("topicfilter", f"{name}/Own/*"), arn("topicfilter", f"{name}/seen/*")]),
        *more,
    )


def test_a_publish_that_differs_in_case(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name, restricted(name))
    with Client.connected(server, device) as client:
        client.send(mqtt.publish(f"{name}/own/a", "x"))
        client.expect_closed()
    found = happening(server, name, event="denied")
    assert (found["action"], found["resource"]) == ("iot:Publish", f"topic/{name}/own/a")
    assert (found["policy"]["version"], found["policy"]["statement"]) == (1, 2)
    assert "upper and lower case only" in hints(found)
    told = eyot(server, name)
    assert "FORBIDDEN_ACCESS" in told and "✘" in told and "→" in told


def test_a_subscribe_whose_policy_names_topics(server, cloud, tmp_path, name):
    """The usual mistake: iot:Subscribe is about topic filters."""
    document = policy(statement("iot:Connect", "*"), statement("iot:Subscribe", arn("topic", "a")))
    device = cloud.device(tmp_path, name, document)
    with Client.connected(server, device) as client:
        client.send(mqtt.subscribe(1, "a"))
        client.expect_closed()
    found = happening(server, name, action="iot:Subscribe", resource="topicfilter/a")
    assert "iot:Subscribe is about `topicfilter/…`, and the policy says `topic/…`" in hints(found)


def test_a_receiver_that_may_subscribe_and_not_receive(server, cloud, device, tmp_path, name):
    receiver = cloud.device(tmp_path, f"{name}_receiver", restricted(name))
    topic = f"{name}/seen/a"
    with Client.connected(server, receiver) as silent, Client.connected(server, device) as sender:
        silent.subscribe(f"{name}/seen/#")
        for _ in range(3):
            sender.publish_qos1(topic, "x")
        found = happening(server, receiver.name, action="iot:Receive", resource=f"topic/{topic}")
        assert found["policy"]["statement"] == 2
        answer = explain(server, device.name)
        last = answer["connection"]["lastPublish"]
        assert (last["topic"], last["receivers"], last["withheld"]) == (topic, 1, 1)
        assert answer["topic"]["summary"] == "1 client is subscribed, and none may receive it; no rule matches"
        (one,) = answer["topic"]["receivers"]
        assert (one["clientId"], one["mayReceive"]) == (receiver.name, False) and one["policy"]["statement"] == 2
        assert f"{receiver.name} is subscribed and may not receive it" in eyot(server, device.name)


# Why does nobody get the message? ----------------------------------------------------------------------------------

def test_nobody_is_subscribed_but_somebody_nearly_is(server, cloud, device, name):
    topic = f"{name}/Kitchen/temp"
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(f"SELECT * FROM '/{name}/Kitchen/+'", "g"))
    with Client.connected(server, device, f"{name}_near") as near, Client.connected(server, device) as sender:
        near.subscribe(f"{name}/kitchen/#", f"/{topic}", f"{topic}/#", f"{name}/+", f"{name}/other")
        sender.publish_qos1(topic, "x")
        answer = explain(server, device.name)
        assert answer["connection"]["lastPublish"]["receivers"] == 0
        assert answer["topic"]["because"] == "last publish" and answer["topic"]["receivers"] == []
        misses = {(one.get("clientId") or one["rule"], one["topicFilter"]): one["miss"] for one in answer["topic"]["near"]}
        assert misses == {(near_id, filter): miss for near_id, filter, miss in [
            (f"{name}_near", f"{name}/kitchen/#", "case"), (f"{name}_near", f"/{topic}", "leading_slash"),
            (f"{name}_near", f"{topic}/#", "parent"), (f"{name}_near", f"{name}/+", "deeper"),
            (name, f"/{name}/Kitchen/+", "leading_slash")]}
        told = eyot(server, device.name)
        assert "nobody is subscribed; no rule matches; 5 filters miss it by little" in told
        assert "only one of them begins with `/`" in told
        near.subscribe(topic)
        assert explain(server, "--topic", topic)["topic"]["receivers"] == [
            {"clientId": f"{name}_near", "qos": 0, "sharedSubscription": None, "isAway": False, "mayReceive": True, "reason": None,
             "policy": None}]


def test_rules_that_match_are_counted(server, cloud, device, name):
    topic = f"{name}/a"
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(f"SELECT * FROM '{topic}'", "no-such-group"))
    with Client.connected(server, device) as client:
        client.publish_qos1(topic, "{}")
        client.publish_qos1(topic, "{}")
        answer = explain(server, device.name)
        assert (answer["connection"]["lastPublish"]["rules"], answer["connection"]["lastPublish"]["failures"]) == (1, 1)
        assert answer["topic"]["rules"] == [{"ruleName": name, "isEnabled": True, "matched": 2, "sqlFailed": 0,
                                             "actionsSucceeded": 0, "actionsFailed": 2}]
        assert "2 failures" in eyot(server, device.name)


def test_basic_ingest_of_a_rule_that_is_not_there(server, name):
    answer = explain(server, "--topic", f"$aws/rules/{name}/x")
    assert answer["topic"]["summary"] == f"nobody gets it: there is no rule `{name}`; its name in the topic must be exact"


@pytest.mark.parametrize("topic, told", [
    ("a/b/c/d/e/f/g/h/i", "at most 7 are"), ("a" * 257, "at most 256 are"), ("a/#", "wildcard"),
])
def test_a_topic_to_which_nobody_can_publish(server, topic, told):
    answer = explain(server, "--topic", topic)["topic"]
    assert answer["summary"].startswith("nothing can be published to it") and told in answer["summary"]


# What anybody can send ---------------------------------------------------------------------------------------------

def test_control_characters_do_not_drive_the_terminal(server, device):
    client_id = f"{device.name}\x1b[2J\x07"
    with Client.connected(server, device, client_id) as client:
        client.send(mqtt.publish("t\x1b]0;title\x07", "x"))
        client.ping()
        told = eyot(server, client_id)
    assert "\x1b" not in told and "\x07" not in told and "\\u{1b}[2J" in told and "\\u{1b}]0;title" in told


def test_questions_that_make_no_sense_are_answered_in_words(server, device):
    for arguments, told in [(("--certificate", "12"), "64 hexadecimal digits"), (("--address", "here"), "no IP address")]:
        assert told in eyot(server, *arguments, code=1)
    status, _, body = send(server, "/_eyot/explain?color=red", {"Host": server.ready["api"]}, "GET")
    assert status == 400 and b"no parameter `color`" in body
    status, _, _ = send(server, f"/_eyot/explain/{device.name}", {"Host": "evil.example"}, "GET")
    assert status == 421, "guarded as everything else"


def test_client_ids_without_end_take_bounded_memory(tmp_path):
    """Somebody with a certificate makes up client ids: the first are forgotten, the last and the honest device are known."""
    (tmp_path / "s").mkdir()
    count = 100_000 if os.environ.get("EYOT_FULL") else 3_000
    faulthandler.cancel_dump_traceback_later()  # pytest.ini's two minutes are not for the long tier's clients
    with Server(tmp_path / "s") as server:
        cloud = Cloud(server.api_url)
        device = cloud.device(tmp_path, "honest", policy(statement("iot:Connect", arn("client", "honest"))))
        context = tls_context(device)
        session, before = None, resident_bytes(server)
        for number in range(count):
            try:
                client = Client(server, context, session=session)
                session = session or client.socket.session
                client.send(mqtt.connect(f"made-up-{number}-{'x' * 80}"))
                client.expect_closed()
            except GONE:
                pass
        assert explain(server, f"made-up-{count - 1}-{'x' * 80}")["happenings"][0]["cause"] == "policy"
        grown = resident_bytes(server) - before
        assert grown < 64 * 1024 * 1024, f"{grown} bytes for {count} client ids"
        if os.environ.get("EYOT_FULL"):
            assert explain(server, f"made-up-0-{'x' * 80}")["happenings"] == []


def resident_bytes(server):
    pages = int(open(f"/proc/{server.pid}/statm").read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


# Sessions, groups and limits ---------------------------------------------------------------------------------------

BOTH = pytest.mark.parametrize("version", [V311, V5])


@pytest.fixture
def by(server, device):
    """Somebody who publishes."""
    with Peer(server, device, f"{device.name}-by", clean=True, expiry=0) as peer:
        yield peer


@BOTH
def test_a_session_whose_client_is_away(server, device, by, name, version):
    topic = f"{name}/a"
    with Peer(server, device, name, version) as peer:
        assert peer.subscribe(f"{name}/+") == [1]
        connection = explain(server, name)["connection"]
        assert connection["isSessionKept"] and connection["sessionExpirySeconds"] == 3600
        peer.leave()
    by.publish(topic, "1")
    by.publish(topic, "2")
    happening(server, name, event="disconnected")
    answer = explain(server, name, "--topic", topic)
    assert answer["connection"] is None and "its session waits for it with 2 messages, until 2" in answer["summary"]
    session = answer["session"]
    assert session["subscriptions"] == [{"topicFilter": f"{name}/+", "qos": 1}] and session["queued"] == 2
    assert session["protocol"] == ("MQTT 5" if version == V5 else "MQTT 3.1.1") and session["willTopic"] is None
    (receiver,) = answer["topic"]["receivers"]
    assert (receiver["clientId"], receiver["isAway"], receiver["qos"]) == (name, True, 1)
    assert answer["topic"]["summary"] == "1 client is subscribed, 1 of them away; no rule matches"
    told = eyot(server, name, "--topic", topic)
    assert "the client is away, 2 queued" in told and f"{name} is away: what has QoS 1 waits for it" in told
    near = explain(server, "--topic", f"/{topic}")["topic"]["near"]
    assert [(one["clientId"], one["miss"]) for one in near] == [(name, "leading_slash")]
    with Peer(server, device, name, version) as peer:
        assert peer.receive(2) == ["1", "2"]
        answer = explain(server, name)
        assert answer["session"] is None and answer["connection"]["subscriptions"] == session["subscriptions"]
        assert answer["happenings"][-1]["sessionPresent"] is True
        peer.leave()
    by.publish(topic, "3")
    other = V311 if version == V5 else V5
    with Peer(server, device, name, other) as peer:
        found = happening(server, name, event="session_ended")
        assert found["messages"] == 1 and "the other version" in found["sentence"] and found["sourceIp"] is None
        peer.leave(expiry=0)
    assert "1 message that waited is dropped" in eyot(server, name)


def test_a_session_to_whose_client_nobody_came_back(server, device, by, name):
    with Peer(server, device, name, V5, expiry=1) as peer:
        peer.subscribe(name)
        peer.leave()
    by.publish(name, "1")
    found = happening(server, name, event="session_ended")
    assert "did not come back in 1 s" in found["sentence"] and found["isTrouble"] and "expiry interval" in hints(found)
    assert explain(server, name)["session"] is None


def test_a_session_that_the_api_ends(server, cloud, device, name):
    with Peer(server, device, name) as peer:
        peer.subscribe(name)
        peer.leave()
    cloud.data.delete_connection(clientId=name, cleanSession=True)
    found = happening(server, name, event="session_ended")
    assert "DeleteConnection" in found["sentence"] and not found["isTrouble"]


def test_a_will_that_waits_for_its_client(server, device, name):
    topic = f"{name}/will"
    with Peer(server, device, name, V5, will=(topic, "gone", 0, False), will_delay=3600) as peer:
        peer.close()
    found = happening(server, name, event="disconnected")
    assert (found["willDue"], found["willDelaySeconds"]) == (topic, 3600) and "waits 3600 s" in found["sentence"]
    session = explain(server, name)["session"]
    assert session["willTopic"] == topic and session["willDueAt"] <= session["endsAt"]
    assert f"its will on {topic} waits until" in eyot(server, name)
    with Peer(server, device, name, V5, will=(topic, "gone", 0, False), will_delay=1) as peer:
        peer.close()
    assert happening(server, name, event="delayed_will")["topic"] == topic


def test_a_queue_that_is_full(tmp_path, name):
    with Server(tmp_path, "--limit=queued_messages_max=2") as server:
        device = Cloud(server.api_url).device(tmp_path / "keys", name)
        with Peer(server, device, name) as peer:
            peer.subscribe(f"{name}/a", f"$share/group/{name}/b")
            peer.leave()
        happening(server, name, event="disconnected")
        with Peer(server, device, f"{name}-by", clean=True, expiry=0) as by:
            for payload in "12345":
                by.publish(f"{name}/a", payload)
                by.publish(f"{name}/b", payload)
        found = happening(server, name, event="not_delivered")
        assert found["count"] == 3 and found["sourceIp"] is None and "queued_messages_max" in hints(found)
        assert len([one for one in explain(server, name)["happenings"] if one["event"] == "not_delivered"]) == 1
        (group,) = explain(server, "--topic", f"{name}/b")["topic"]["sharedSubscriptions"]
        assert group == {"topicFilter": f"$share/group/{name}/b", "members": 1, "online": 0, "queued": 2, "dropped": 3}


def test_who_shares_a_subscription(tmp_path, name):
    shared, topic = f"$share/group/{name}/+", f"{name}/a"
    with Server(tmp_path, "--loops", "4") as server:
        cloud = Cloud(server.api_url)
        device = cloud.device(tmp_path / "keys", name)
        deaf = cloud.device(tmp_path / "deaf", f"{name}-deaf", policy(statement(["iot:Connect", "iot:Subscribe"], "*")))
        with Peer(server, device, f"{name}-away") as away:
            away.subscribe(shared)
            away.leave()
        with Peer(server, device, f"{name}-here", V5, clean=True, expiry=0) as here, Peer(server, deaf, clean=True) as other:
            here.subscribe(shared, f"$share/group/{topic}/#")
            other.subscribe(shared, qos=0)
            happening(server, f"{name}-away", event="disconnected")
            answer = explain(server, "--topic", topic)["topic"]
            assert answer["sharedSubscriptions"] == [{"topicFilter": shared, "members": 3, "online": 2, "queued": 0, "dropped": 0}]
            told = [(one["clientId"], one["qos"], one["isAway"], one["mayReceive"]) for one in answer["receivers"]]
            assert told == [(f"{name}-away", 1, True, True), (f"{name}-deaf", 0, False, False), (f"{name}-here", 1, False, True)]
            assert all(one["sharedSubscription"] == shared for one in answer["receivers"])
            assert "1 shared subscription: one member of each gets it" in answer["summary"]
            assert [(one["topicFilter"], one["miss"]) for one in answer["near"]] == [(f"$share/group/{topic}/#", "parent")]
            assert f"{name}-here gets it in turn with the others of `{shared}`" in eyot(server, "--topic", topic)
            for payload in "123":
                here.send(here.published(topic, payload, 0))
            assert sorted(here.receive(3)) == ["1", "2", "3"], "what the deaf one may not have goes to another"
            found = happening(server, f"{name}-deaf", event="denied")
            assert found["action"] == "iot:Receive" and found["resource"] == f"topic/{topic}"


def test_rates(tmp_path, name):
    """What is discarded, and a CONNECT that is refused."""
    with Server(tmp_path, pace=()) as server:
        device = Cloud(server.api_url).device(tmp_path / "keys", name)
        with Client.connected(server, device) as client:
            client.send(b"".join(mqtt.publish(f"{name}/a", "x") for _ in range(200)))
            client.ping()
            expect_refused(server, tls_context(device), name)
            refused = happening(server, name, cause="throttled")
            assert refused["limit"] == "client_connects_per_s" and "--limit client_connects_per_s=N" in hints(refused)
            found = happening(server, name, event="throttled")
            assert found["limit"] == "connection_publishes_per_s" and found["isTrouble"]
            assert "--limit connection_publishes_per_s=N" in hints(found)
            assert "more than 100 messages in a second on one connection" in eyot(server, name)


def test_mqtt_5_stays_connected_and_is_told_of(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name, restricted(name))
    with mqtt5.connected(server, device, name) as client:
        client.send(mqtt5.publish(f"{name}/own/a", "x", 1, 3))
        assert mqtt5.reason_of(client.read()) == (mqtt.PUBACK, 0x87)
        client.send(mqtt5.subscribe(1, f"{name}/Own/a", "elsewhere"))
        assert mqtt5.codes_of(client.read()) == [0, 0x87]
        publish = happening(server, name, action="iot:Publish", resource=f"topic/{name}/own/a")
        assert publish["policy"]["statement"] == 2 and "upper and lower case only" in hints(publish)
        happening(server, name, action="iot:Subscribe", resource="topicfilter/elsewhere")
        answer = explain(server, name)
        assert answer["connection"]["protocol"] == "MQTT 5" and not answer["connection"]["isSessionKept"]
        assert answer["summary"].startswith("connected since") and "denied iot:Subscribe" in answer["summary"]
        client.send(mqtt5.publish(f"{name}/Own/a", "x", 1, 4))
        client.read()
        (receiver,) = explain(server, name)["topic"]["receivers"]
        assert receiver["clientId"] == name and receiver["mayReceive"]


# Other ways in -----------------------------------------------------------------------------------------------------

def test_a_client_that_signs_with_an_access_key(server, name):
    with WebSocket.connected(("127.0.0.1", server.api_port), name) as client:
        client.send(mqtt.publish(f"{name}/a", "x"))
        client.ping()
        answer = explain(server, name)
        connection = answer["connection"]
        assert (connection["principal"], connection["certificateId"]) == ("AKIDEXAMPLE", None) and answer["certificates"] == []
        assert answer["happenings"][-1]["principal"] == "AKIDEXAMPLE" and connection["lastPublish"]["topic"] == f"{name}/a"


def test_what_the_insecure_policy_denies(tmp_path, name):
    (tmp_path / "policy.json").write_text(policy(statement("iot:Connect", "*")))
    with Server(tmp_path, "--insecure-mqtt-port", "0", "--insecure-policy", "policy.json") as server:
        with Client(server, NoTls, address=("127.0.0.1", server.plain_port)) as client:
            client.send(mqtt.connect(name) + mqtt.publish(f"{name}/a", "x"))
            assert client.read()[0] == mqtt.CONNACK
            client.expect_closed()
        found = happening(server, name, action="iot:Publish", principal="insecure", certificateId=None)
        assert "--insecure-policy" in hints(found) and "create-policy-version" not in hints(found)


def test_devices_cannot_ask(server, device):
    """What is told here is the owner's affair: not on the ports that devices reach."""
    context = tls_context(device)
    with Client(server, context, address=("127.0.0.1", server.https_port)) as client:
        client.send(f"GET /_eyot/explain/{device.name} HTTP/1.1\r\nHost: localhost:{server.https_port}\r\nConnection: close\r\n\r\n".encode())
        answer = client.read_exactly(15)
        assert answer.startswith(b"HTTP/1.1 4"), answer
