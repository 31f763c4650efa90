// The companion: a SAN provider's socket beside the TCP/IP one, with the same address and port and
// the options that the provider knows. Made at connect or listen, never before. A failure here is
// the caller's cue to go on with TCP/IP. Sources: COMP-02 to COMP-11, OPT-03 to OPT-08.

import * as wsa from '../provider/spi/error-codes.js';
import type { WSAPROTOCOL_INFO } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { SO_MAX_RDMA_SIZE, SO_RDMA_THRESHOLD_SIZE } from '../provider/spi/ws2san.js';
import type { Attendant, SwitchCore } from './core.js';
import type { SocketHandle } from './handle-table.js';
import { THRESHOLD_BYTES_DEFAULT } from './limits.js';
import type { ProviderSizes } from './limits.js';
import type { LoadedProvider } from './loaded-provider.js';
import type { SessionLimits } from './session/limits.js';
import type { StoredOption } from './socket.js';

const PROVIDER_QUEUE_DEPTH = 16;
const NO_LIMIT = 0xffff_ffff;

/** A socket of a SAN provider, owned by whoever made it until release(). */
export class Companion {
  readonly provider: LoadedProvider;
  /** The provider's own: for downcalls. [COMP-07] */
  readonly descriptor: number;
  /** The switch's: what upcalls name; null when the provider asked for none. */
  readonly handle: SocketHandle | null;
  /** Signalled by the provider for FD_CONNECT and FD_ACCEPT. */
  readonly event: number;
  readonly limits: SessionLimits;
  readonly queueDepth: number;
  readonly #core: SwitchCore;
  #released = false;

  constructor(
    core: SwitchCore,
    parts: {
      provider: LoadedProvider;
      descriptor: number;
      handle: SocketHandle | null;
      event: number;
      limits: SessionLimits;
    },
  ) {
    this.#core = core;
    this.provider = parts.provider;
    this.descriptor = parts.descriptor;
    this.handle = parts.handle;
    this.event = parts.event;
    this.limits = parts.limits;
    const depth = core.profile.sendQueueDepth ?? PROVIDER_QUEUE_DEPTH;
    this.queueDepth = Math.min(depth, PROVIDER_QUEUE_DEPTH);
    this.provider.companions++;
  }

  /** Closes the SAN socket and forgets it. Not for one whose connection closes it. */
  close(): void {
    if (this.#released) return;
    this.provider.procs.lpWSPCloseSocket(this.descriptor, ws.ref(0));
    this.release();
  }

  /** Forgets a socket that has been closed already. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.provider.companions--;
    this.#core.events.close(this.event);
  }
}

export interface CompanionRequest {
  readonly provider: LoadedProvider;
  /** A full sockaddr_in: COMP-08. */
  readonly localName: Uint8Array;
  readonly options: readonly StoredOption[];
  readonly attendant: Attendant;
}

/** Makes a companion as far as WSPListen or WSPConnect; or the error, with nothing left over. */
export function createCompanion(core: SwitchCore, request: CompanionRequest): Companion | number {
  const { provider, localName, options } = request;
  const { procs } = provider;
  const errno = ws.ref(0);
  core.handles.forgetNewest();
  const { AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED } = ws;
  const info: WSAPROTOCOL_INFO = core.tcpInfo;
  const flags = WSA_FLAG_OVERLAPPED;
  const s = procs.lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, info, 0, flags, errno);
  // There is nothing to close then. [COMP-11; wsd-spec section 19, 9]
  if (s === ws.INVALID_SOCKET) return errno.value;
  const handle = core.handles.takeNewest();
  let error = procs.lpWSPBind(s, localName, localName.length, errno) === 0 ? 0 : errno.value;
  if (error === 0) error = replayOptions(core, provider, s, options);
  const limits = error === 0 ? sessionLimits(core, request, s) : null;
  const event = limits === null ? 0 : core.createOwnEvent(request.attendant);
  if (limits === null || event === 0) {
    procs.lpWSPCloseSocket(s, errno);
    return error === 0 ? wsa.WSAENOBUFS : error;
  }
  return new Companion(core, { provider, descriptor: s, handle, event, limits });
}

/** The companion of a connection that a listener's WSPAccept has returned. */
export function acceptedCompanion(
  core: SwitchCore,
  listener: Companion,
  descriptor: number,
  attendant: Attendant,
): Companion | null {
  const handle = core.handles.takeNewest();
  const event = core.createOwnEvent(attendant);
  if (event === 0) return null;
  const { provider, limits } = listener;
  return new Companion(core, { provider, descriptor, handle, event, limits });
}

/**
 * The companion that another process has handed over: it is bound, and listens. The error, with nothing
 * left over. Waits for the provider. [DUP-12]
 */
export function takenCompanion(
  core: SwitchCore,
  request: CompanionRequest,
  reserved: number,
): Companion | number {
  const { provider } = request;
  const { procs } = provider;
  const errno = ws.ref(0);
  const { AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED } = ws;
  const info = { ...core.tcpInfo, dwProviderReserved: reserved };
  const flags = WSA_FLAG_OVERLAPPED;
  // Other sockets may be made while it waits: the first handle made since is this one's.
  const made = core.handles.expect();
  const s = procs.lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, info, 0, flags, errno);
  const handle = made.taken();
  if (s === ws.INVALID_SOCKET) return errno.value;
  const limits = sessionLimits(core, request, s);
  const event = limits === null ? 0 : core.createOwnEvent(request.attendant);
  if (limits === null || event === 0) {
    procs.lpWSPCloseSocket(s, errno);
    return wsa.WSAENOBUFS;
  }
  return new Companion(core, { provider, descriptor: s, handle, event, limits });
}

/** OPT-07: of all that an application sets, only these reach a SAN provider. */
export function reachesProvider(level: number, name: number): boolean {
  return level === ws.SOL_SOCKET && (name === ws.SO_DEBUG || name === ws.SO_GROUP_PRIORITY);
}

function replayOptions(
  core: SwitchCore,
  provider: LoadedProvider,
  s: number,
  options: readonly StoredOption[],
): number {
  const errno = ws.ref(0);
  for (const { level, name, value } of options) {
    if (!reachesProvider(level, name)) continue;
    if (provider.procs.lpWSPSetSockOpt(s, level, name, value, value.length, errno) === 0) continue;
    // OPT-06: an option that it does not have is not a failure; TCP/IP keeps the value.
    if (errno.value === wsa.WSAENOPROTOOPT) continue;
    core.environment.logger.info('option not taken by SAN provider', { name, error: errno.value });
    return errno.value;
  }
  return 0;
}

function sessionLimits(
  core: SwitchCore,
  request: CompanionRequest,
  s: number,
): SessionLimits | null {
  const { provider, options } = request;
  const isBuffer = ({ level, name }: StoredOption): boolean =>
    level === ws.SOL_SOCKET && name === ws.SO_RCVBUF;
  const receiveBuffer = options.findLast(isBuffer)?.value;
  const value = new Uint8Array(4);
  const length = ws.ref(4);
  const errno = ws.ref(0);
  const ask = (name: number): number | null => {
    const { lpWSPGetSockOpt } = provider.procs;
    length.value = value.length;
    const failed = lpWSPGetSockOpt(s, ws.SOL_SOCKET, name, value, length, errno) !== 0;
    return failed ? null : uint32(value);
  };
  const sizes: ProviderSizes = {
    messageBytesMax: ask(ws.SO_MAX_MSG_SIZE) ?? NO_LIMIT,
    rdmaBytesMax: ask(SO_MAX_RDMA_SIZE) ?? NO_LIMIT,
    thresholdBytes: ask(SO_RDMA_THRESHOLD_SIZE) ?? THRESHOLD_BYTES_DEFAULT,
    sendQueueDepth: core.profile.sendQueueDepth,
    receiveQueueDepth: core.profile.receiveQueueDepth,
    receivesPosted: core.profile.receivesPosted,
    receiveBufferBytes: receiveBuffer === undefined ? null : uint32(receiveBuffer),
  };
  return provider.limits.of(sizes);
}

export function uint32(value: Uint8Array): number {
  const byte = (at: number): number => value[at] ?? 0;
  return (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)) >>> 0;
}
