/** All TCP connections of the device, and where on the host they lead. */
import { EmulatedClock } from '../clock.js';
import { Random } from '../random.js';
import { HostAddress, HostConnector } from './host-stream.js';
import { CloseReason, TcpConnection } from './tcp-connection.js';
import { ACK, advance, FIN, RST, Segment, SYN } from './tcp-segment.js';

/** Connections at a time. A device that leaks them is told so by a reset, as a small gateway would do. */
const CONNECTIONS_MAX = 64;

export interface TcpListener {
  opened(connection: TcpConnection): void;
  closed(connection: TcpConnection, reason: CloseReason): void;
}

export class TcpGateway {
  private readonly connections = new Map<number, TcpConnection>();

  constructor(
    private readonly clock: EmulatedClock,
    private readonly random: Random,
    /** Ports of the gateway, and the addresses on the host they stand for. */
    private readonly forwards: ReadonlyMap<number, HostAddress>,
    private readonly connector: HostConnector,
    private readonly listener: TcpListener,
    private readonly send: (segment: Segment) => void,
  ) {}

  get awaitsHost(): boolean {
    return this.all.some((connection) => connection.awaitsHost);
  }

  get openConnections(): number {
    return this.all.filter((connection) => !connection.isClosed).length;
  }

  segment(segment: Segment): void {
    const key = segment.fromPort * 65536 + segment.toPort;
    const known = this.connections.get(key);
    if ((segment.flags & (SYN | ACK)) === SYN && !known?.beganWith(segment)) {
      known?.replace();
      this.connections.delete(key);
      this.open(key, segment);
    } else if (known !== undefined) {
      known.segment(segment);
    } else if ((segment.flags & RST) === 0) {
      this.refuse(segment);
    }
  }

  /** Every connection is reset, on both sides. */
  resetAll(): number {
    const open = this.all.filter((connection) => !connection.isClosed);
    open.forEach((connection) => connection.abort());
    return open.length;
  }

  /** Nothing passes over the connections there are now; new ones work. */
  blackHoleAll(): number {
    const open = this.all.filter((connection) => !connection.isClosed);
    open.forEach((connection) => connection.blackHole());
    return open.length;
  }

  deviceRestarted(): void {
    this.all.forEach((connection) => (connection.orphaned = true));
  }

  private get all(): TcpConnection[] {
    return [...this.connections.values()];
  }

  private open(key: number, syn: Segment): void {
    const target = this.forwards.get(syn.toPort);
    if (target === undefined || this.connections.size >= CONNECTIONS_MAX) {
      this.refuse(syn);
      return;
    }
    const owner = {
      send: this.send,
      opened: (connection: TcpConnection) => this.listener.opened(connection),
      closed: (connection: TcpConnection, reason: CloseReason) => this.listener.closed(connection, reason),
      forget: (connection: TcpConnection) => {
        if (this.connections.get(key) === connection) {
          this.connections.delete(key);
        }
      },
    };
    this.connections.set(key, new TcpConnection(this.clock, owner, syn, this.random.next(), target, this.connector));
  }

  /** [RFC 9293 3.5.2] A segment for no connection is answered with a reset. */
  private refuse(segment: Segment): void {
    const length = segment.data.length + ((segment.flags & SYN) !== 0 ? 1 : 0) + ((segment.flags & FIN) !== 0 ? 1 : 0);
    const acknowledged = (segment.flags & ACK) !== 0;
    this.send({
      fromPort: segment.toPort,
      toPort: segment.fromPort,
      sequence: acknowledged ? segment.acknowledgement : 0,
      acknowledgement: advance(segment.sequence, length),
      flags: acknowledged ? RST : RST | ACK,
      window: 0,
      data: Buffer.alloc(0),
    });
  }
}
