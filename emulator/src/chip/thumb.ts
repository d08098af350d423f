/**
 * The few Thumb instructions our ROM and our tests are written in.
 *
 * Each function gives one 16-bit instruction. Encodings: ARMv6-M Architecture Reference Manual, chapter A6.7.
 */

export type LowRegister = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

export const LR = 14;

/** `movs rd, #value` */
export const movs = (rd: LowRegister, value: number): number => 0x2000 | (rd << 8) | value;

/** `adds rd, #value` */
export const adds = (rd: LowRegister, value: number): number => 0x3000 | (rd << 8) | value;

/** `subs rd, #value` */
export const subs = (rd: LowRegister, value: number): number => 0x3800 | (rd << 8) | value;

/** `cmp rn, #value` */
export const cmp = (rn: LowRegister, value: number): number => 0x2800 | (rn << 8) | value;

/** `cmp rn, rm` */
export const cmpRegisters = (rn: LowRegister, rm: LowRegister): number => 0x4280 | (rm << 3) | rn;

/** `mov rd, rm`, any registers */
export const mov = (rd: number, rm: number): number => 0x4600 | ((rd & 8) << 4) | (rm << 3) | (rd & 7);

/** `ldr rt, [rn, #offset]` */
export const ldr = (rt: LowRegister, rn: LowRegister, offset = 0): number => 0x6800 | ((offset >> 2) << 6) | (rn << 3) | rt;

/** `ldrh rt, [rn, #offset]` */
export const ldrh = (rt: LowRegister, rn: LowRegister, offset = 0): number =>
  0x8800 | ((offset >> 1) << 6) | (rn << 3) | rt;

/** `str rt, [rn, #offset]` */
export const str = (rt: LowRegister, rn: LowRegister, offset = 0): number => 0x6000 | ((offset >> 2) << 6) | (rn << 3) | rt;

/** `ldr rt, [pc, #…]`, from a literal at `literal`, for an instruction at `address` */
export const ldrLiteral = (rt: LowRegister, address: number, literal: number): number =>
  0x4800 | (rt << 8) | ((literal - ((address + 4) & ~3)) >> 2);

/** `ldmia rn!, {rt}` */
export const ldmia = (rn: LowRegister, rt: LowRegister): number => 0xc800 | (rn << 8) | (1 << rt);

/** `stmia rn!, {rt}` */
export const stmia = (rn: LowRegister, rt: LowRegister): number => 0xc000 | (rn << 8) | (1 << rt);

/** `beq` to `target`, for an instruction at `address` */
export const beq = (address: number, target: number): number => 0xd000 | (((target - address - 4) >> 1) & 0xff);

/** `bne` to `target`, for an instruction at `address` */
export const bne = (address: number, target: number): number => 0xd100 | (((target - address - 4) >> 1) & 0xff);

/** `b` to `target`, for an instruction at `address` */
export const b = (address: number, target: number): number => 0xe000 | (((target - address - 4) >> 1) & 0x7ff);

/** `bx rm` */
export const bx = (rm: number): number => 0x4700 | (rm << 3);

export const NOP = 0xbf00;
/** What will never be an instruction. */
export const UDF = 0xde00;
export const WFI = 0xbf30;
export const CPSID = 0xb672;
export const CPSIE = 0xb662;
