"""mqtt.js in a process of its own: `tests/js/client.mjs`, with what happens as events and messages to wait for."""

import base64
import json
import queue
import subprocess
import threading
from pathlib import Path

from .waiting import DEADLINE_S

PROGRAM = Path(__file__).resolve().parents[1] / "js/client.mjs"


class MqttJs:
    """One client. `connack` is what CONNECT was answered with; `options` are mqtt.js's own."""

    def __init__(self, server, device, client_id, version=5, url=None, is_refused=False, **options):
        assert (PROGRAM.parent / "node_modules").exists(), "no packages: npm ci --prefix tests/js"
        options = {"url": url or f"mqtts://localhost:{server.mqtts_port}", "clientId": client_id, "protocolVersion": version,
                   "ca": server.ca_path, "reconnectPeriod": 0, "resubscribe": False, **options}
        if device:
            options |= {"cert": str(device.certificate), "key": str(device.key)}
        self.messages, self.events = queue.Queue(), queue.Queue()
        self.process = subprocess.Popen(["node", PROGRAM, json.dumps(options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._listen, daemon=True).start()
        if not is_refused:
            self.connack = self.expect("connect")

    def _listen(self):
        for line in self.process.stdout:
            said = json.loads(line)
            (self.messages if said["event"] == "message" else self.events).put(said)

    def expect(self, event):
        """The next thing that happens must be this; gives what came with it."""
        said = self.events.get(timeout=DEADLINE_S)
        assert said["event"] == event, said
        return said

    def message(self):
        said = self.messages.get(timeout=DEADLINE_S)
        return said | {"payload": base64.b64decode(said["payload"])}

    def order(self, order, **particulars):
        """Has something done, and waits for nothing."""
        self.process.stdin.write(json.dumps({"order": order} | particulars) + "\n")
        self.process.stdin.flush()

    def subscribe(self, topic, qos=1, **options):
        """Gives the codes of the SUBACK."""
        self.order("subscribe", topic=topic, qos=qos, **options)
        return self.expect("subscribe")["granted"]

    def publish(self, topic, payload, qos=1, **options):
        """Waits until it is acknowledged (QoS 1) or sent (QoS 0). Gives the code when it is refused."""
        self.order("publish", topic=topic, payload=base64.b64encode(payload).decode(), qos=qos, **options)
        return self.expect("publish").get("code")

    def unsubscribe(self, topic):
        self.order("unsubscribe", topic=topic)
        assert "failed" not in self.expect("unsubscribe")

    def end(self, force=False, **options):
        """With DISCONNECT, or with `force` without."""
        self.order("end", force=force, **options)
        self.expect("close")

    def kill(self):
        """As when a program dies: the system closes its connection."""
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
