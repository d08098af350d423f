"""Shared subscriptions of both versions: each message goes to one member of a group. [AWS mqtt shared-subscriptions], [MQTT5 4.8.2]"""

import re
import time

import pytest

from support.cloud import Cloud, policy, statement
from support.http import send
from support.server import Server
from support.sessions import V5, V311, Peer
from support.waiting import eventually

BOTH = pytest.mark.parametrize("version", [V311, V5])


@pytest.fixture(scope="module", params=["1", "4"])
def server(tmp_path_factory, request):
    with Server(tmp_path_factory.mktemp("eyot"), "--loops", request.param) as server:
        yield server


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


def member(server, device, client_id, *filters, version=V311, qos=1, **options):
    options = dict(clean=True, expiry=0) | options
    peer = Peer(server, device, client_id, version, **options)
    assert peer.subscribe(*filters, qos=qos) == [qos] * len(filters)
    return peer


def publisher(server, device, name):
    return Peer(server, device, f"{name}-by", clean=True, expiry=0)


def drain(peer):
    """All that has come by now: what the answer of a PINGREQ follows. Acknowledges it."""
    peer.send(b"\xc0\x00")
    payloads = []
    while True:
        first = peer.read_exactly(1)
        peer.buffer = first + peer.buffer
        if first == b"\xd0":
            peer.read_exactly(2)
            return payloads
        payloads += peer.receive()


@BOTH
def test_each_message_goes_to_one_member(server, device, name, version):
    shared = f"$share/{name}/{name}/+"
    with member(server, device, f"{name}-1", shared, version=version) as one, member(server, device, f"{name}-2", shared) as two, \
            member(server, device, f"{name}-other", f"$share/{name}_other/{name}/+") as other, member(server, device, f"{name}-plain", f"{name}/+") as plain, \
            publisher(server, device, name) as by:
        payloads = [str(number) for number in range(20)]
        for payload in payloads:
            by.publish(f"{name}/{payload}", payload)
        assert other.receive(20) == plain.receive(20) == payloads
        got = [], []

        def all_there():
            for peer, list_ in zip((one, two), got):
                list_.extend(drain(peer))
            return len(got[0]) + len(got[1]) >= 20

        eventually(all_there, lambda: f"20 messages, there are {got}")
        assert sorted(got[0] + got[1], key=int) == payloads
        assert 5 <= len(got[0]) <= 15, "members take turns"


def test_a_member_that_is_in_two_groups_gets_a_copy_of_each(server, device, name):
    with member(server, device, name, f"$share/a/{name}", f"$share/b/{name}", name) as peer, publisher(server, device, name) as by:
        by.publish(name, "1")
        assert peer.receive(3) == ["1", "1", "1"]
        peer.unsubscribe(f"$share/a/{name}", name)
        by.publish(name, "2")
        assert peer.receive() == ["2"]
        peer.ping()


@pytest.mark.parametrize("published, subscribed", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_lower_qos_holds(server, device, name, published, subscribed):
    with member(server, device, name, f"$share/g/{name}", qos=subscribed) as peer, publisher(server, device, name) as by:
        by.publish(name, "1", qos=published)
        message = peer.take()
        assert (message.payload, message.qos) == (b"1", min(published, subscribed))


@BOTH
def test_what_a_member_leaves_behind_goes_to_another(server, device, name, version):
    shared = f"$share/g/{name}"
    with publisher(server, device, name) as by:
        leaves = member(server, device, f"{name}-1", shared, version=version)
        for payload in "123":
            by.publish(name, payload)
        assert leaves.take().payload == b"1"
        with member(server, device, f"{name}-2", shared, version=version) as stays:
            leaves.close()
            assert sorted(stays.receive(3)) == ["1", "2", "3"]
            by.publish(name, "4")
            assert stays.receive() == ["4"]


@BOTH
def test_messages_wait_for_a_group_with_a_persistent_member(server, device, name, version):
    shared = f"$share/g/{name}/+"
    persistent = dict(clean=False, expiry=3600, version=version)
    member(server, device, f"{name}-kept", shared, **persistent).leave()
    with publisher(server, device, name) as by:
        by.publish(f"{name}/a", "1")
        by.publish(f"{name}/a", "not kept", qos=0)
        by.publish(f"{name}/b", "2")
        with Peer(server, device, f"{name}-kept", **persistent) as back:
            assert back.session_present
            assert back.receive(2) == ["1", "2"]
            back.leave()
        by.publish(f"{name}/a", "3")
        # [AWS mqtt shared-subscriptions] Whoever joins takes what waits.
        with member(server, device, f"{name}-new", shared) as new:
            assert new.receive() == ["3"]
            with Peer(server, device, f"{name}-kept", **persistent) as back:
                back.ping()
                back.unsubscribe(shared)
                new.leave()
                back.leave()
        by.publish(f"{name}/a", "for nobody")
        with member(server, device, f"{name}-late", shared) as late:
            by.publish(f"{name}/a", "behind it")
            assert late.receive() == ["behind it"]


def test_messages_do_not_wait_for_a_group_of_clean_sessions(server, device, name):
    shared = f"$share/g/{name}"
    member(server, device, name, shared).leave()
    with publisher(server, device, name) as by:
        by.publish(name, "for nobody")
        with member(server, device, f"{name}-late", shared) as peer:
            by.publish(name, "behind it")
            assert peer.receive() == ["behind it"]


def test_retained_messages_are_not_replayed(server, device, name):
    with publisher(server, device, name) as by:
        by.publish(name, "kept", retain=True)
        with member(server, device, name, f"$share/g/{name}") as peer:
            peer.ping()
            by.publish(name, "live", retain=True)
            message = peer.take()
            assert (message.payload, message.retain) == (b"live", False)


def test_permission_is_that_of_the_whole_filter(server, cloud, device, tmp_path, name):
    """[verified 26]"""
    allowed = policy(statement("iot:Connect", "*"), statement("iot:Receive", "*"),
                     statement("iot:Subscribe", "arn:aws:iot:us-east-1:000000000000:topicfilter/$share/mine/*"))
    other = cloud.device(tmp_path, name, allowed)
    with Peer(server, other, name, V5, clean=True, expiry=0) as peer:
        assert peer.subscribe(f"$share/mine/{name}", f"$share/theirs/{name}", name) == [1, 0x87, 0x87]


@pytest.mark.parametrize("allow, deny, receives", [
    ("topic/t/*", None, True), ("topic/$share/*/t/*", None, True), ("topic/other", None, False),
    ("*", "topic/t/*", False), ("topic/t/*", "topic/$share/g/*", False),
])
def test_either_form_of_the_topic_allows_and_denies(server, cloud, device, tmp_path, name, allow, deny, receives):
    """[verified 27]"""
    resource = lambda form: form if form == "*" else f"arn:aws:iot:us-east-1:000000000000:{form.replace('t/', name + '/')}"
    statements = [statement(["iot:Connect", "iot:Subscribe"], "*"), statement("iot:Receive", [resource(allow), resource("topic/marker")])]
    statements += [statement("iot:Receive", resource(deny), "Deny")] if deny else []
    other = cloud.device(tmp_path, name, policy(*statements))
    with member(server, other, name, f"$share/g/{name}/+", "marker") as peer, publisher(server, device, name) as by:
        by.publish(f"{name}/a", "1")
        by.publish("marker", "behind it")
        assert sorted(peer.receive(1 + receives)) == ["1"] * receives + ["behind it"]


def test_who_may_not_receive_hands_it_on(server, cloud, device, tmp_path, name):
    deaf = cloud.device(tmp_path, name, policy(statement(["iot:Connect", "iot:Subscribe"], "*")))
    shared, payloads = f"$share/g/{name}", [str(number) for number in range(10, 20)]
    with member(server, deaf, f"{name}-deaf", shared), publisher(server, device, name) as by, \
            member(server, device, f"{name}-kept", shared, clean=False, expiry=100) as hears:
        for payload in payloads:
            by.publish(name, payload)
        assert sorted(hears.receive(10)) == payloads
        # Nobody else is there: it is not kept for ever.
        hears.leave()
        by.publish(name, "for nobody who may")
        by.publish(name, "for nobody who may")


@BOTH
def test_what_one_may_not_receive_waits_for_one_who_may(server, cloud, device, tmp_path, name, version):
    """However often the one that is here is asked; and it is asked again when it comes with other rights."""
    shared = f"$share/{name}/{name}/+"
    barred = cloud.device(tmp_path, name, policy(statement("iot:*", "*"), statement("iot:Receive", f"*topic/{name}/secret", "Deny")))
    with member(server, device, f"{name}-may", shared, version=version, clean=False, expiry=3600) as may:
        may.leave()
    with member(server, barred, name, shared, clean=False, expiry=3600, version=version) as one, publisher(server, device, name) as by:
        for number in range(3):
            by.publish(f"{name}/secret", f"secret {number}")
            by.publish(f"{name}/plain", f"plain {number}")
        assert one.receive(3) == ["plain 0", "plain 1", "plain 2"]
        assert drain(one) == []
        with Peer(server, device, f"{name}-may", version) as may:
            assert may.receive(3) == ["secret 0", "secret 1", "secret 2"]
            may.leave()
        by.publish(f"{name}/secret", "later")
        assert drain(one) == []
    cloud.iot.create_policy_version(policyName=name, policyDocument=policy(statement("iot:*", "*")), setAsDefault=True)
    with Peer(server, barred, name, version) as one:
        assert one.receive() == ["later"]


def denied(cloud, directory, name):
    """A device that may do everything but receive `NAME/secret`."""
    return cloud.device(directory / name, name, policy(statement("iot:*", "*"), statement("iot:Receive", f"*topic/{name}/secret", "Deny")))


@pytest.mark.parametrize("loops", ["1", "4"])
def test_what_waits_for_another_member_keeps_nothing_from_who_is_here(tmp_path, loops):
    """Not even when it fills the group's queue."""
    with Server(tmp_path, "--loops", loops, "--limit=queued_messages_max=5") as server:
        cloud = Cloud(server.api_url)
        device, barred = cloud.device(tmp_path / "device", "device"), denied(cloud, tmp_path, "a")
        with member(server, device, "may", "$share/g/a/+", clean=False, expiry=3600) as may:
            may.leave()
        with member(server, barred, "one", "$share/g/a/+") as one, publisher(server, device, "a") as by:
            for number in range(8):
                by.publish("a/secret", f"secret {number}")
                by.publish("a/plain", f"plain {number}")
                by.publish("a/plain", f"passing {number}", qos=0)
            expected = [f"{kind} {number}" for number in range(8) for kind in ("plain", "passing")]
            got = []

            def all_there():
                got.extend(drain(one))
                return len(got) >= 16

            eventually(all_there, lambda: got)
            assert got == expected
        with Peer(server, device, "may") as may:
            assert may.receive(5) == [f"secret {number}" for number in range(5)]
            assert drain(may) == []


def test_who_may_receive_nothing_uses_up_nothing(tmp_path):
    """Neither what goes out to all clients, nor the server's time: each member is asked twice at most."""
    with Server(tmp_path, "--limit=account_publishes_out_per_s=50") as server:
        cloud = Cloud(server.api_url)
        device = cloud.device(tmp_path / "device", "device")
        deaf = cloud.device(tmp_path / "deaf", "deaf", policy(statement(["iot:Connect", "iot:Subscribe"], "*")))
        members = [member(server, deaf, f"deaf-{number}", "$share/g/q") for number in range(10)]
        with Peer(server, device, "hears", clean=True) as hears, publisher(server, device, "a") as by:
            hears.subscribe("t", qos=0)
            for number in range(30):
                by.publish("q", str(number), qos=0)
            withheld = "eyot_broker_receives_withheld_total"
            eventually(lambda: metric(server, withheld) >= 300, lambda: metric(server, withheld))
            for number in range(40):
                by.publish("t", str(number), qos=0)
            assert hears.receive(40) == [str(number) for number in range(40)]
            assert metric(server, withheld) <= 600
        for one in members:
            one.close()


def metric(server, name):
    _, _, body = send(server, "/_eyot/metrics", {"Host": server.ready["api"]}, "GET")
    return int(re.search(rf"^{name} (\d+)$", body.decode(), re.M)[1])


def test_what_a_member_left_unacknowledged_for_long_goes_to_another(tmp_path):
    """`unacknowledged_max_s` is about what would come again to the same client."""
    with Server(tmp_path, "--limit=unacknowledged_max_s=1") as server:
        device = Cloud(server.api_url).device(tmp_path / "device", "device")
        with publisher(server, device, "a") as by, member(server, device, "stuck", "$share/g/a") as stuck:
            by.publish("a", "one")
            assert stuck.take().payload == b"one"
            with member(server, device, "well", "$share/g/a") as well:
                # The limit itself: there is no event before.
                time.sleep(1.1)
                stuck.ping()
                stuck.close()
                assert well.receive() == ["one"]


@pytest.mark.parametrize("is_one_here", [False, True])
def test_what_nobody_who_is_here_may_receive_is_queued_within_the_rate(tmp_path, is_one_here):
    with Server(tmp_path, "--limit=queued_messages_per_s=2") as server:
        cloud = Cloud(server.api_url)
        device, barred = cloud.device(tmp_path / "device", "device"), denied(cloud, tmp_path, "a")
        with member(server, device, "may", "$share/g/a/+", clean=False, expiry=3600) as may:
            may.leave()
        if is_one_here:
            one = member(server, barred, "one", "$share/g/a/+")
        with publisher(server, device, "a") as by:
            sent = [str(number) for number in range(12)]
            for payload in sent:
                by.publish("a/secret", payload)
            if is_one_here:
                asked = "eyot_broker_receives_withheld_total"
                eventually(lambda: metric(server, asked) >= 12, lambda: metric(server, asked))
                assert drain(one) == []
                one.close()
        throttled = metric(server, 'eyot_throttled_total{limit="queued_messages_per_s"}')
        assert 0 < throttled <= 10
        with Peer(server, device, "may") as may:
            got = may.receive(12 - throttled)
            assert got[:2] == sent[:2] and set(got) < set(sent)
            assert drain(may) == []


def test_members_take_what_waits_when_they_have_room(tmp_path):
    """More than fits into the members' own queues: nothing is stuck behind them."""
    with Server(tmp_path, "--limit", "queued_messages_max=3", "--limit", "inflight_outbound_max=2") as server:
        device = Cloud(server.api_url).device(tmp_path, "device")
        kept = dict(clean=False, expiry=100)
        with member(server, device, "one", "$share/g/t", **kept) as one, publisher(server, device, "by") as by:
            for number in range(8):
                by.publish("t", str(number))
            assert one.receive(8) == list("01234567")
            one.leave()
            for number in range(3):
                by.publish("t", str(number))
            with Peer(server, device, "one", **kept) as back:
                assert back.receive(3) == ["0", "1", "2"]


@pytest.mark.parametrize("wrong", ["$share/g", "$share/g/", "$share//t", "$share/+/t", "$share/#", "$share/" + "g" * 129 + "/t", "$share/g/$aws/things/x/#"])
def test_what_is_no_shared_filter_is_refused(server, device, name, wrong):
    with Peer(server, device, name, V5, clean=True, expiry=0) as peer:
        if "$aws" in wrong:
            peer.send(b"\x82" + bytes([len(wrong) + 6]) + b"\0\1\0" + len(wrong).to_bytes(2, "big") + wrong.encode() + b"\1")
            assert peer.read()[0] == 14  # DISCONNECT
        else:
            assert peer.subscribe(wrong) == [0x8F]
            peer.ping()
