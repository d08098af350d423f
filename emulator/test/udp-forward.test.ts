import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { UdpForwarder } from '../src/network/udp-forward.js';

test('a datagram goes to the host, and its answer comes back to the port it came from', async () => {
  const server = createSocket('udp4');
  server.on('message', (data, from) => server.send(`answer to ${data.toString()}`, from.port, from.address));
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  const target = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };

  const { promise, resolve } = withResolver<[number, number, string]>();
  const forwarder = new UdpForwarder(new Map([[123, target]]), Date.now, (port, devicePort, data) =>
    resolve([port, devicePort, data.toString()]),
  );
  assert.equal(forwarder.datagram(50000, 53, Buffer.from('elsewhere')), false);
  assert.equal(forwarder.awaitsHost, false);
  assert.equal(forwarder.datagram(50000, 123, Buffer.from('question')), true);
  assert.equal(forwarder.awaitsHost, true);
  assert.deepEqual(await promise, [123, 50000, 'answer to question']);
  assert.equal(forwarder.awaitsHost, false);
  forwarder.deviceRestarted();
  server.close();
});

test('an answer that does not come is waited for two seconds', () => {
  let now = 0;
  const forwarder = new UdpForwarder(new Map([[123, { host: '127.0.0.1', port: 9 }]]), () => now, () => {});
  forwarder.datagram(50000, 123, Buffer.from('question'));
  now = 1999;
  assert.equal(forwarder.awaitsHost, true);
  now = 2000;
  assert.equal(forwarder.awaitsHost, false);
  forwarder.deviceRestarted();
});

function withResolver<Value>(): { promise: Promise<Value>; resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => {};
  const promise = new Promise<Value>((fulfil) => (resolve = fulfil));
  return { promise, resolve };
}
