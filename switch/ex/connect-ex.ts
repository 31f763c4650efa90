// ConnectEx: connects a bound socket, optionally with the first data, which goes out as soon as there is
// a connection. The way to the peer is that of connect. Sources: XFER-17, CONN-01 to CONN-06.

import * as wsa from '../../provider/spi/error-codes.js';
import type { Ref, WSAOVERLAPPED } from '../../provider/spi/winsock2.js';
import { ConnectAttempt, destinationOf } from '../connect.js';
import type { SwitchSocket } from '../socket.js';
import { SocketState } from '../socket.js';
import type { ExtendedContext } from './call.js';
import { ExtendedCall } from './call.js';

export interface ConnectExArguments {
  readonly s: number;
  readonly name: Uint8Array | null;
  readonly namelen: number;
  readonly sendBuffer: Uint8Array | null;
  readonly sendLength: number;
  readonly overlapped: WSAOVERLAPPED | null;
}

/** ConnectEx. TRUE: connected, and sent, at once. FALSE with WSA_IO_PENDING: later; or the error. */
export function connectEx(
  context: ExtendedContext,
  args: ConnectExArguments,
  lpBytesSent: Ref<number> | null,
  lpErrno: Ref<number>,
): boolean {
  const { core } = context;
  const { name, namelen, overlapped, sendBuffer, sendLength } = args;
  const socket = core.sockets.find(args.s);
  const error = refusal(socket, args);
  if (error !== 0 || socket === null) {
    lpErrno.value = error;
    return false;
  }
  const destination = destinationOf(socket, name, namelen);
  if (typeof destination === 'number') {
    lpErrno.value = destination;
    return false;
  }
  const data = sendBuffer?.subarray(0, sendLength) ?? new Uint8Array(0);
  const call = new ConnectExCall(context, socket, overlapped);
  call.start(destination, data);
  return call.outcome(lpBytesSent, lpErrno);
}

function refusal(socket: SwitchSocket | null, args: ConnectExArguments): number {
  if (args.overlapped === null) return wsa.WSA_INVALID_PARAMETER;
  if (socket === null) return wsa.WSAENOTSOCK;
  if (socket.state === SocketState.connected) return wsa.WSAEISCONN;
  if (socket.state === SocketState.connecting) return wsa.WSAEALREADY;
  const isBound = socket.isBound || socket.isReused;
  if (socket.state !== SocketState.open || !socket.isStream || !isBound) return wsa.WSAEINVAL;
  if (!(args.sendLength >= 0) || args.sendLength > (args.sendBuffer?.length ?? 0)) {
    return wsa.WSAEFAULT;
  }
  return 0;
}

class ConnectExCall extends ExtendedCall {
  readonly #socket: SwitchSocket;

  constructor(context: ExtendedContext, socket: SwitchSocket, overlapped: WSAOVERLAPPED | null) {
    super(context, socket, overlapped);
    this.#socket = socket;
  }

  start(destination: Uint8Array, data: Uint8Array): void {
    const socket = this.#socket;
    const attempt = new ConnectAttempt(this.core, socket, destination, (error) => {
      if (this.isEnded) return;
      socket.needsContext = error === 0;
      if (error !== 0 || data.length === 0) this.end(error, 0);
      else this.transfer('send', socket, data, (sendError, bytes) => this.end(sendError, bytes));
    });
    attempt.start();
  }

  protected override withdrawn(): void {
    this.#socket.attempt?.abandon();
  }
}
