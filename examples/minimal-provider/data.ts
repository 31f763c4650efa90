// What the minimal provider keeps, its memory and its transfers: every call becomes one work request,
// and every completion fills one WSAOVERLAPPED. What a function raises goes to its lpErrno.

import * as nic from '../../provider/nic/index.js';
import * as spi from '../../provider/spi/index.js';
import { raise } from '../../provider/spi/index.js';

const { LOCAL_WRITE, REMOTE_WRITE } = nic.Access;
const DESCRIPTOR_BYTES = 16; // 0 remote key, 8 address.
/** Where upcalls put an error that nobody asks for. */
export const errno = spi.ref(0);
const request = new nic.WorkRequest();
const completion = new nic.WorkCompletion();

// Its descriptor is ours and comes in downcalls; its handle is the switch's, for upcalls. `error` ended
// the connection. Memory goes by its key: the local one is the handle of WSPRegisterMemory, the remote
// one is in the descriptor of an exposure. What is pending goes by the id of its work request.
export class Socket {
  descriptor = 0;
  handle = 0;
  state: 'open' | 'listening' | 'connecting' | 'connected' | 'failed' | 'closed' = 'open';
  port = 0;
  backlog = 0;
  hEvent = 0;
  mask = 0;
  readonly events = spi.createNetworkEvents();
  readonly requests: Extract<nic.NicEvent, { type: 'connect-request' }>[] = [];
  queuePair: nic.QueuePair | null = null;
  error = 0;
  readonly memory = new Map<number, nic.MemoryRegion>();
  readonly pending = new Map<number, { overlapped: spi.WSAOVERLAPPED; uses: nic.MemoryRegion[] }>();
}

export class State {
  upcalls: spi.WSPUpcallTableEx | null = null;
  next = 0x10001;
  readonly sockets = new Map<number, Socket>();
  readonly byQueuePair: (Socket | undefined)[] = [];

  constructor(
    readonly nic: nic.NicDevice,
    readonly completions = nic.createCompletionQueue(),
  ) {}

  readonly find = (s: number): Socket => this.sockets.get(s) ?? raise(spi.WSAENOTSOCK);

  newSocket(): Socket {
    const descriptor = this.next++;
    const handle = this.upcalls?.lpWPUCreateSocketHandle(0, descriptor, errno);
    if (handle === undefined || handle === spi.INVALID_SOCKET) raise(errno.value);
    const socket = Object.assign(new Socket(), { descriptor, handle });
    this.sockets.set(descriptor, socket);
    return socket;
  }
}

/** Takes every completion off the queue and tells its outcome; how many. */
export function poll(state: State): number {
  let count = 0;
  for (; state.completions.poll(completion); count++) {
    const { id, byteLength: bytes, status } = completion;
    const socket = state.byQueuePair[completion.queuePair];
    const overlapped = socket?.pending.get(id)?.overlapped;
    if (socket === undefined || overlapped === undefined) continue;
    const { handle, pending } = socket;
    pending.delete(id);
    const flushed = socket.state === 'closed' ? spi.WSA_OPERATION_ABORTED : spi.WSAECONNRESET;
    const reason = status === nic.WcStatus.WR_FLUSH_ERR ? flushed : spi.WSAECONNABORTED;
    const error = status === nic.WcStatus.SUCCESS ? 0 : (socket.error ||= reason);
    Object.assign(overlapped, { InternalHigh: bytes, Offset: 0, OffsetHigh: error });
    // The low bit of hEvent: the switch polls, and nobody is told.
    if ((overlapped.hEvent & 1) !== 0) overlapped.Internal = 0;
    else state.upcalls?.lpWPUCompleteOverlappedRequest(handle, overlapped, error, bytes, errno);
  }
  return count;
}

type Buffers = readonly (spi.WSABUF & { readonly handle?: number })[] | null;
type Call = readonly [Buffers, count: number, flags: number, spi.WSAOVERLAPPED | null];

/** Posts a transfer; the target of a write is in `request` already. */
function post(state: State, socket: Socket, opcode: nic.Opcode, call: Call): never {
  const [buffers, count, flags, overlapped] = call;
  const { queuePair, error } = socket;
  if (error !== 0) raise(error);
  if (queuePair === null || socket.state !== 'connected') raise(spi.WSAENOTCONN);
  if (overlapped === null || flags !== 0 || count > nic.MAX_SGE) raise(spi.WSAEINVAL);
  if (buffers === null || buffers.length < count) raise(spi.WSAEFAULT);
  const isReceive = opcode === nic.Opcode.RECV;
  Object.assign(request, { id: state.next++, opcode, sgeCount: 0 });
  const uses = buffers.slice(0, count).map(({ buf, len, handle }) => {
    if (handle !== undefined && !socket.memory.has(handle)) raise(spi.WSAEINVAL);
    const start = buf === null || buf.length < len ? 0 : state.nic.addressOf(buf);
    const isAround = ([key, { address, length, localKey, access }]: [number, nic.MemoryRegion]) =>
      key === localKey &&
      start >= address &&
      start + len <= address + length &&
      (access !== 0 || !isReceive);
    const [key, region] = [...socket.memory].find(isAround) ?? raise(spi.WSAEFAULT);
    request.setSge(request.sgeCount++, start, len, key);
    return region;
  });
  overlapped.Internal = spi.WSS_OPERATION_IN_PROGRESS;
  const result = isReceive ? queuePair.postReceive(request) : queuePair.postSend(request);
  if (result !== nic.PostResult.OK) raise(spi.WSAENOBUFS);
  socket.pending.set(request.id, { overlapped, uses });
  raise(spi.WSA_IO_PENDING);
}

type Memory = readonly [buffer: Uint8Array | null, length: number, flags: number, ...unknown[]];

/** Registers memory with `rights` if it is to be written; what only its owner reads needs none. */
function register(state: State, socket: Socket, what: Memory, rights: number): nic.MemoryRegion {
  const [buffer, length, flags] = what;
  const { queuePair, error } = socket;
  if (queuePair === null || socket.state !== 'connected' || error !== 0) raise(spi.WSAENOTCONN);
  if (buffer === null) raise(spi.WSAEFAULT);
  if (flags === 0 || (flags & ~spi.MEM_READWRITE) !== 0) raise(spi.WSAEINVAL);
  const access = (flags & spi.MEM_WRITE) === 0 ? 0 : rights;
  const region = state.nic.registerMemory(queuePair, buffer, length, access);
  if (typeof region === 'object') return region;
  return raise(region === 'no-resources' ? spi.WSAENOBUFS : spi.WSAEFAULT);
}

function deregister(state: State, { memory, pending }: Socket, key: number): void {
  const region = memory.get(key) ?? raise(spi.WSAEINVAL);
  if ([...pending.values()].some(({ uses }) => uses.includes(region))) raise(spi.WSAEINVAL);
  state.nic.deregisterMemory(region);
  memory.delete(key);
}

/** The remote key and the address in a descriptor. */
function target(descriptor: Uint8Array | null, length: number): readonly [number, number] {
  if (descriptor === null || length !== DESCRIPTOR_BYTES) raise(spi.WSAEINVAL);
  const bytes = Buffer.from(descriptor);
  return [bytes.readDoubleLE(0), bytes.readDoubleLE(8)];
}

/** What WSPIoctl gives out; the optional ones are missing. */
export const extensions = (state: State): spi.Raising<spi.SanExtensions, Socket> => ({
  WSPRegisterMemory(socket, ...memory) {
    const region = register(state, socket, memory, LOCAL_WRITE);
    socket.memory.set(region.localKey, region);
    return region.localKey;
  },
  WSPDeregisterMemory: (socket, handle) => deregister(state, socket, handle),
  WSPRegisterRdmaMemory(socket, ...memory) {
    const [, , , descriptor, size] = memory;
    const room = Math.min(size.value, descriptor?.length ?? 0);
    size.value = DESCRIPTOR_BYTES;
    // The switch asks for the size like this; no buffer comes with the question.
    if (descriptor === null || room < DESCRIPTOR_BYTES) raise(spi.WSAEFAULT);
    const region = register(state, socket, memory, LOCAL_WRITE | REMOTE_WRITE);
    descriptor.set(Buffer.from(Float64Array.of(region.remoteKey, region.address).buffer));
    socket.memory.set(region.remoteKey, region);
  },
  WSPDeregisterRdmaMemory: (socket, descriptor, length) =>
    deregister(state, socket, target(descriptor, length)[0]),
  WSPRdmaWrite(socket, buffers, count, descriptor, size, offset, _bytes, flags, overlapped) {
    const [remoteKey, address] = target(count === 0 ? null : descriptor, size);
    Object.assign(request, { remoteKey, remoteAddress: address + offset });
    post(state, socket, nic.Opcode.RDMA_WRITE, [buffers, count, flags, overlapped]);
  },
  WSPRdmaRead: null,
  WSPMemoryRegistrationCacheCallback: null,
});

export type Procedures = Partial<spi.Raising<spi.SanProcTable, Socket>>;

/** `wait` lets everything of the provider move on until its condition holds, or not for long. */
export const transfers = (state: State, wait: (until: () => boolean) => void): Procedures => ({
  lpWSPSend: (socket, buffers, count, _bytes, flags, overlapped) =>
    post(state, socket, nic.Opcode.SEND, [buffers, count, flags, overlapped]),
  lpWSPRecv: (socket, buffers, count, _bytes, flags, overlapped) =>
    post(state, socket, nic.Opcode.RECV, [buffers, count, flags?.value ?? 0, overlapped]),
  lpWSPGetOverlappedResult(_socket, overlapped, bytes, fWait) {
    if (overlapped === null) raise(spi.WSAEINVAL);
    const isOver = (): boolean => overlapped.Internal !== spi.WSS_OPERATION_IN_PROGRESS;
    wait(() => !fWait || isOver());
    if (!isOver()) raise(spi.WSA_IO_INCOMPLETE);
    if (overlapped.OffsetHigh !== 0) raise(overlapped.OffsetHigh);
    if (bytes !== null) bytes.value = overlapped.InternalHigh;
    return true;
  },
  lpWSPGetSockOpt(_socket, level, name, value, length) {
    if (level !== spi.SOL_SOCKET) raise(spi.WSAEINVAL);
    if (name !== spi.SO_MAX_MSG_SIZE && name !== spi.SO_MAX_RDMA_SIZE) raise(spi.WSAENOPROTOOPT);
    if (value === null || length === null || length.value < 4) raise(spi.WSAEFAULT);
    value.set(Buffer.from(Uint32Array.of(state.nic.attributes.maxMessageBytes).buffer));
    length.value = 4;
  },
  lpWSPSetSockOpt: (_socket, level) =>
    raise(level === spi.SOL_SOCKET ? spi.WSAENOPROTOOPT : spi.WSAEINVAL),
  lpWSPDuplicateSocket: () => raise(spi.WSAEOPNOTSUPP),
  lpWSPGetQOSByName: () => raise(spi.WSAEOPNOTSUPP),
});
