/** What the emulator reports, one object per event. The JSON lines and the readable log are made from these. */

export type BoardEvent =
  /** A line the firmware wrote to UART 0. */
  | { readonly event: 'log'; readonly line: string }
  | { readonly event: 'led'; readonly on: boolean }
  | { readonly event: 'wifi'; readonly what: 'join'; readonly ssid: string; readonly outcome: string }
  | { readonly event: 'wifi'; readonly what: 'left' | 'power_off' | 'link_lost' }
  | { readonly event: 'wifi'; readonly what: 'power_save'; readonly on: boolean }
  | { readonly event: 'dhcp'; readonly message: string; readonly answered: boolean }
  | { readonly event: 'dns'; readonly name: string; readonly address: string | null; readonly answered: boolean }
  | { readonly event: 'sntp'; readonly unix_s: number | null; readonly answered: boolean }
  | TcpOpened
  | TcpClosed
  | { readonly event: 'reset'; readonly reason: string; readonly boot: number }
  | { readonly event: 'fault'; readonly what: 'lockup' | 'hard_fault'; readonly pc: string }
  | { readonly event: 'exit'; readonly reason: string; readonly code: number };

export interface TcpOpened {
  readonly event: 'tcp';
  readonly what: 'open';
  readonly device_port: number;
  readonly port: number;
  readonly target: string;
}

export interface TcpClosed {
  readonly event: 'tcp';
  readonly what: 'close';
  readonly device_port: number;
  readonly port: number;
  readonly reason: string;
  readonly bytes_to_host: number;
  readonly bytes_to_device: number;
}

export type Report = (event: BoardEvent) => void;
