import { RP2040 } from 'rp2040js';

/** [ARMv6-M B3.2.6] Application Interrupt and Reset Control Register, offset in the System Control Space. */
const AIRCR = 0xd0c;
const VECTKEY = 0x05fa0000;
const SYSRESETREQ = 1 << 2;

/** Lets firmware reset the chip through the processor, as `SCB::sys_reset` does; rp2040js ignores the register. */
export function installSystemReset(chip: RP2040, onReset: () => void): void {
  const { ppb } = chip;
  const write = ppb.writeUint32.bind(ppb);
  ppb.writeUint32 = (offset, value) => {
    if (offset !== AIRCR) {
      write(offset, value);
      return;
    }
    if ((value & 0xffff0000) >>> 0 === VECTKEY && (value & SYSRESETREQ) !== 0) {
      onReset();
    }
  };
  const read = ppb.readUint32.bind(ppb);
  ppb.readUint32 = (offset) => (offset === AIRCR ? 0xfa050000 : read(offset));
}
