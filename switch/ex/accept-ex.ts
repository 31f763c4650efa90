// AcceptEx: accepts into a socket that exists, optionally with the first data, and GetAcceptExSockaddrs,
// which finds the addresses in its output. A pending AcceptEx takes arrivals before accept sees them.
// Sources: XFER-17, ACC-01, ACC-05, ACC-06, W10.3, W10.9, W14.4c; COMP-01.

import * as wsa from '../../provider/spi/error-codes.js';
import {
  sockaddrFamily,
  SOCKADDR_IN6_BYTES,
  SOCKADDR_IN_BYTES,
} from '../../provider/spi/sockaddr.js';
import type { Ref, WSAOVERLAPPED } from '../../provider/spi/winsock2.js';
import * as ws from '../../provider/spi/winsock2.js';
import { attachArrival, attachTcp } from '../accept.js';
import type { Arrival } from '../arrivals.js';
import type { ArrivalWaiter } from '../listen.js';
import { reenable } from '../network-events.js';
import type { SwitchSocket } from '../socket.js';
import { SocketState } from '../socket.js';
import type { ExtendedContext } from './call.js';
import { ExtendedCall } from './call.js';

/** Each address needs this much more room than the largest sockaddr of the protocol. */
const ADDRESS_EXTRA_BYTES = 16;

export interface AcceptExArguments {
  readonly listenSocket: number;
  readonly acceptSocket: number;
  readonly output: Uint8Array | null;
  readonly receiveLength: number;
  readonly localLength: number;
  readonly remoteLength: number;
  readonly overlapped: WSAOVERLAPPED | null;
}

/** AcceptEx. TRUE: accepted at once. FALSE with WSA_IO_PENDING: later; or with the error. */
export function acceptEx(
  context: ExtendedContext,
  args: AcceptExArguments,
  lpBytes: Ref<number> | null,
  lpErrno: Ref<number>,
): boolean {
  const { sockets } = context.core;
  const listening = sockets.find(args.listenSocket);
  const accepting = sockets.find(args.acceptSocket);
  const { overlapped, output } = args;
  const error = refusal(listening, accepting, args);
  if (error !== 0 || listening === null || accepting === null || output === null) {
    lpErrno.value = error;
    return false;
  }
  const call = new AcceptExCall(context, { listening, accepting, output, args }, overlapped);
  reenable(listening, ws.FD_ACCEPT);
  listening.listener?.addWaiter(call);
  return call.outcome(lpBytes, lpErrno);
}

function refusal(
  listening: SwitchSocket | null,
  accepting: SwitchSocket | null,
  args: AcceptExArguments,
): number {
  if (args.overlapped === null) return wsa.WSA_INVALID_PARAMETER;
  if (listening === null || accepting === null) return wsa.WSAENOTSOCK;
  if (listening.state !== SocketState.listening) return wsa.WSAEINVAL;
  const isFree = accepting.isReused || !accepting.isBound;
  if (accepting.state !== SocketState.open || !isFree || accepting.extended.length > 0) {
    return wsa.WSAEINVAL;
  }
  if (accepting.family !== listening.family || !accepting.isStream) return wsa.WSAEINVAL;
  const { receiveLength, localLength, remoteLength, output } = args;
  const least = sockaddrBytes(listening.family) + ADDRESS_EXTRA_BYTES;
  if (!(localLength >= least && remoteLength >= least)) return wsa.WSAEFAULT;
  const needed = receiveLength + localLength + remoteLength;
  return !(receiveLength >= 0) || (output?.length ?? 0) < needed ? wsa.WSAEFAULT : 0;
}

class AcceptExCall extends ExtendedCall implements ArrivalWaiter {
  readonly #listening: SwitchSocket;
  readonly #accepting: SwitchSocket;
  readonly #output: Uint8Array;
  readonly #args: AcceptExArguments;

  constructor(
    context: ExtendedContext,
    parts: {
      listening: SwitchSocket;
      accepting: SwitchSocket;
      output: Uint8Array;
      args: AcceptExArguments;
    },
    overlapped: WSAOVERLAPPED | null,
  ) {
    super(context, parts.listening, overlapped);
    this.#listening = parts.listening;
    this.#accepting = parts.accepting;
    this.#output = parts.output;
    this.#args = parts.args;
    this.watch(parts.accepting);
  }

  arrived(arrival: Arrival): void {
    attachArrival(this.core, this.#accepting, arrival);
    this.#connected(arrival.localName, arrival.peerName);
  }

  arrivedAtTcp(s: number, peerName: Uint8Array): void {
    const error = attachTcp(this.core, this.#accepting, s);
    if (error !== 0) {
      this.end(error, 0);
      return;
    }
    const localName = new Uint8Array(peerName.length);
    const length = ws.ref(localName.length);
    this.core.tcp.lpWSPGetSockName(s, localName, length, ws.ref(0));
    this.#connected(localName, peerName);
  }

  /** ACC-06: a connection that nobody has been given is reset. */
  protected override withdrawn(error: number): void {
    this.#listening.listener?.removeWaiter(this);
    const { connection } = this.#accepting;
    if (connection === null) return;
    connection.isOrphan = true;
    connection.abort(error);
  }

  #connected(localName: Uint8Array, peerName: Uint8Array): void {
    const { receiveLength, localLength } = this.#args;
    const output = this.#output;
    this.#accepting.needsContext = true;
    output.set(localName, receiveLength);
    output.set(peerName, receiveLength + localLength);
    if (receiveLength === 0) {
      this.end(0, 0);
      return;
    }
    // ACC-05: the first data completes it, or the end of the stream, or the loss of the connection.
    const first = output.subarray(0, receiveLength);
    this.transfer('receive', this.#accepting, first, (error, bytes) => this.end(error, bytes));
  }
}

/**
 * GetAcceptExSockaddrs: the two addresses in the output of an AcceptEx that was called with the same
 * lengths, as views of it. A reference gets null and 0 where there is none.
 */
export function getAcceptExSockaddrs(
  output: Uint8Array | null,
  lengths: { readonly receive: number; readonly local: number; readonly remote: number },
  local: { readonly name: Ref<Uint8Array | null>; readonly length: Ref<number> },
  remote: { readonly name: Ref<Uint8Array | null>; readonly length: Ref<number> },
): void {
  const { receive, local: localRoom, remote: remoteRoom } = lengths;
  const parts = [
    { to: local, area: output?.subarray(receive, receive + localRoom) },
    { to: remote, area: output?.subarray(receive + localRoom, receive + localRoom + remoteRoom) },
  ];
  for (const { to, area } of parts) {
    const family = area === undefined || area.length < 2 ? 0 : sockaddrFamily(area);
    const isName = family === ws.AF_INET || family === ws.AF_INET6;
    const name = isName ? (area?.subarray(0, sockaddrBytes(family)) ?? null) : null;
    to.name.value = name;
    to.length.value = name?.length ?? 0;
  }
}

function sockaddrBytes(family: number): number {
  return family === ws.AF_INET6 ? SOCKADDR_IN6_BYTES : SOCKADDR_IN_BYTES;
}
