/** A connection on the host, as the TCP gateway sees it. A test puts a fake in its place. */
import { connect, Socket } from 'node:net';

export interface HostAddress {
  readonly host: string;
  readonly port: number;
}

export interface HostListener {
  connected(): void;
  data(data: Buffer): void;
  ended(): void;
  failed(error: Error): void;
  drained(): void;
}

export interface HostStream {
  /** Bytes written that the host's kernel has not taken yet. */
  readonly pendingBytes: number;
  write(data: Buffer): void;
  end(): void;
  /** Ends the connection so that the other side sees a reset. */
  reset(): void;
  pause(): void;
  resume(): void;
}

export type HostConnector = (address: HostAddress, listener: HostListener) => HostStream;

export const connectToHost: HostConnector = (address, listener) => {
  const socket = connect({ host: address.host, port: address.port, allowHalfOpen: true });
  socket.setNoDelay(true);
  socket.on('connect', () => listener.connected());
  socket.on('data', (data) => listener.data(data));
  socket.on('end', () => listener.ended());
  socket.on('error', (error) => listener.failed(error));
  socket.on('drain', () => listener.drained());
  return new SocketStream(socket);
};

class SocketStream implements HostStream {
  constructor(private readonly socket: Socket) {}

  get pendingBytes(): number {
    return this.socket.writableLength;
  }

  write(data: Buffer): void {
    this.socket.write(data);
  }

  end(): void {
    this.socket.end();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }
}
