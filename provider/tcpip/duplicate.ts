// WSPDuplicateSocket and its other half in WSPSocket: the kernel's own socket is passed to another
// process, which from then on has it as well. What the kernel does not know of it travels as text beside
// it. Operations that are pending belong to the descriptor they were started on.
// Sources: W3.7, DUP-02; docs/duplication.md, docs/decisions/0046-kernel-sockets-are-passed.md.

import { DescriptorOffer, DescriptorTaking } from '../../native/descriptor-offer.js';
import { seconds } from '../../runtime/clock.js';
import * as wsa from '../spi/errors.js';
import type { HandoverStore } from '../spi/provider.js';
import { SOCKET_ERROR } from '../spi/winsock2.js';
import { fail } from '../spi/ws2spi.js';
import type { LPWSPDUPLICATESOCKET } from '../spi/ws2spi.js';
import { updateInterest } from './interest.js';
import type { SocketState } from './record.js';
import { KernelSocket, StoredOptions } from './record.js';
import type { Context, MessageState } from './record.js';

/** How long the process that offers a socket may take to give it. */
const TAKING_NANOS_MAX = seconds(10);
const VERSION = 1;
/** States that a duplicate can begin in: nothing is under way that only the old process could end. */
const STATES: readonly SocketState[] = ['open', 'connected', 'listening'];

interface SocketKind {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
}

/** What the record of a socket says; names are sockaddrs as hexadecimal text. */
interface SocketRecord extends SocketKind {
  readonly version: number;
  readonly kind: 'kernel socket';
  readonly offer: string;
  readonly state: SocketState;
  readonly localName: string | null;
  readonly peerName: string | null;
  readonly isSendShut: boolean;
  readonly isReceiveShut: boolean;
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * Offers the socket to another process; dwProviderReserved names it there. Both have it then, and each
 * closes its own. Whoever offers must live, and poll, until it is taken. [W3.7]
 * WSAENOTSOCK; WSAEINVAL while it is connecting; WSAEFAULT; WSAENOBUFS; WSAEOPNOTSUPP.
 */
export function createDuplicate(context: Context): LPWSPDUPLICATESOCKET {
  return (s, dwProcessId, lpProtocolInfo, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return SOCKET_ERROR;
    if (context.handover === null) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
    if (lpProtocolInfo === null) return fail(lpErrno, wsa.WSAEFAULT);
    const isProcess = Number.isInteger(dwProcessId) && dwProcessId > 0;
    if (!isProcess || !STATES.includes(socket.state)) return fail(lpErrno, wsa.WSAEINVAL);
    const name = offer(context, context.handover, socket, dwProcessId);
    if (name === null) return fail(lpErrno, wsa.WSAENOBUFS);
    lpProtocolInfo.iAddressFamily = socket.family;
    lpProtocolInfo.iSocketType = socket.type;
    lpProtocolInfo.iProtocol = socket.protocol;
    lpProtocolInfo.dwProviderReserved = name;
    return 0;
  };
}

/** Takes every offer back that nobody has taken. */
export function closeOffers(context: Context): void {
  for (const one of [...context.offers]) one.close();
}

/**
 * The socket that was left under `name`, or WSAEINVAL when there is none for this process, or whoever
 * offered it has ended. Waits for the process that offers it.
 */
export function takeDuplicate(
  context: Context,
  name: number,
  messageStateOf: (kind: SocketKind) => MessageState | null,
): KernelSocket | number {
  const left = context.handover?.take(name) ?? null;
  const record = left === null ? null : parse(left);
  const fd = record === null ? -1 : takeDescriptor(context, record.offer);
  if (record === null || fd < 0) return wsa.WSAEINVAL;
  const { family, type, protocol } = record;
  const handle = context.table.newHandle();
  const identity = { handle, fd, family, type, protocol, isOverlapped: true };
  const socket = new KernelSocket(identity, messageStateOf(record));
  restore(socket, record);
  if (socket.state === 'connected') socket.connectedAt = context.clock.now();
  context.table.add(socket);
  updateInterest(context, socket);
  return socket;
}

function offer(
  context: Context,
  handover: HandoverStore,
  socket: KernelSocket,
  processId: number,
): number | null {
  const { reactor } = context.kernel;
  const { fd } = socket;
  const made = DescriptorOffer.open({
    reactor,
    fd,
    processId,
    ended: (one) => context.offers.delete(one),
  });
  if (typeof made === 'number') return null;
  const record = new TextEncoder().encode(JSON.stringify(describe(socket, made.name)));
  const name = handover.leave(processId, record);
  if (name === null) {
    made.close();
    return null;
  }
  context.offers.add(made);
  socket.isShared = true;
  return name;
}

function takeDescriptor(context: Context, name: string): number {
  const taking = DescriptorTaking.open(context.kernel.reactor, name);
  if (typeof taking === 'number') return taking;
  context.blocking.wait(() => taking.isOver, context.clock.now() + TAKING_NANOS_MAX);
  taking.close();
  return taking.result;
}

function describe(socket: KernelSocket, offer: string): SocketRecord {
  const { family, type, protocol, state, isSendShut, isReceiveShut } = socket;
  return {
    version: VERSION,
    kind: 'kernel socket',
    offer,
    family,
    type,
    protocol,
    state,
    localName: text(socket.localName),
    peerName: text(socket.peerName),
    isSendShut,
    isReceiveShut,
    options: Object.fromEntries(Object.entries(socket.options)),
  };
}

function restore(socket: KernelSocket, record: SocketRecord): void {
  socket.isShared = true;
  socket.state = record.state;
  socket.localName = bytes(record.localName);
  socket.peerName = bytes(record.peerName);
  socket.isSendShut = record.isSendShut;
  socket.isReceiveShut = record.isReceiveShut;
  const known = new StoredOptions();
  for (const [name, value] of Object.entries(known)) {
    const found = record.options[name];
    const isSame = typeof found === typeof value || found === null || value === null;
    if (isSame && found !== undefined) Object.assign(socket.options, { [name]: found });
  }
}

/** null for anything but a record of this version. */
function parse(content: Uint8Array): SocketRecord | null {
  let found: unknown;
  try {
    found = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
  } catch {
    return null;
  }
  if (typeof found !== 'object' || found === null) return null;
  const record = found as Partial<SocketRecord>;
  const isGood =
    record.version === VERSION &&
    record.kind === 'kernel socket' &&
    typeof record.offer === 'string' &&
    [record.family, record.type, record.protocol].every(Number.isInteger) &&
    STATES.some((state) => state === record.state) &&
    [record.localName, record.peerName].every(
      (name) => name === null || typeof name === 'string',
    ) &&
    typeof record.options === 'object';
  return isGood ? (found as SocketRecord) : null;
}

function text(name: Uint8Array | null): string | null {
  return name === null ? null : Buffer.from(name).toString('hex');
}

function bytes(name: string | null): Uint8Array | null {
  return name === null ? null : new Uint8Array(Buffer.from(name, 'hex'));
}
