/** UDP ports of the gateway that stand for ports on the host, and the way back for the answers. */
import { createSocket, Socket } from 'node:dgram';
import { HostAddress } from './host-stream.js';

/** Wall time after which an answer is not waited for any more: the request, or the answer, is lost. */
const ANSWER_MS_MAX = 2000;

/** Ports of the device served at a time; the one that was quiet for longest makes room. */
const SOCKETS_MAX = 32;

interface Flow {
  readonly socket: Socket;
  /** Wall time of the last request that has no answer yet. */
  askedAt: number | null;
}

export class UdpForwarder {
  private readonly flows = new Map<string, Flow>();

  constructor(
    private readonly forwards: ReadonlyMap<number, HostAddress>,
    private readonly wallClock: () => number,
    private readonly answer: (port: number, devicePort: number, data: Buffer) => void,
  ) {}

  /** Whether a request is under way that the host may still answer. */
  get awaitsHost(): boolean {
    const now = this.wallClock();
    return [...this.flows.values()].some(({ askedAt }) => askedAt !== null && now - askedAt < ANSWER_MS_MAX);
  }

  /** Returns false when the port is not forwarded. */
  datagram(devicePort: number, port: number, data: Buffer): boolean {
    const target = this.forwards.get(port);
    if (target === undefined) {
      return false;
    }
    const flow = this.flow(devicePort, port);
    flow.askedAt = this.wallClock();
    flow.socket.send(data, target.port, target.host, (error) => {
      if (error !== null) {
        flow.askedAt = null;
      }
    });
    return true;
  }

  deviceRestarted(): void {
    for (const { socket } of this.flows.values()) {
      socket.close();
    }
    this.flows.clear();
  }

  private flow(devicePort: number, port: number): Flow {
    const key = `${devicePort}:${port}`;
    const known = this.flows.get(key);
    this.flows.delete(key);
    const flow = known ?? this.newFlow(devicePort, port);
    this.flows.set(key, flow);
    if (this.flows.size > SOCKETS_MAX) {
      const [oldest, { socket }] = this.flows.entries().next().value!;
      socket.close();
      this.flows.delete(oldest);
    }
    return flow;
  }

  private newFlow(devicePort: number, port: number): Flow {
    const socket = createSocket('udp4');
    const flow: Flow = { socket, askedAt: null };
    socket.on('message', (data) => {
      flow.askedAt = null;
      this.answer(port, devicePort, data);
    });
    // Nobody listens there: the same as a lost request.
    socket.on('error', () => (flow.askedAt = null));
    socket.unref();
    return flow;
  }
}
