"""`eyot device` while the server is away: it measures, keeps, and sends late with the time of measuring."""

import json
import subprocess

from support.cloud import Cloud
from support.server import BINARY, Server, clean_environment
from support.waiting import DEADLINE_S

INTERVAL_MS = 500
COUNT = 12


def test_readings_of_an_outage_come_late_with_their_time(tmp_path):
    name = "pico_w_simple"
    with Server(tmp_path) as server:
        port = server.mqtts_port
        cloud = Cloud(server.api_url)
        cloud.telemetry_rule()
        keys = tmp_path / "keys"
        subprocess.run([BINARY, "provision", name, "--out", keys, "--endpoint-url", server.api_url], check=True,
                       capture_output=True, env=clean_environment())
    command = [BINARY, "device", name, "--keys", keys, "--endpoint", f"localhost:{port}", "--qos", "1", "--json",
               "--interval", f"{INTERVAL_MS}ms", "--count", str(COUNT)]
    device = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=clean_environment())
    try:
        told = map(json.loads, device.stdout)
        # Four readings, of which the first is more than a second old by then.
        assert any(line.get("waiting", 0) >= 4 for line in told)
        with Server(tmp_path, mqtts_port=port) as server:
            published = [line["published"] for line in told if "published" in line]
            assert device.wait(DEADLINE_S) == 0
            messages = Cloud(server.api_url).wait_for_messages(COUNT)
    finally:
        device.kill()
        device.communicate()
    assert len(published) == COUNT, "each once, and none beyond the count"
    late = [json.loads(payload).get("measured_at") for payload in published]
    kept = [time for time in late if time is not None]
    assert len(kept) >= 3 and late[:len(kept)] == kept, "the late ones first"
    for earlier, later in zip(kept, kept[1:]):
        assert abs(later - earlier - INTERVAL_MS) < INTERVAL_MS / 2, kept
    logged = [json.loads(message) for message in messages]
    assert [event.get("measured_at") for event in logged] == late, "in order, and with the time of measuring"
    for event in logged[:len(kept)]:
        assert event["received_at"] - event["measured_at"] > 1_000
