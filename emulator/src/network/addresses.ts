/** A hardware address, six bytes. */
export class MacAddress {
  constructor(readonly bytes: Uint8Array) {}

  static readonly BROADCAST = new MacAddress(new Uint8Array(6).fill(0xff));

  static parse(text: string): MacAddress {
    const parts = text.split(':').map((part) => (/^[0-9a-f]{2}$/i.test(part) ? parseInt(part, 16) : NaN));
    if (parts.length !== 6 || parts.some(Number.isNaN)) {
      throw new Error(`\`${text}\` is not a hardware address such as 28:cd:c1:00:00:01`);
    }
    return new MacAddress(Uint8Array.from(parts));
  }

  toString(): string {
    return Array.from(this.bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
  }
}

/** An IPv4 address as four bytes. */
export class Ipv4Address {
  constructor(readonly bytes: Uint8Array) {}

  static readonly BROADCAST = Ipv4Address.parse('255.255.255.255');

  static parse(text: string): Ipv4Address {
    const parts = text.split('.').map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : NaN));
    if (parts.length !== 4 || parts.some((part) => !(part <= 255))) {
      throw new Error(`\`${text}\` is not an IPv4 address such as 10.0.2.2`);
    }
    return new Ipv4Address(Uint8Array.from(parts));
  }

  static at(bytes: Uint8Array, offset: number): Ipv4Address {
    return new Ipv4Address(Uint8Array.from(bytes.subarray(offset, offset + 4)));
  }

  equals(other: Ipv4Address): boolean {
    return this.bytes.every((byte, index) => byte === other.bytes[index]);
  }

  toString(): string {
    return this.bytes.join('.');
  }
}
