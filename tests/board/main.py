# A device as the post describes it: joins Wi-Fi, connects by mutual TLS with the keys in /keys, and publishes the
# temperature every two seconds. Its MQTT calls have the post's parameters, one for one: port 8883, keepalive 10000,
# `ssl=True` with `ssl_params` (so no server name is sent and the server is not verified), QoS 0, never a ping.
import time

import network
from umqtt.simple import MQTTClient

# What a reader fills in.
ACCESS_POINT = ""
PASSWORD = ""
CLIENT_ID = "pico_w_simple"
AWS_ENDPOINT = b""

TOPIC = "$aws/rules/telemetry/" + CLIENT_ID


def der(name):
    with open("/keys/" + name, "rb") as file:
        return file.read()


def join():
    wlan = network.WLAN(network.STA_IF)
    wlan.active(True)
    print("WiFi connecting: ", end="")
    while not wlan.isconnected():
        print(".", end="")
        wlan.connect(ACCESS_POINT, PASSWORD)
        time.sleep_ms(100)
    print(" connected")


def temperature(sensor):
    """RP2040 datasheet 4.9.5: 0.706 V at 27 degrees, 1.721 mV less per degree more."""
    volts = sensor.read_u16() * 3.3 / 65535
    return 27 - (volts - 0.706) / 0.001721


led = machine.Pin("LED", machine.Pin.OUT)
join()
tls = {"key": der("private.der"), "cert": der("certificate.der"), "server_side": False}
client = MQTTClient(CLIENT_ID, AWS_ENDPOINT, port=8883, keepalive=10000, ssl=True, ssl_params=tls)
client.connect()
sensor = machine.ADC(4)
while True:
    message = b'{"temp": %s}' % str(temperature(sensor)).encode()
    client.publish(topic=TOPIC, msg=message, qos=0)
    print(message)
    led.value(1)
    time.sleep_ms(50)
    led.value(0)
    time.sleep_ms(1950)
