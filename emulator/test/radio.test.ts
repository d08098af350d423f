/** The radio as the driver sees it: transactions by hand, in the order of `cyw43` 0.7. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MacAddress } from '../src/network/addresses.js';
import { Air, Radio } from '../src/radio/radio.js';

const STATION = MacAddress.parse('28:cd:c1:00:00:01');
const ACCESS_POINT = MacAddress.parse('52:54:00:12:35:02');

const BUS = 0;
const BACKPLANE = 1;
const WLAN = 2;

const swap = (word: number): number => ((word << 16) | (word >>> 16)) >>> 0;

/** The driver's end of the bus. */
class Driver {
  readonly joins: [string, string | null][] = [];
  readonly sent: Buffer[] = [];
  readonly lost: string[] = [];
  readonly led: boolean[] = [];
  readonly powerSave: boolean[] = [];
  readonly radio: Radio;
  private sequence = 0;
  private id = 0;

  constructor() {
    const air: Air = {
      join: (ssid, passphrase) => this.joins.push([ssid, passphrase]),
      left: (reason) => this.lost.push(reason),
      send: (frame) => this.sent.push(frame),
    };
    this.radio = new Radio(STATION, ACCESS_POINT, air);
    this.radio.onLed = (on) => this.led.push(on);
    this.radio.onPowerSave = (on) => this.powerSave.push(on);
  }

  read(target: number, address: number, bytes: number, swapped = false): number {
    const word = command(false, target, address, bytes);
    const words = this.radio.read(this.radio.decode(swapped ? swap(word) : word));
    const value = words[target === BACKPLANE ? 1 : 0] ?? 0;
    return swapped ? swap(value) : value;
  }

  write(target: number, address: number, value: number, bytes: number, swapped = false): void {
    const [word, data] = [command(true, target, address, bytes), value].map((one) => (swapped ? swap(one) : one));
    this.radio.write(this.radio.decode(word), [data]);
  }

  /** Sets the window and writes through it. */
  writeCore(address: number, value: number, bytes: number): void {
    this.write(BACKPLANE, 0x1000c, address >>> 24, 1);
    this.write(BACKPLANE, 0x1000b, (address >>> 16) & 0xff, 1);
    this.write(BACKPLANE, 0x1000a, (address >>> 8) & 0x80, 1);
    this.write(BACKPLANE, (address & 0x7fff) | (bytes === 4 ? 0x8000 : 0), value, bytes);
  }

  /** What the driver does from power-on until packets flow. */
  start(): void {
    this.radio.powered(true);
    this.write(BUS, 0x00, 0x000204b3, 4, true);
    for (let address = 0; address < 2048; address += 4) {
      this.writeCore(address, 0x12345678, 4);
    }
    this.writeCore(0x18103800, 0, 1);
    this.write(BUS, 0x06, 0x20, 2);
  }

  packet(channel: number, payload: Buffer): void {
    const packet = Buffer.alloc((12 + payload.length + 3) & ~3);
    packet.writeUInt16LE(12 + payload.length, 0);
    packet.writeUInt16LE(~(12 + payload.length) & 0xffff, 2);
    packet[4] = this.sequence++;
    packet[5] = channel;
    packet[7] = 12;
    packet.set(payload, 12);
    const words = Array.from({ length: packet.length / 4 }, (_, index) => packet.readUInt32LE(4 * index));
    this.radio.write(this.radio.decode(command(true, WLAN, 0, packet.length)), words);
  }

  control(number: number, set: boolean, data: Buffer): void {
    const header = Buffer.alloc(16);
    header.writeUInt32LE(number, 0);
    header.writeUInt32LE(data.length, 4);
    header.writeUInt16LE(set ? 2 : 0, 8);
    header.writeUInt16LE(++this.id, 10);
    this.packet(0, Buffer.concat([header, data]));
  }

  setVariable(name: string, ...values: number[]): void {
    this.control(263, true, Buffer.concat([Buffer.from(`${name}\0`), ...values.map(littleEndian)]));
  }

  /** Takes the next packet, as the status word announces it. */
  take(): { channel: number; credit: number; payload: Buffer } | null {
    const status = this.radio.status();
    if ((status & 0x100) === 0) {
      return null;
    }
    const length = (status >>> 9) & 0x7ff;
    const words = this.radio.read(this.radio.decode(command(false, WLAN, 0, length)));
    const packet = Buffer.from(words.buffer).subarray(0, length);
    assert.equal(packet.readUInt16LE(0), length);
    assert.equal(packet.readUInt16LE(0) ^ packet.readUInt16LE(2), 0xffff);
    return { channel: packet[5], credit: packet[9], payload: packet.subarray(packet[7]) };
  }

  /** The types and statuses of the events that are waiting, other packets left out. */
  events(): [number, number][] {
    const events: [number, number][] = [];
    for (let packet = this.take(); packet !== null; packet = this.take()) {
      if (packet.channel === 1) {
        events.push([packet.payload.readUInt32BE(4 + 28), packet.payload.readUInt32BE(4 + 32)]);
      }
    }
    return events;
  }

  join(ssid: string, passphrase: string | null): void {
    this.control(134, true, littleEndian(passphrase === null ? 0 : 4));
    if (passphrase !== null) {
      const information = Buffer.alloc(68);
      information.writeUInt16LE(passphrase.length, 0);
      information.writeUInt16LE(1, 2);
      information.write(passphrase, 4);
      this.control(268, true, information);
    }
    const name = Buffer.alloc(36);
    name.writeUInt32LE(ssid.length, 0);
    name.write(ssid, 4);
    this.control(26, true, name);
  }
}

function command(write: boolean, target: number, address: number, bytes: number): number {
  return (((write ? 1 : 0) << 31) | (1 << 30) | (target << 28) | (address << 11) | bytes) >>> 0;
}

function littleEndian(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

test('after power-on halves are swapped, until 32-bit words are asked for', () => {
  const driver = new Driver();
  assert.equal(driver.read(BUS, 0x14, 4, true), 0xfeedbead);
  driver.write(BUS, 0x18, 0x12345678, 4, true);
  driver.write(BUS, 0x00, 0x000204b3, 4, true);
  assert.equal(driver.read(BUS, 0x14, 4), 0xfeedbead);
  assert.equal(driver.read(BUS, 0x18, 4), 0x12345678);
});

test('clocks and chip id are there before any firmware', () => {
  const driver = new Driver();
  driver.write(BUS, 0x00, 0x000204b3, 4, true);
  driver.write(BACKPLANE, 0x1000e, 0x08, 1);
  assert.equal(driver.read(BACKPLANE, 0x1000e, 1) & 0xc0, 0x40);
  driver.write(BACKPLANE, 0x1000c, 0x18, 1);
  assert.equal(driver.read(BACKPLANE, 0x0000, 2), 43439);
});

test('packets flow once firmware is uploaded and its core released', () => {
  const driver = new Driver();
  assert.equal(driver.radio.status(), 0);
  driver.start();
  assert.equal(driver.radio.status(), 0x20);
  driver.setVariable('bus:txglom', 0);
  assert.equal(driver.radio.interruptLine, true);
  const answer = driver.take()!;
  assert.equal(answer.channel, 0);
  assert.equal(answer.payload.readUInt32LE(0), 263);
  assert.equal(answer.payload.readUInt16LE(10), 1);
  assert.equal(answer.payload.readUInt32LE(12), 0);
  assert.equal(driver.radio.interruptLine, false);
});

test('the address is what the driver asks for', () => {
  const driver = new Driver();
  driver.start();
  driver.control(262, false, Buffer.from('cur_etheraddr\0'));
  assert.deepEqual([...driver.take()!.payload.subarray(16, 22)], [...STATION.bytes]);
});

test('joining tells name and passphrase, and success comes in the order of the chip', () => {
  const driver = new Driver();
  driver.start();
  driver.join('home', 'secret password');
  assert.deepEqual(driver.joins, [['home', 'secret password']]);
  driver.radio.joinEnded('joined', true);
  assert.deepEqual(driver.events(), [
    [3, 0],
    [7, 0],
    [1, 0],
    [16, 0],
    [46, 6],
    [0, 0],
  ]);
});

test('an open network has no passphrase and no key exchange', () => {
  const driver = new Driver();
  driver.start();
  driver.join('cafe', null);
  assert.deepEqual(driver.joins, [['cafe', null]]);
  driver.radio.joinEnded('joined', false);
  assert.deepEqual(driver.events().map(([type]) => type), [3, 7, 1, 16, 0]);
});

test('a network that is not there, and a wrong passphrase, are told apart', () => {
  const driver = new Driver();
  driver.start();
  driver.radio.joinEnded('network_not_found', true);
  assert.deepEqual(driver.events(), [[0, 3]]);
  driver.radio.joinEnded('wrong_passphrase', true);
  assert.deepEqual(driver.events().at(-1), [46, 8]);
});

test('frames pass both ways while joined, and stop when the link is lost', () => {
  const driver = new Driver();
  driver.start();
  const frame = Buffer.from('a frame of some length');
  driver.radio.receive(frame);
  assert.deepEqual(driver.take(), null);
  driver.radio.joinEnded('joined', true);
  driver.events();
  driver.packet(2, Buffer.concat([Buffer.from([0x20, 0, 0, 0]), frame]));
  assert.deepEqual(driver.sent, [frame]);
  driver.radio.receive(frame);
  assert.deepEqual(driver.take()!.payload.subarray(4), frame);
  driver.radio.linkLost();
  assert.deepEqual(driver.events().map(([type]) => type), [5, 16]);
  driver.radio.receive(frame);
  assert.deepEqual(driver.take(), null);
});

test('the driver never runs out of credit', () => {
  const driver = new Driver();
  driver.start();
  driver.radio.joinEnded('joined', true);
  driver.events();
  let credit = 0;
  for (let sent = 0; sent < 300; sent++) {
    driver.packet(2, Buffer.from([0x20, 0, 0, 0, 1, 2, 3, 4]));
    for (let packet = driver.take(); packet !== null; packet = driver.take()) {
      credit = packet.credit;
    }
    if (sent >= 4) {
      assert.ok(((credit - (sent + 1)) & 0xff) > 0 && ((credit - (sent + 1)) & 0xff) <= 16);
    }
  }
});

test('a driver that does not listen loses frames, not answers', () => {
  const driver = new Driver();
  driver.start();
  driver.radio.joinEnded('joined', true);
  driver.events();
  for (let frame = 0; frame < 100; frame++) {
    driver.radio.receive(Buffer.alloc(60));
  }
  assert.ok(driver.radio.counters.framesDropped > 0);
  driver.setVariable('apsta', 1);
  let answers = 0;
  for (let packet = driver.take(); packet !== null; packet = driver.take()) {
    answers += packet.channel === 0 ? 1 : 0;
  }
  assert.equal(answers, 1);
});

test('the LED is reported when it changes', () => {
  const driver = new Driver();
  driver.start();
  driver.setVariable('gpioout', 1, 1);
  driver.setVariable('gpioout', 1, 1);
  driver.setVariable('gpioout', 2, 2);
  driver.setVariable('gpioout', 1, 0);
  assert.deepEqual(driver.led, [true, false]);
});

test('power save is reported when the driver sets it', () => {
  const driver = new Driver();
  driver.start();
  driver.control(86, true, littleEndian(2));
  driver.control(86, true, littleEndian(0));
  assert.deepEqual(driver.powerSave, [true, false]);
});

test('without power everything is forgotten, and a second start works', () => {
  const driver = new Driver();
  driver.start();
  driver.radio.joinEnded('joined', true);
  driver.setVariable('gpioout', 1, 1);
  driver.radio.powered(false);
  assert.deepEqual(driver.lost, ['power_off']);
  assert.deepEqual(driver.led, [true, false]);
  assert.equal(driver.radio.status(), 0);
  assert.equal(driver.read(BUS, 0x14, 4, true), 0xfeedbead);
  driver.start();
  assert.equal(driver.radio.status(), 0x20);
});

test('a dead radio reads as zero', () => {
  const driver = new Driver();
  driver.radio.dead = true;
  assert.equal(driver.read(BUS, 0x14, 4, true), 0);
  driver.start();
  assert.equal(driver.radio.status(), 0);
  assert.equal(driver.radio.interruptLine, false);
});
