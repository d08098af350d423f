/**
 * What lies behind function 1 of the bus: the registers of the bus bridge, and, through a window of 32 KiB, the memory
 * and cores of the radio chip.
 *
 * The radio's firmware is uploaded here. It is not executed: the arrival of some firmware, and the release of the
 * core's reset, are what starts our model of it.
 */

/** Bridge registers have addresses from here on; below is the window. */
const BRIDGE = 0x10000;
const WINDOW_LOW = 0x1000a;
const WINDOW_MIDDLE = 0x1000b;
const WINDOW_HIGH = 0x1000c;
const CLOCK_CONTROL = 0x1000e;
const BRIDGE_REGISTERS = 0x20;

/** Bit 15 of a window address only tells that the access has 32 bits. */
const WINDOW_MASK = 0x7fff;

/** CLOCK_CONTROL: the low-power clock is asked for and there; the fast clock is asked for; both are there. */
const LOW_POWER_REQUEST = 0x08;
const FAST_REQUEST = 0x10;
const LOW_POWER_AVAILABLE = 0x40;
const BOTH_AVAILABLE = 0xc0;

const RAM_BYTES = 512 * 1024;
const CHIP_ID_ADDRESS = 0x18000000;
const CHIP_ID = 43439;

/** Reset control of the wrapper around the WLAN core; zero releases the core. */
const WLAN_RESET_CONTROL = 0x18103800;

/** Fewer bytes than this in RAM cannot be a firmware: the driver resets the core once before it uploads one. */
const FIRMWARE_BYTES_MIN = 1024;

export class Backplane {
  /** Whether the WLAN core has firmware and runs. */
  wlanRunning = false;

  private readonly bridge = new Uint8Array(BRIDGE_REGISTERS);
  private readonly ram = new Uint8Array(RAM_BYTES);
  private readonly registers = new Map<number, number>();
  private uploadedBytes = 0;

  /** Byte `index` of an access that begins at `address`. */
  readByte(address: number, index: number): number {
    return address >= BRIDGE ? this.readBridge(address + index) : this.readCore(this.inWindow(address) + index);
  }

  writeByte(address: number, index: number, value: number): void {
    if (address >= BRIDGE) {
      this.bridge[(address + index) % BRIDGE_REGISTERS] = value;
    } else {
      this.writeCore(this.inWindow(address) + index, value);
    }
  }

  private inWindow(address: number): number {
    const [low, middle, high] = [WINDOW_LOW, WINDOW_MIDDLE, WINDOW_HIGH].map((at) => this.bridge[at % BRIDGE_REGISTERS]);
    return ((high << 24) | (middle << 16) | (low << 8) | (address & WINDOW_MASK)) >>> 0;
  }

  private readBridge(address: number): number {
    const value = this.bridge[address % BRIDGE_REGISTERS];
    if (address !== CLOCK_CONTROL) {
      return value;
    }
    if (this.wlanRunning || (value & FAST_REQUEST) !== 0) {
      return value | BOTH_AVAILABLE;
    }
    return (value & LOW_POWER_REQUEST) !== 0 ? value | LOW_POWER_AVAILABLE : value;
  }

  private readCore(address: number): number {
    if (address < RAM_BYTES) {
      return this.ram[address];
    }
    if (address === CHIP_ID_ADDRESS || address === CHIP_ID_ADDRESS + 1) {
      return (CHIP_ID >>> (8 * (address - CHIP_ID_ADDRESS))) & 0xff;
    }
    return this.registers.get(address) ?? 0;
  }

  private writeCore(address: number, value: number): void {
    if (address < RAM_BYTES) {
      this.ram[address] = value;
      this.uploadedBytes++;
      return;
    }
    this.registers.set(address, value);
    if (address === WLAN_RESET_CONTROL && value === 0 && this.uploadedBytes >= FIRMWARE_BYTES_MIN) {
      this.wlanRunning = true;
    }
  }
}
