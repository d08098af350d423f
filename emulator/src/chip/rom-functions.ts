import { RP2040 } from 'rp2040js';
import { Flash } from './flash.js';
import { romFunctionAddress, RomFunctionCode } from './rom.js';

/** What a ROM function does when the processor arrives at it. Returns how long it takes, in nanoseconds. */
type RomFunction = () => number;

/**
 * The functions of the ROM, by their address.
 *
 * Arguments are in r0 to r3 as for any call; the `bx lr` at the address then returns to the caller. Signatures: RP2040
 * datasheet 2.8.3.1.3 (flash) and 2.8.3.1.2 (memory).
 */
export function romFunctions(chip: RP2040, flash: Flash, bootToUsb: () => void): Map<number, RomFunction> {
  const { registers } = chip.core;

  /** `connect_internal_flash`, `flash_exit_xip`, `flash_flush_cache`, `flash_enter_cmd_xip`: flash is always mapped here. */
  const nothing: RomFunction = () => 0;

  /** `flash_range_erase(offset, count, block_size, block_command)` */
  const erase: RomFunction = () => flash.erase(registers[0], registers[1]);

  /** `flash_range_program(offset, data, count)` */
  const program: RomFunction = () => flash.program(registers[0], readBytes(registers[1], registers[2]));

  /** `memset(to, byte, count)` and `memset4`, which return `to` as they find it, in r0. */
  const fill: RomFunction = () => {
    for (let index = 0; index < registers[2]; index++) {
      chip.writeUint8(registers[0] + index, registers[1] & 0xff);
    }
    return 0;
  };

  /** `memcpy(to, from, count)` and `memcpy44` */
  const copy: RomFunction = () => {
    readBytes(registers[1], registers[2]).forEach((byte, index) => chip.writeUint8(registers[0] + index, byte));
    return 0;
  };

  const readBytes = (address: number, count: number): Uint8Array =>
    Uint8Array.from({ length: count }, (_, index) => chip.readUint8(address + index));

  const functions: Record<RomFunctionCode, RomFunction> = {
    IF: nothing,
    EX: nothing,
    RE: erase,
    RP: program,
    FC: nothing,
    CX: nothing,
    MS: fill,
    S4: fill,
    MC: copy,
    C4: copy,
    UB: () => {
      bootToUsb();
      return 0;
    },
  };
  return new Map(
    Object.entries(functions).map(([code, run]) => [romFunctionAddress(code as RomFunctionCode), run] as const),
  );
}
