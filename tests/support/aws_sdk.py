"""AWS's own SDK for Python (awsiotsdk) as a client: for MQTT 3.1.1 `Sdk3`, for MQTT 5 `Sdk5`.

What happens is an event or a message to wait for. `connection` of both says how to get to the server: `over_mtls`, or
another one that calls the SDK's builder with the keywords that it is given.
"""

import queue

from awscrt import auth, io, mqtt, mqtt5
from awsiot import mqtt5_client_builder, mqtt_connection_builder

from .server import REGION
from .waiting import DEADLINE_S

NO_RECONNECT_S = 3600
"""A client of this SDK connects again by itself, which a test does not want but where it says so."""


def over_mtls(server, device):
    """As a device does, on the port 8883 of AWS."""

    def build(builder, **options):
        return builder.mtls_from_path(str(device.certificate), str(device.key), endpoint="localhost", port=server.mqtts_port,
                                      ca_filepath=server.ca_path, **options)

    return build


def over_alpn(server, device, *protocols):
    """What the SDK does where it may use the port 443, on another port."""

    def build(builder, **options):
        tls = io.TlsContextOptions.create_client_with_mtls_from_path(str(device.certificate), str(device.key))
        tls.alpn_list = list(protocols)
        return builder._builder(tls, endpoint="localhost", port=server.alpn_port, ca_filepath=server.ca_path, **options)

    return build


def over_websocket(port, server, token=None):
    """As a program with credentials of AWS does. The SDK leaves the session token out of what it signs."""
    credentials = auth.AwsCredentialsProvider.new_static("AKIDEXAMPLE", "secret", token)

    def build(builder, **options):
        return builder.websockets_with_default_aws_signing(
            REGION, credentials, endpoint="localhost", port=port, ca_filepath=server.ca_path, **options)

    return build


def over_websocket_unsigned(port, server, device=None):
    """With a certificate, or with nothing at all."""

    def as_it_is(transform_args, **_):
        transform_args.set_done()

    def build(builder, **options):
        tls = io.TlsContextOptions()
        if device:
            tls = io.TlsContextOptions.create_client_with_mtls_from_path(str(device.certificate), str(device.key))
        return builder._builder(tls, use_websockets=True, websocket_handshake_transform=as_it_is,
                                endpoint="localhost", port=port, ca_filepath=server.ca_path, **options)

    return build


class Sdk:
    def __init__(self):
        self.messages, self.events = queue.Queue(), queue.Queue()

    def expect(self, event):
        """The next thing that happens must be this; gives what came with it."""
        name, data = self.events.get(timeout=DEADLINE_S)
        assert name == event, (name, data)
        return data

    def message(self):
        return self.messages.get(timeout=DEADLINE_S)

    def event(self, name):
        return lambda *arguments, **more: self.events.put((name, arguments[-1] if arguments else more))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Sdk3(Sdk):
    """MQTT 3.1.1. `session_present` is what the server said of the session."""

    def __init__(self, connection, client_id, clean=True, reconnect_s=NO_RECONNECT_S, **options):
        super().__init__()
        self.connection = connection(
            mqtt_connection_builder, client_id=client_id, clean_session=clean, reconnect_min_timeout_secs=reconnect_s,
            reconnect_max_timeout_secs=reconnect_s, on_connection_interrupted=self._interrupted,
            on_connection_resumed=self._resumed, **options)
        self.connection.on_message(self._received)
        self.session_present = self.connection.connect().result(DEADLINE_S)["session_present"]

    def _interrupted(self, connection, error, **_):
        self.events.put(("interrupted", error))

    def _resumed(self, connection, return_code, session_present, **_):
        self.events.put(("resumed", session_present))

    def _received(self, topic, payload, dup, qos, retain, **_):
        self.messages.put((topic, payload, int(qos), retain))

    def subscribe(self, topic, qos=1):
        """Gives the QoS that was granted."""
        done, _ = self.connection.subscribe(topic, mqtt.QoS(qos))
        return int(done.result(DEADLINE_S)["qos"])

    def unsubscribe(self, topic):
        self.connection.unsubscribe(topic)[0].result(DEADLINE_S)

    def publish(self, topic, payload, qos=1, retain=False):
        """Returns when it is acknowledged (QoS 1) or sent (QoS 0)."""
        self.connection.publish(topic, payload, mqtt.QoS(qos), retain)[0].result(DEADLINE_S)

    def close(self):
        self.connection.disconnect().result(DEADLINE_S)

    def abandon(self):
        """Ends one that waits to connect again: the SDK ends when that time has come."""
        self.connection.disconnect()


class Sdk5(Sdk):
    """MQTT 5. `settings` is what client and server agreed on, `connack` the server's part of it."""

    def __init__(self, connection, client_id, is_refused=False, reconnect_s=NO_RECONNECT_S, **options):
        super().__init__()
        self.client = connection(
            mqtt5_client_builder, client_id=client_id, min_reconnect_delay_ms=reconnect_s * 1000,
            max_reconnect_delay_ms=reconnect_s * 1000, on_publish_received=self._received,
            on_lifecycle_connection_success=self.event("connected"), on_lifecycle_connection_failure=self.event("refused"),
            on_lifecycle_disconnection=self.event("disconnected"), on_lifecycle_stopped=self.event("stopped"), **options)
        self.client.start()
        if not is_refused:
            self.expect_connected()

    def expect_connected(self):
        success = self.expect("connected")
        self.settings, self.connack = success.negotiated_settings, success.connack_packet

    def _received(self, data):
        self.messages.put(data.publish_packet)

    def subscribe(self, *topics, qos=1, **options):
        """Gives the reason codes."""
        subscriptions = [mqtt5.Subscription(topic_filter=topic, qos=mqtt5.QoS(qos), **options) for topic in topics]
        return self.client.subscribe(mqtt5.SubscribePacket(subscriptions)).result(DEADLINE_S).reason_codes

    def publish(self, topic, payload, qos=1, **properties):
        """Returns when it is acknowledged (QoS 1: gives the PUBACK) or sent (QoS 0: gives `None`)."""
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS(qos), **properties)
        return self.client.publish(packet).result(DEADLINE_S).puback

    def stop(self, disconnect=None):
        """Ends the connection; without a DISCONNECT none is sent, as if the network had failed."""
        self.client.stop(disconnect)
        self.expect("disconnected")
        self.expect("stopped")

    def close(self):
        self.client.stop(mqtt5.DisconnectPacket())
        while self.events.get(timeout=DEADLINE_S)[0] != "stopped":
            pass
