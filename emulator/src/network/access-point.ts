/** The access point: whom it lets in, how long that takes, and whether it is there at all. */
import { Alarm, EmulatedClock, NANOS_PER_MS } from '../clock.js';
import type { JoinOutcome } from '../radio/radio.js';

/** What a join takes, roughly as on the board: a scan of the channels, the handshake, its time-out. */
const SCAN_MS = 1000;
const JOIN_MS = 300;
const WRONG_PASSPHRASE_MS = 2500;

export interface AccessPointSettings {
  readonly ssid: string;
  /** Null for an open network. */
  readonly passphrase: string | null;
}

export class AccessPoint {
  /** Switched off, or out of reach. */
  present = true;

  private readonly alarm: Alarm;
  private answer: () => void = () => {};

  constructor(
    clock: EmulatedClock,
    public settings: AccessPointSettings,
    private readonly onOutcome: (ssid: string, outcome: JoinOutcome, secured: boolean) => void,
  ) {
    this.alarm = clock.createAlarm(() => this.answer());
  }

  join(ssid: string, passphrase: string | null): void {
    const outcome = this.judge(ssid, passphrase);
    this.answer = () => {
      // It may have gone away, or changed its passphrase, while the station was busy joining.
      const now = this.judge(ssid, passphrase);
      this.onOutcome(ssid, now, this.settings.passphrase !== null);
    };
    this.alarm.schedule(durationMs(outcome) * NANOS_PER_MS);
  }

  /** The station has lost interest, or power. */
  cancelJoin(): void {
    this.alarm.cancel();
  }

  private judge(ssid: string, passphrase: string | null): JoinOutcome {
    if (!this.present || ssid !== this.settings.ssid) {
      return 'network_not_found';
    }
    // A station that wants an encrypted network does not see an open one of the same name, nor the other way round.
    if ((passphrase === null) !== (this.settings.passphrase === null)) {
      return 'network_not_found';
    }
    return passphrase === this.settings.passphrase ? 'joined' : 'wrong_passphrase';
  }
}

function durationMs(outcome: JoinOutcome): number {
  switch (outcome) {
    case 'joined':
      return JOIN_MS;
    case 'network_not_found':
      return SCAN_MS;
    case 'wrong_passphrase':
      return WRONG_PASSPHRASE_MS;
  }
}
