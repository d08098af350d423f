import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ipv4Address } from '../src/network/addresses.js';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, encodeIpv4, checksum, parseEthernet, parseIpv4, PROTOCOL_ICMP } from '../src/network/packets.js';
import { GATEWAY, STATION } from '../src/network/network.js';
import { Device } from './support/device.js';

const DISCOVER = 1;
const REQUEST = 3;
const INFORM = 8;

function dhcp(type: number, options: readonly number[], clientAddress = '0.0.0.0'): Buffer {
  const fixed = Buffer.alloc(240);
  fixed.set([1, 1, 6]);
  fixed.writeUInt32BE(0xcafe, 4);
  fixed.set(Ipv4Address.parse(clientAddress).bytes, 12);
  fixed.writeUInt32BE(0x63825363, 236);
  return Buffer.concat([fixed, Buffer.from([53, 1, type, ...options, 255])]);
}

function options(reply: Buffer): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (let at = 240; reply[at] !== 255; at += 2 + reply[at + 1]) {
    found.set(reply[at], [...reply.subarray(at + 2, at + 2 + reply[at + 1])]);
  }
  return found;
}

function askDhcp(device: Device, message: Buffer): Buffer | undefined {
  device.sendUdp(68, 67, message, Ipv4Address.BROADCAST);
  return device.takeUdp()[0];
}

test('[RFC 2131 3.1] an address is offered and then given', () => {
  const device = new Device();
  const offer = askDhcp(device, dhcp(DISCOVER, [55, 3, 1, 3, 6]))!;
  assert.equal(offer.readUInt32BE(4), 0xcafe);
  assert.deepEqual(options(offer).get(53), [2]);
  assert.equal(Ipv4Address.at(offer, 16).toString(), '10.0.2.15');
  const ack = askDhcp(device, dhcp(REQUEST, [50, 4, ...STATION.bytes]))!;
  assert.deepEqual(options(ack).get(53), [5]);
  assert.deepEqual(options(ack).get(3), [10, 0, 2, 2]);
  assert.deepEqual(options(ack).get(6), [10, 0, 2, 2]);
  assert.deepEqual(options(ack).get(51), [0, 1, 0x51, 0x80]);
});

test('[RFC 2131 4.3.2] another address is refused', () => {
  const nak = askDhcp(new Device(), dhcp(REQUEST, [50, 4, 192, 168, 1, 7]))!;
  assert.deepEqual(options(nak).get(53), [6]);
});

test('[RFC 2132 8.3] time servers are told to those who ask', () => {
  const device = new Device();
  assert.equal(options(askDhcp(device, dhcp(DISCOVER, [55, 1, 3]))!).has(42), false);
  assert.deepEqual(options(askDhcp(device, dhcp(DISCOVER, [55, 2, 3, 42]))!).get(42), [10, 0, 2, 2]);
});

test('[RFC 2131 4.3.5] INFORM is answered without an address or a lease', () => {
  const ack = askDhcp(new Device(), dhcp(INFORM, [55, 1, 42], '10.0.2.15'))!;
  assert.deepEqual(options(ack).get(53), [5]);
  assert.equal(Ipv4Address.at(ack, 16).toString(), '0.0.0.0');
  assert.equal(options(ack).has(51), false);
  assert.deepEqual(options(ack).get(42), [10, 0, 2, 2]);
});

test('a silent DHCP server is reported and answers nothing', () => {
  const device = new Device();
  device.network.silent.add('dhcp');
  assert.equal(askDhcp(device, dhcp(DISCOVER, [])), undefined);
  assert.deepEqual(device.events.at(-1), { event: 'dhcp', message: 'discover', answered: false });
});

function dnsQuery(name: string, type = 1): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), ...labels, Buffer.from([0, 0, type, 0, 1])]);
}

function askDns(device: Device, query: Buffer): Buffer {
  device.sendUdp(51000, 53, query);
  return device.takeUdp()[0];
}

test('[RFC 1035 4.1] a known name has its address, in whatever case it is asked for', () => {
  const answer = askDns(new Device(), dnsQuery('Broker.TEST'));
  assert.equal(answer.readUInt16BE(0), 0x1234);
  assert.equal(answer[3] & 0xf, 0);
  assert.equal(answer.readUInt16BE(6), 1);
  assert.equal(Ipv4Address.at(answer, answer.length - 4).toString(), '10.0.2.2');
});

test('[RFC 1035 4.1.1] an unknown name does not exist; a known one has no other records', () => {
  const device = new Device();
  assert.equal(askDns(device, dnsQuery('other.test'))[3] & 0xf, 3);
  const answer = askDns(device, dnsQuery('broker.test', 28));
  assert.equal(answer[3] & 0xf, 0);
  assert.equal(answer.readUInt16BE(6), 0);
});

test('a query that is cut off is not answered', () => {
  const device = new Device();
  device.sendUdp(51000, 53, dnsQuery('broker.test').subarray(0, 20));
  assert.deepEqual(device.takeUdp(), []);
});

test('[RFC 4330 5] the time is that of the start outside, the board\'s own since then, and the offset; the request is recognised', () => {
  const device = new Device(() => 1_700_000_000_500);
  device.network.sntpOffsetSeconds = 3600;
  const request = Buffer.alloc(48);
  request[0] = 0x23;
  request.write('transmit', 40, 'latin1');
  device.sendUdp(52000, 123, request);
  const [answer] = device.takeUdp();
  assert.equal(answer[0], 0x24);
  assert.equal(answer.toString('latin1', 24, 32), 'transmit');
  const told = (answer.readUInt32BE(40) - 2_208_988_800) * 1000 + (answer.readUInt32BE(44) / 2 ** 32) * 1000;
  const expected = 1_700_003_600_500 + device.clock.milliseconds;
  assert.ok(Math.abs(told - expected) < 20, `${told} and ${expected}`);
});

test('[RFC 826] the gateway answers for its own address only', () => {
  const device = new Device();
  const ask = (address: Ipv4Address): Buffer => {
    const packet = Buffer.from([0, 1, 8, 0, 6, 4, 0, 1, ...Array<number>(20).fill(0)]);
    packet.set(STATION.bytes, 14);
    packet.set(address.bytes, 24);
    return packet;
  };
  device.sendFrame(ETHERTYPE_ARP, ask(STATION));
  assert.equal(device.frames.length, 0);
  device.sendFrame(ETHERTYPE_ARP, ask(GATEWAY));
  const reply = parseEthernet(device.frames[0])!.payload;
  assert.equal(reply.readUInt16BE(6), 2);
  assert.equal(reply.toString('hex', 8, 14), '525400123502');
  assert.deepEqual([...reply.subarray(24, 28)], [...STATION.bytes]);
});

test('[RFC 792] a ping comes back', () => {
  const device = new Device();
  const echo = Buffer.from([8, 0, 0, 0, 0, 1, 0, 2, 0x61, 0x62]);
  echo.writeUInt16BE(checksum(echo), 2);
  device.sendFrame(ETHERTYPE_IPV4, encodeIpv4({ from: STATION, to: GATEWAY, protocol: PROTOCOL_ICMP, payload: echo }, 1));
  const reply = parseIpv4(parseEthernet(device.frames[0])!.payload)!;
  assert.equal(reply.payload[0], 0);
  assert.equal(checksum(reply.payload), 0);
});
