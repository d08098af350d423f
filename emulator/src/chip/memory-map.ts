/** Where memories lie and how large they are [RP2040 datasheet 2.2]. */
export const FLASH_ADDRESS = 0x10000000;
export const FLASH_BYTES = 2 * 1024 * 1024;
export const SRAM_ADDRESS = 0x20000000;
export const SRAM_BYTES = 264 * 1024;
