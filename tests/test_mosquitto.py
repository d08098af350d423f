"""mosquitto_pub and mosquitto_sub in both versions of MQTT, as scripts use them."""

import itertools

import pytest

from support.cloud import arn, policy, statement
from support.mosquitto import Mosquitto

VERSIONS = (311, 5)


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


@pytest.mark.parametrize(("by", "to"), [*itertools.product(VERSIONS, VERSIONS)])
def test_lines_arrive_in_order(server, device, name, by, to):
    """One message a line, with QoS 1 and more of them than may be in flight."""
    lines = [f"line {number}" for number in range(300)]
    with Mosquitto(server, device, to).sub("-i", f"{name}-to", "-t", f"{name}/+", "-q", "1", "-C", str(len(lines))).subscribed() as sub:
        done = Mosquitto(server, device, by).pub("-i", f"{name}-by", "-t", f"{name}/t", "-q", "1", "-l", lines="\n".join(lines) + "\n")
        assert done.returncode == 0, done.stderr
        assert sub.rest() == lines


@pytest.mark.parametrize("tls", ["tlsv1.2", "tlsv1.3"])
@pytest.mark.parametrize("version", VERSIONS)
def test_qos_0_and_verbose_output(server, device, name, version, tls):
    client = Mosquitto(server, device, version, "--tls-version", tls)
    with client.sub("-i", f"{name}-to", "-t", f"{name}/a", "-t", f"{name}/b", "-v", "-C", "2").subscribed() as sub:
        client.publish(f"{name}/a", "one")
        client.publish(f"{name}/b", "two", "-q", "1")
        assert sub.rest() == [f"{name}/a one", f"{name}/b two"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_will_of_one_that_is_killed(server, device, name, version):
    client = Mosquitto(server, device, version)
    will = ["--will-topic", f"{name}/will", "--will-payload", "gone", "--will-qos", "1", "--will-retain"]
    with client.sub("-i", f"{name}-to", "-t", f"{name}/will", "-q", "1", "-C", "1", "-F", "%q %r %p").subscribed() as sub:
        # One that ends by itself says DISCONNECT.
        client.publish(f"{name}/other", "x", *will)
        client.sub("-i", f"{name}-dies", "-t", f"{name}/none", *will).subscribed().kill()
        assert sub.rest() == ["1 0 gone"]
    with client.sub("-i", f"{name}-late", "-t", f"{name}/will", "-C", "1", "-F", "%r %p") as late:
        assert late.subscribed().rest() == ["1 gone"]


@pytest.mark.parametrize("version", VERSIONS)
def test_retained_messages(server, device, name, version):
    client = Mosquitto(server, device, version)
    client.publish(f"{name}/t", "kept", "-r", "-q", "1")
    with client.sub("-i", f"{name}-to", "-t", f"{name}/t", "-F", "%r %p", "-C", "2").subscribed() as sub:
        assert sub.expect("kept") == "1 kept"
        client.publish(f"{name}/t", "live", "-r")
        assert sub.rest() == ["0 live"]
    assert client.pub("-t", f"{name}/t", "-n", "-r", "-q", "1").returncode == 0
    with client.sub("-i", f"{name}-late", "-t", f"{name}/t", "-C", "1", "-F", "%r %p").subscribed() as late:
        client.publish(f"{name}/t", "marker")
        assert late.rest() == ["0 marker"]


def test_properties(server, device, name):
    client = Mosquitto(server, device, 5)
    properties = [("content-type", "text/plain"), ("response-topic", f"{name}/answers"), ("correlation-data", "c 1"),
                  ("message-expiry-interval", "600"), ("payload-format-indicator", "1")]
    flags = [flag for each in properties for flag in ("-D", "PUBLISH", *each)]
    flags += ["-D", "PUBLISH", "user-property", "a", "1", "-D", "PUBLISH", "user-property", "a", "2"]
    with client.sub("-i", f"{name}-to", "-t", f"{name}/t", "-C", "1", "-F", "%C|%R|%D|%F|%P|%p").subscribed() as sub:
        client.publish(f"{name}/t", "21.5", *flags)
        assert sub.rest() == [f"text/plain|{name}/answers|c 1|1|a:1 a:2|21.5"]


def test_an_alias_for_a_message_that_is_repeated(server, device, name):
    client = Mosquitto(server, device, 5)
    with client.sub("-i", f"{name}-to", "-t", f"{name}/t", "-v", "-C", "5").subscribed() as sub:
        client.publish(f"{name}/t", "again", "--repeat", "5", "-q", "1", "-D", "PUBLISH", "topic-alias", "3")
        assert sub.rest() == [f"{name}/t again"] * 5


def test_a_receive_maximum_of_one(server, device, name):
    client = Mosquitto(server, device, 5)
    one = ["-D", "CONNECT", "receive-maximum", "1"]
    lines = [str(number) for number in range(50)]
    with client.sub("-i", f"{name}-to", "-t", f"{name}/t", "-q", "1", "-C", "50", *one).subscribed() as sub:
        assert client.pub("-t", f"{name}/t", "-q", "1", "-l", lines="\n".join(lines) + "\n").returncode == 0
        assert sub.rest() == lines


def test_refusals_are_told(server, cloud, name, tmp_path):
    limited = cloud.device(tmp_path, name, policy(statement("iot:Connect", arn("client", name))))
    refused = Mosquitto(server, limited, 5).pub("-i", f"other-{name}", "-t", f"{name}/t", "-m", "x")
    assert refused.returncode != 0 and "Not authorized" in refused.stdout + refused.stderr
    denied = Mosquitto(server, limited, 5).pub("-i", name, "-t", f"{name}/t", "-m", "x", "-q", "1", "-d")
    assert "RC:135" in denied.stdout, denied.stdout
    with Mosquitto(server, limited, 5).sub("-i", name, "-t", f"{name}/t") as sub:
        sub.expect("subscription requests were denied")
    closed = Mosquitto(server, limited, 311).pub("-i", f"other-{name}", "-t", f"{name}/t", "-m", "x")
    assert closed.returncode != 0 and "connection was lost" in closed.stdout + closed.stderr


def test_qos_2_is_refused(server, device, name):
    """With MQTT 5 CONNACK says that there is none; with MQTT 3.1.1 the connection is closed."""
    asks = ["-i", name, "-t", f"{name}/t", "-m", "x", "-q", "2", "-d"]
    assert "QoS not supported" in Mosquitto(server, device, 5).pub(*asks).stderr
    closed = Mosquitto(server, device, 311).pub(*asks)
    assert "PUBREC" not in closed.stdout and closed.returncode != 0, closed


def test_mqtt_3_1_is_refused(server, device, name):
    done = Mosquitto(server, device, 31).pub("-i", name, "-t", f"{name}/t", "-m", "x")
    assert done.returncode != 0, done
