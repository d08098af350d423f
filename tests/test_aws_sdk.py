"""AWS's own device SDK on the port 8883, in both versions of MQTT: what unmodified code of AWS's users does."""

import pytest
from awscrt import mqtt, mqtt5
from awscrt.exceptions import AwsCrtError

from support.aws_sdk import Sdk3, Sdk5, over_mtls
from support.cloud import Cloud, arn, policy, statement
from support.mqtt import Client
from support.server import Server, because
from support.waiting import DEADLINE_S

PAYLOAD_BYTES_MAX = 128 * 1024


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


@pytest.fixture
def mtls(server, device):
    return over_mtls(server, device)


# MQTT 3.1.1 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subscribe_qos", [0, 1])
@pytest.mark.parametrize("publish_qos", [0, 1])
def test_3_publish_and_subscribe(mtls, name, publish_qos, subscribe_qos):
    with Sdk3(mtls, f"{name}-to") as to, Sdk3(mtls, f"{name}-by") as by:
        assert to.subscribe(f"{name}/+", subscribe_qos) == subscribe_qos
        by.publish(f"{name}/t", b"\x00\xff payload", publish_qos)
        assert to.message() == (f"{name}/t", b"\x00\xff payload", min(publish_qos, subscribe_qos), False)
        to.unsubscribe(f"{name}/+")
        to.subscribe(f"{name}-marker")
        by.publish(f"{name}/t", b"must not arrive")
        by.publish(f"{name}-marker", b"marker")
        assert to.message()[1] == b"marker"


def test_3_its_metrics_in_the_user_name_are_no_credentials(server, mtls, name):
    """[verified 16, 17] The SDK says `?SDK=…` there, with a certificate too."""
    with Sdk3(mtls, name, enable_metrics_collection=True) as plain, Sdk3(mtls, f"{name}-own", username="me", password="x") as own:
        for client in (plain, own):
            client.publish(f"{name}/t", b"in")


def test_3_takeover_hangs_up_and_publishes_the_will(server, mtls, name):
    will = mqtt.Will(f"{name}/will", mqtt.QoS.AT_LEAST_ONCE, b"gone", False)
    with Sdk3(mtls, f"{name}-to") as to:
        to.subscribe(f"{name}/will")
        mark = server.log_mark()
        first = Sdk3(mtls, f"{name}-twin", will=will)
        with Sdk3(mtls, f"{name}-twin") as second:
            assert first.expect("interrupted").name == "AWS_ERROR_MQTT_UNEXPECTED_HANGUP"
            assert to.message() == (f"{name}/will", b"gone", 1, False)
            server.expect_log("disconnected", f"{name}-twin", because("DUPLICATE_CLIENTID"), since=mark)
            second.publish(f"{name}/other", b"still here")
            first.abandon()


def test_3_a_will_stays_behind_after_disconnect(mtls, name):
    will = mqtt.Will(f"{name}/will", mqtt.QoS.AT_LEAST_ONCE, b"gone", False)
    with Sdk3(mtls, f"{name}-to") as to:
        to.subscribe(f"{name}/#")
        Sdk3(mtls, f"{name}-polite", will=will).close()
        to.publish(f"{name}/marker", b"marker")
        assert to.message()[0] == f"{name}/marker"


def test_3_retained(mtls, name):
    with Sdk3(mtls, f"{name}-by") as by:
        by.publish(f"{name}/t", b"kept", retain=True)
        with Sdk3(mtls, f"{name}-to") as to:
            to.subscribe(f"{name}/t")
            assert to.message() == (f"{name}/t", b"kept", 1, True)
            by.publish(f"{name}/t", b"live", retain=True)
            assert to.message() == (f"{name}/t", b"live", 1, False)
            by.publish(f"{name}/t", b"", retain=True)
            assert to.message()[1] == b""
        with Sdk3(mtls, f"{name}-late") as late:
            late.subscribe(f"{name}/t")
            by.publish(f"{name}/t", b"marker")
            assert late.message()[1] == b"marker"


def test_3_refusals_are_hangups(server, cloud, mtls, name, tmp_path):
    """What AWS's users know as AWS_ERROR_MQTT_UNEXPECTED_HANGUP: the reason is in our log."""
    limited = cloud.device(tmp_path, name, policy(
        statement("iot:Connect", arn("client", f"{name}-*")), statement("iot:Publish", arn("topic", f"{name}/open"))))
    connection = over_mtls(server, limited)
    with pytest.raises(AwsCrtError) as refused:
        Sdk3(connection, f"other-{name}")
    assert refused.value.name == "AWS_ERROR_MQTT_UNEXPECTED_HANGUP"
    server.expect_log("refused", f"other-{name}", "iot:Connect")
    for action in ("publish", "subscribe"):
        client = Sdk3(connection, f"{name}-{action}")
        client.publish(f"{name}/open", b"may")
        # Not waited for: the SDK keeps what was not answered for its next connection.
        if action == "publish":
            client.connection.publish(f"{name}/closed", b"may not", mqtt.QoS.AT_LEAST_ONCE)
        else:
            client.connection.subscribe(f"{name}/open", mqtt.QoS.AT_MOST_ONCE)
        assert client.expect("interrupted").name == "AWS_ERROR_MQTT_UNEXPECTED_HANGUP"
        client.abandon()
        server.expect_log("denied", f"{name}-{action}", f"iot:{action.capitalize()}")


def test_3_comes_back_when_the_server_does(tmp_path, name):
    server = Server(tmp_path).start()
    device = Cloud(server.api_url).device(tmp_path, "device")
    client = Sdk3(over_mtls(server, device), name, reconnect_s=1)
    server.stop()
    assert client.expect("interrupted")
    with Server(tmp_path, mqtts_port=server.mqtts_port) as again:
        assert client.expect("resumed") is False
        client.subscribe(f"{name}/t")
        client.publish(f"{name}/t", b"back")
        assert client.message()[1] == b"back"
        client.close()


# MQTT 5 ---------------------------------------------------------------------------------------------------------------------


def test_5_settings_are_awss(mtls, name):
    with Sdk5(mtls, name, keep_alive_interval_sec=60) as client:
        settings = client.settings
        assert settings.maximum_qos == mqtt5.QoS.AT_LEAST_ONCE
        assert settings.receive_maximum_from_server == 100
        assert settings.maximum_packet_size_to_server == 149_504
        assert settings.topic_alias_maximum_to_server == 8
        assert settings.server_keep_alive_sec == 60
        assert settings.retain_available and settings.wildcard_subscriptions_available
        assert not settings.subscription_identifiers_available
        assert settings.client_id == name and not settings.rejoined_session
        assert client.connack.assigned_client_identifier is None


@pytest.mark.parametrize(("asked_s", "applies_s"), [(10, 30), (1200, 1200), (4000, 1200)])
def test_5_the_keep_alive_that_applies_is_told(mtls, name, asked_s, applies_s):
    # The SDK wants its time-out for pings to be shorter.
    with Sdk5(mtls, name, keep_alive_interval_sec=asked_s, ping_timeout_ms=5000) as client:
        assert client.settings.server_keep_alive_sec == applies_s


@pytest.mark.parametrize("subscribe_qos", [0, 1])
@pytest.mark.parametrize("publish_qos", [0, 1])
def test_5_publish_and_subscribe(mtls, name, publish_qos, subscribe_qos):
    with Sdk5(mtls, f"{name}-to") as to, Sdk5(mtls, f"{name}-by") as by:
        assert to.subscribe(f"{name}/+", f"{name}/x/#", qos=subscribe_qos) == [subscribe_qos, subscribe_qos]
        puback = by.publish(f"{name}/t", b"\x00\xff payload", publish_qos)
        assert (puback and puback.reason_code) == (mqtt5.PubackReasonCode.SUCCESS if publish_qos else None)
        message = to.message()
        assert (message.topic, message.payload) == (f"{name}/t", b"\x00\xff payload")
        assert message.qos == min(publish_qos, subscribe_qos) and not message.retain


def test_5_properties_arrive(mtls, name):
    user_properties = [mqtt5.UserProperty("a", "1"), mqtt5.UserProperty("", ""), mqtt5.UserProperty("a", "ü")]
    with Sdk5(mtls, f"{name}-to") as to, Sdk5(mtls, f"{name}-by") as by, Sdk3(mtls, f"{name}-old") as old:
        to.subscribe(f"{name}/t")
        old.subscribe(f"{name}/t")
        by.publish(f"{name}/t", "21.5", content_type="text/plain", response_topic=f"{name}/answers", user_properties=user_properties,
                   correlation_data_bytes=b"\x00\x01", message_expiry_interval_sec=600,
                   payload_format_indicator=mqtt5.PayloadFormatIndicator.AWS_MQTT5_PFI_UTF8)
        message = to.message()
        assert (message.content_type, message.response_topic) == ("text/plain", f"{name}/answers")
        assert message.correlation_data_bytes == b"\x00\x01"
        assert message.payload_format_indicator == mqtt5.PayloadFormatIndicator.AWS_MQTT5_PFI_UTF8
        assert 590 <= message.message_expiry_interval_sec <= 600
        assert message.user_properties == user_properties
        assert old.message() == (f"{name}/t", b"21.5", 1, False)


def test_5_aliases_that_the_sdk_sets(mtls, name):
    """Ten topics in turn, with room for eight aliases: the SDK moves them about."""
    aliasing = mqtt5.TopicAliasingOptions(outbound_behavior=mqtt5.OutboundTopicAliasBehaviorType.LRU, outbound_cache_max_size=8)
    topics = [f"{name}/{number % 10}" for number in range(40)] + [f"{name}/0"] * 5
    with Sdk5(mtls, f"{name}-to") as to, Sdk5(mtls, f"{name}-by", topic_aliasing_options=aliasing) as by:
        to.subscribe(f"{name}/#")
        for number, topic in enumerate(topics):
            by.publish(topic, str(number))
        assert [(to.message().topic) for _ in topics] == topics


def test_5_subscription_options(mtls, name):
    with Sdk5(mtls, name) as client, Sdk5(mtls, f"{name}-by") as by:
        client.publish(f"{name}/kept", b"kept", retain=True)
        client.subscribe(f"{name}/kept", retain_handling_type=mqtt5.RetainHandlingType.DONT_SEND, retain_as_published=True)
        client.subscribe(f"{name}/own", no_local=True)
        client.publish(f"{name}/own", b"mine")
        by.publish(f"{name}/own", b"another's")
        assert client.message().payload == b"another's"
        by.publish(f"{name}/kept", b"anew", retain=True)
        message = client.message()
        assert (message.payload, message.retain) == (b"anew", True)
        client.subscribe(f"{name}/kept")
        message = client.message()
        assert (message.payload, message.retain) == (b"anew", True)


def test_5_the_largest_payload(mtls, name):
    """128 KiB pass; one byte more does not. The SDK writes and reads it in many TLS records."""
    payload = bytes(range(256)) * (PAYLOAD_BYTES_MAX // 256)
    with Sdk5(mtls, f"{name}-to") as to:
        to.subscribe(f"{name}/t")
        by = Sdk5(mtls, f"{name}-by")
        by.publish(f"{name}/t", payload)
        assert to.message().payload == payload
        by.client.publish(mqtt5.PublishPacket(topic=f"{name}/t", payload=payload + b"x", qos=mqtt5.QoS.AT_LEAST_ONCE))
        packet = by.expect("disconnected").disconnect_packet
        assert packet.reason_code == mqtt5.DisconnectReasonCode.QUOTA_EXCEEDED and "PAYLOAD_LIMIT_EXCEEDED" in packet.reason_string
        by.close()
        to.publish(f"{name}/t", b"marker")
        assert to.message().payload == b"marker"


def test_5_a_will_with_its_properties(mtls, name):
    will = mqtt5.PublishPacket(topic=f"{name}/will", payload=b"gone", qos=mqtt5.QoS.AT_LEAST_ONCE, content_type="text/plain",
                               user_properties=[mqtt5.UserProperty("why", "lost")], retain=True)
    with Sdk5(mtls, f"{name}-to") as to:
        to.subscribe(f"{name}/#")
        Sdk5(mtls, f"{name}-polite", will=will).stop(mqtt5.DisconnectPacket())
        wishes = mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.DISCONNECT_WITH_WILL_MESSAGE)
        for last in (None, wishes):
            Sdk5(mtls, f"{name}-gone", will=will).stop(last)
            message = to.message()
            assert (message.topic, message.payload, message.content_type) == (f"{name}/will", b"gone", "text/plain")
            assert message.user_properties == [mqtt5.UserProperty("why", "lost")] and not message.retain
    with Sdk5(mtls, f"{name}-late") as late:
        late.subscribe(f"{name}/will")
        message = late.message()
        assert message.retain and message.user_properties == [mqtt5.UserProperty("why", "lost")]


def test_5_takeover_says_so(mtls, name):
    first = Sdk5(mtls, name)
    with Sdk5(mtls, name) as second:
        packet = first.expect("disconnected").disconnect_packet
        assert packet.reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER
        first.close()
        second.publish(f"{name}/t", b"still here")


def test_5_an_administrator_ends_a_connection(cloud, mtls, name):
    with Sdk5(mtls, name) as client:
        cloud.data.delete_connection(clientId=name)
        packet = client.expect("disconnected").disconnect_packet
        assert packet.reason_code == mqtt5.DisconnectReasonCode.ADMINISTRATIVE_ACTION


def test_5_refusals_have_reasons(server, cloud, name, tmp_path):
    limited = cloud.device(tmp_path, name, policy(
        statement("iot:Connect", arn("client", name)), statement("iot:Publish", arn("topic", f"{name}/open")),
        statement("iot:Subscribe", arn("topicfilter", f"{name}/open"))))
    connection = over_mtls(server, limited)
    other = Sdk5(connection, f"other-{name}", is_refused=True)
    connack = other.expect("refused").connack_packet
    assert connack.reason_code == mqtt5.ConnectReasonCode.NOT_AUTHORIZED
    assert connack.reason_string.startswith("CONNACK:Client is not authenticated/authorized to send the message:")
    other.close()
    client = Sdk5(connection, name)
    assert client.publish(f"{name}/open", b"may").reason_code == mqtt5.PubackReasonCode.SUCCESS
    assert client.publish(f"{name}/closed", b"may not").reason_code == mqtt5.PubackReasonCode.NOT_AUTHORIZED
    granted = client.subscribe(f"{name}/open", f"{name}/closed")
    assert granted == [mqtt5.SubackReasonCode.GRANTED_QOS_1, mqtt5.SubackReasonCode.NOT_AUTHORIZED]
    client.client.publish(mqtt5.PublishPacket(topic=f"{name}/closed", payload=b"may not", qos=mqtt5.QoS.AT_MOST_ONCE))
    packet = client.expect("disconnected").disconnect_packet
    assert packet.reason_code == mqtt5.DisconnectReasonCode.NOT_AUTHORIZED
    client.close()


def test_5_what_aws_does_not_offer_is_refused_by_name(mtls, name):
    """QoS 2 the SDK refuses itself, because of CONNACK."""
    client = Sdk5(mtls, name)
    with pytest.raises(AwsCrtError):
        client.publish(f"{name}/t", b"", qos=2)
    packet = mqtt5.SubscribePacket([mqtt5.Subscription(f"{name}/t")], subscription_identifier=7)
    client.client.subscribe(packet)
    reason = client.expect("disconnected").disconnect_packet.reason_code
    assert reason == mqtt5.DisconnectReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED
    client.close()


def test_5_a_certificate_that_nobody_knows_is_told_at_connect(server, cloud, name, tmp_path):
    inactive = cloud.certificate(tmp_path, name, active=False)
    client = Sdk5(over_mtls(server, inactive), name, is_refused=True)
    assert client.expect("refused").connack_packet.reason_code == mqtt5.ConnectReasonCode.NOT_AUTHORIZED
    client.close()
    # With MQTT 3.1.1 there is no CONNACK.
    with pytest.raises(AwsCrtError) as refused:
        Sdk3(over_mtls(server, inactive), name)
    assert refused.value.name == "AWS_ERROR_MQTT_UNEXPECTED_HANGUP"


def test_5_comes_back_when_the_server_does(tmp_path, name):
    server = Server(tmp_path).start()
    device = Cloud(server.api_url).device(tmp_path, "device")
    client = Sdk5(over_mtls(server, device), name, reconnect_s=1)
    server.stop()
    packet = client.expect("disconnected").disconnect_packet
    assert packet.reason_code == mqtt5.DisconnectReasonCode.SERVER_SHUTTING_DOWN
    # Handed over while there is no server: sent when there is one.
    waiting = client.client.publish(mqtt5.PublishPacket(topic=f"{name}/t", payload=b"late", qos=mqtt5.QoS.AT_LEAST_ONCE))
    with Server(tmp_path, mqtts_port=server.mqtts_port):
        # It may have tried in between.
        while (event := client.events.get(timeout=DEADLINE_S))[0] != "connected":
            assert event[0] == "refused", event
        assert waiting.result(DEADLINE_S).puback.reason_code == mqtt5.PubackReasonCode.SUCCESS
        client.close()


def test_both_versions_and_a_plain_client_share_topics(server, device, mtls, name):
    with Sdk3(mtls, f"{name}-3") as three, Sdk5(mtls, f"{name}-5") as five, Client.connected(server, device, f"{name}-raw") as raw:
        three.subscribe(f"{name}/t")
        five.subscribe(f"{name}/t")
        raw.subscribe(f"{name}/t", qos=1)
        for by in (three, five):
            by.publish(f"{name}/t", b"hello")
            assert three.message()[1] == five.message().payload == raw.read_message()[1] == b"hello"
