import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACK, advance, FIN, RST, Segment, SYN } from '../src/network/tcp-segment.js';
import { Device, FakeStream } from './support/device.js';

/** A small but honest TCP on the device's side: it acknowledges what is next, and remembers what it got. */
class Client {
  sequence = 1000;
  acknowledgement = 0;
  received = '';
  ended = false;
  window = 4096;

  constructor(readonly device: Device) {}

  static connected(device: Device): [Client, FakeStream] {
    const client = new Client(device);
    client.send(SYN);
    const stream = device.streams.at(-1)!;
    stream.listener.connected();
    device.wait(10);
    const [answer] = device.takeTcp();
    assert.equal(answer.flags, SYN | ACK);
    client.sequence = 1001;
    client.acknowledgement = advance(answer.sequence, 1);
    client.send(ACK);
    return [client, stream];
  }

  send(flags: number, data = ''): void {
    this.device.sendTcp({
      sequence: this.sequence,
      acknowledgement: this.acknowledgement,
      flags,
      window: this.window,
      data: Buffer.from(data, 'latin1'),
    });
  }

  /** Lets time pass, takes in what has come and acknowledges it. Returns the segments. */
  listen(milliseconds: number): Segment[] {
    this.device.wait(milliseconds);
    const segments = this.device.takeTcp();
    for (const segment of segments) {
      if (segment.sequence === this.acknowledgement) {
        this.received += segment.data.toString('latin1');
        this.acknowledgement = advance(this.acknowledgement, segment.data.length);
        if ((segment.flags & FIN) !== 0) {
          this.acknowledgement = advance(this.acknowledgement, 1);
          this.ended = true;
        }
      }
      if (segment.data.length > 0 || (segment.flags & FIN) !== 0) {
        this.send(ACK);
      }
    }
    return segments;
  }
}

const lines = (count: number): string => Array.from({ length: count }, (_, index) => `line ${index}\n`).join('');

test('bytes go both ways, and both ends close', () => {
  const device = new Device();
  const [client, stream] = Client.connected(device);
  assert.deepEqual(stream.address, { host: '127.0.0.1', port: 40000 });
  client.send(ACK, 'hello');
  assert.equal(stream.received, 'hello');
  client.sequence += 5;
  stream.listener.data(Buffer.from('welcome'));
  client.listen(10);
  assert.equal(client.received, 'welcome');
  client.send(FIN | ACK);
  client.sequence += 1;
  assert.equal(stream.ended, true);
  stream.listener.ended();
  client.listen(10);
  assert.equal(client.ended, true);
  assert.deepEqual(device.events.at(-1), {
    event: 'tcp',
    what: 'close',
    device_port: 50000,
    port: 8883,
    reason: 'closed',
    bytes_to_host: 5,
    bytes_to_device: 7,
  });
});

test('[RFC 9293 3.10.7.1] a port that leads nowhere, and a server that refuses, are resets', () => {
  const device = new Device();
  device.sendTcp({ toPort: 1234, sequence: 7, flags: SYN });
  assert.deepEqual(
    device.takeTcp().map(({ flags, acknowledgement }) => [flags, acknowledgement]),
    [[RST | ACK, 8]],
  );
  device.sendTcp({ sequence: 7, flags: SYN });
  device.streams[0].listener.failed(new Error('refused'));
  device.wait(10);
  assert.deepEqual(
    device.takeTcp().map(({ flags, acknowledgement }) => [flags, acknowledgement]),
    [[RST | ACK, 8]],
  );
});

test('a SYN that comes twice opens one connection, and its answer is sent until it is heard', () => {
  const device = new Device();
  device.sendTcp({ sequence: 7, flags: SYN });
  device.sendTcp({ sequence: 7, flags: SYN });
  assert.equal(device.streams.length, 1);
  device.streams[0].listener.connected();
  device.wait(1000);
  const answers = device.takeTcp();
  assert.ok(answers.length >= 2, `${answers.length} answers`);
  assert.ok(answers.every(({ flags, sequence }) => flags === (SYN | ACK) && sequence === answers[0].sequence));
});

test('bytes for the device arrive whole through a link that loses a third of all frames', () => {
  const device = new Device();
  const [client, stream] = Client.connected(device);
  device.network.links.to_device.setDropPercent(33);
  device.network.links.from_device.setDropPercent(33);
  const text = lines(3000);
  stream.listener.data(Buffer.from(text));
  for (let round = 0; round < 4000 && client.received.length < text.length; round++) {
    client.listen(100);
  }
  assert.equal(client.received, text);
});

test('a lost segment is sent again after the time-out, a lost acknowledgement makes a duplicate', () => {
  const device = new Device();
  const [client, stream] = Client.connected(device);
  device.network.links.to_device.setDropNext(1);
  stream.listener.data(Buffer.from('abc'));
  assert.deepEqual(client.listen(200), []);
  assert.equal(client.listen(200).length, 1);
  assert.equal(client.received, 'abc');

  device.network.links.from_device.setDropNext(1);
  stream.listener.data(Buffer.from('def'));
  client.listen(10);
  assert.equal(client.listen(400).length, 1);
  assert.equal(client.received, 'abcdef');
  assert.equal(client.listen(2000).length, 0);
});

test('bytes from the device count once, however often they come, and a gap waits for what is missing', () => {
  const device = new Device();
  const [client, stream] = Client.connected(device);
  client.send(ACK, 'abc');
  client.send(ACK, 'abc');
  client.send(ACK, 'abcdef');
  client.sequence += 9;
  client.send(ACK, 'jkl');
  assert.equal(stream.received, 'abcdef');
  const last = device.takeTcp().at(-1)!;
  assert.equal(last.acknowledgement, 1001 + 6);
});

test('[RFC 9293 3.8.6] the window of the device is kept, and a closed one is asked about', () => {
  const device = new Device();
  const [client, stream] = Client.connected(device);
  client.window = 100;
  client.send(ACK);
  stream.listener.data(Buffer.from(lines(100)));
  device.wait(10);
  assert.equal(device.takeTcp().reduce((bytes, { data }) => bytes + data.length, 0), 100);
  client.acknowledgement = advance(client.acknowledgement, 100);
  client.window = 0;
  client.send(ACK);
  device.wait(1000);
  const probes = device.takeTcp();
  assert.ok(probes.length >= 1 && probes.every(({ data }) => data.length === 1));
  client.window = 4096;
  client.received = lines(100).slice(0, 100);
  client.send(ACK);
  for (let round = 0; round < 10; round++) {
    client.listen(400);
  }
  assert.equal(client.received, lines(100));
});

test('a device that does not answer any more is given up', () => {
  const device = new Device();
  const [, stream] = Client.connected(device);
  stream.listener.data(Buffer.from('anybody there?'));
  device.wait(60_000);
  assert.equal(stream.wasReset, true);
  assert.equal(device.takeTcp().at(-1)!.flags & RST, RST);
  const closed = device.events.at(-1);
  assert.ok(closed?.event === 'tcp' && closed.what === 'close' && closed.reason === 'timeout');
});

test('a black hole swallows both directions and tells nobody; a new connection works', () => {
  const device = new Device();
  const [client, stream] = Client.connected(device);
  assert.equal(device.network.awaitsHost, true);
  assert.equal(device.network.tcp.blackHoleAll(), 1);
  assert.equal(device.network.awaitsHost, false);
  client.send(ACK, 'lost');
  stream.listener.data(Buffer.from('lost'));
  device.wait(60_000);
  assert.deepEqual(device.takeTcp(), []);
  assert.equal(stream.received, '');
  assert.equal(stream.wasReset, false);
  assert.equal(stream.paused, true);
  device.sendTcp({ fromPort: 50001, sequence: 1, flags: SYN });
  assert.equal(device.streams.length, 2);
  assert.equal(device.network.awaitsHost, true);
});

test('a reset reaches both sides, whoever asks for it', () => {
  const device = new Device();
  const [, stream] = Client.connected(device);
  assert.equal(device.network.tcp.resetAll(), 1);
  device.wait(10);
  assert.equal(stream.wasReset, true);
  assert.equal(device.takeTcp().at(-1)!.flags & RST, RST);

  const [again, second] = Client.connected(device);
  again.send(RST | ACK);
  assert.equal(second.wasReset, true);
  assert.equal(device.network.awaitsHost, false);
});

test('connections of a device that was reset do not hold its time up', () => {
  const device = new Device();
  Client.connected(device);
  device.network.deviceRestarted();
  assert.equal(device.network.awaitsHost, false);
});

test('while the link is lost nothing is waited for', () => {
  const device = new Device();
  Client.connected(device);
  device.network.setPresent(false);
  assert.equal(device.network.awaitsHost, false);
  assert.deepEqual(device.events.at(-1), { event: 'wifi', what: 'link_lost' });
});
