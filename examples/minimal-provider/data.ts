// What the minimal provider keeps, its memory and its transfers: every call becomes one work request,
// and every completion fills one WSAOVERLAPPED.

import * as nic from '../../provider/nic/index.js';
import * as spi from '../../provider/spi/index.js';

const { LOCAL_WRITE, REMOTE_WRITE } = nic.Access;
/** 0 handle, 4 remote key, 8 address. */
const DESCRIPTOR_BYTES = 16;
const errno = spi.ref(0);
export const NONE = new Uint8Array(0);
const request = new nic.WorkRequest();
const completion = new nic.WorkCompletion();

// Its descriptor is ours and comes in downcalls; its handle is the switch's, for upcalls. `error` is
// what ended the connection; `pending` has operations by the id of their work request.
export class Socket {
  state: 'open' | 'listening' | 'connecting' | 'connected' | 'failed' | 'closed' = 'open';
  port = 0;
  backlog = 0;
  hEvent = 0;
  mask = 0;
  readonly events = spi.createNetworkEvents();
  readonly requests: Extract<nic.NicEvent, { type: 'connect-request' }>[] = [];
  queuePair: nic.QueuePair | null = null;
  error = 0;
  readonly regions = new Map<number, nic.MemoryRegion>();
  readonly pending = new Map<number, spi.WSAOVERLAPPED>();

  constructor(
    readonly descriptor: number,
    readonly handle: number,
  ) {}
}

export class State {
  upcalls: spi.WSPUpcallTableEx | null = null;
  next = 0x10001;
  readonly sockets = new Map<number, Socket>();
  readonly byQueuePair: (Socket | undefined)[] = [];
  readonly listeners = new Map<number, Socket>();
  readonly completions: nic.CompletionQueue;

  constructor(readonly nic: nic.NicDevice) {
    this.completions = nic.createCompletionQueue();
  }

  /** A socket that the switch has given a handle, or null with lpErrno set. */
  newSocket(lpErrno: spi.Ref<number>): Socket | null {
    const descriptor = this.next++;
    const handle = this.upcalls?.lpWPUCreateSocketHandle(0, descriptor, lpErrno);
    if (handle === undefined || handle === spi.INVALID_SOCKET) return null;
    const socket = new Socket(descriptor, handle);
    this.sockets.set(descriptor, socket);
    return socket;
  }

  /** A function of the SPI: `act` on the socket, whose error, if any, goes to the last parameter. */
  on<F>(act: (socket: Socket, ...rest: Rest<F>) => number): F {
    const procedure = (s: number, ...rest: Rest<F>): number => {
      const socket = this.sockets.get(s);
      const error = socket === undefined ? spi.WSAENOTSOCK : act(socket, ...rest);
      return error === 0 ? 0 : spi.fail(rest.at(-1) as spi.Ref<number>, error);
    };
    return procedure as F;
  }
}

type Rest<F> = F extends (s: number, ...rest: infer R) => number ? R : never;

/** Takes every completion off the queue and tells its outcome; how many. */
export function poll(state: State): number {
  let count = 0;
  for (; state.completions.poll(completion); count++) {
    const { id, byteLength: bytes, status } = completion;
    const socket = state.byQueuePair[completion.queuePair];
    const overlapped = socket?.pending.get(id);
    if (socket === undefined || overlapped === undefined) continue;
    const { handle, pending } = socket;
    pending.delete(id);
    // Flushed by our own close, or else the peer or the network has ended the connection.
    const reason = socket.state === 'closed' ? spi.WSA_OPERATION_ABORTED : spi.WSAECONNRESET;
    const error = status === nic.WcStatus.SUCCESS ? 0 : (socket.error ||= reason);
    Object.assign(overlapped, { InternalHigh: bytes, Offset: 0, OffsetHigh: error });
    // The low bit of hEvent: the switch polls, and nobody is told.
    if ((overlapped.hEvent & 1) !== 0) overlapped.Internal = 0;
    else state.upcalls?.lpWPUCompleteOverlappedRequest(handle, overlapped, error, bytes, errno);
  }
  return count;
}

type Call = readonly [spi.WSABUF[] | null, number, unknown, unknown, spi.WSAOVERLAPPED | null];

/** Posts a transfer; the target of a write is in `request` already. */
function post(state: State, socket: Socket, opcode: nic.Opcode, call: readonly unknown[]): number {
  const [buffers, count, , , overlapped] = call as Call;
  const { queuePair, regions, pending } = socket;
  if (socket.error !== 0) return socket.error;
  if (queuePair === null || socket.state !== 'connected') return spi.WSAENOTCONN;
  if (overlapped === null || count > nic.MAX_SGE) return spi.WSAEINVAL;
  Object.assign(request, { id: state.next++, opcode, sgeCount: 0 });
  for (const { buf, len } of buffers?.slice(0, count) ?? []) {
    const start = buf === null || buf.length < len ? 0 : state.nic.addressOf(buf);
    const isAround = ({ address, length }: nic.MemoryRegion): boolean =>
      start >= address && start + len <= address + length;
    const found = [...regions.values()].find(isAround);
    if (found === undefined) return spi.WSAEFAULT;
    request.setSge(request.sgeCount++, start, len, found.localKey);
  }
  overlapped.Internal = spi.WSS_OPERATION_IN_PROGRESS;
  const isReceive = opcode === nic.Opcode.RECV;
  const result = isReceive ? queuePair.postReceive(request) : queuePair.postSend(request);
  if (result !== nic.PostResult.OK) return spi.WSAENOBUFS;
  pending.set(request.id, overlapped);
  return spi.WSA_IO_PENDING;
}

type Memory = readonly [buffer: Uint8Array | null, length: number];
type Made = { readonly handle: number; readonly region: nic.MemoryRegion } | number;

function register(state: State, socket: Socket, memory: Memory, access: number): Made {
  const [buffer, length] = memory;
  if (socket.queuePair === null || buffer === null) return spi.WSAENOTCONN;
  const region = state.nic.registerMemory(socket.queuePair, buffer, length, access);
  if (typeof region === 'string') return region === 'no-resources' ? spi.WSAENOBUFS : spi.WSAEFAULT;
  const handle = state.next++;
  socket.regions.set(handle, region);
  return { handle, region };
}

function deregister(state: State, { regions }: Socket, handle: number): number {
  const region = regions.get(handle);
  if (region !== undefined) state.nic.deregisterMemory(region);
  return regions.delete(handle) ? 0 : spi.WSAEINVAL;
}

/** What WSPIoctl gives out; the optional ones are missing. */
function extensions(state: State): spi.SanExtensions {
  return {
    WSPRegisterMemory(s, buffer, length, flags, lpErrno) {
      const socket = state.sockets.get(s);
      const access = (flags & spi.MEM_WRITE) === 0 ? 0 : LOCAL_WRITE;
      const made = socket === undefined ? 0 : register(state, socket, [buffer, length], access);
      if (typeof made === 'object') return made.handle;
      lpErrno.value = made === 0 ? spi.WSAENOTSOCK : made;
      return 0;
    },
    WSPDeregisterMemory: state.on<spi.LPFN_WSPDEREGISTERMEMORY>((socket, handle) =>
      deregister(state, socket, handle),
    ),
    WSPRegisterRdmaMemory: state.on<spi.LPFN_WSPREGISTERRDMAMEMORY>((socket, ...rest) => {
      const [buffer, length, , descriptor, size] = rest;
      const isShort = size.value < DESCRIPTOR_BYTES;
      size.value = DESCRIPTOR_BYTES;
      // The switch asks for the size like this; no buffer comes with the question.
      if (descriptor === null || isShort) return spi.WSAEFAULT;
      const made = register(state, socket, [buffer, length], LOCAL_WRITE | REMOTE_WRITE);
      if (typeof made === 'number') return made;
      const { remoteKey, address } = made.region;
      descriptor.set(Buffer.from(Uint32Array.of(made.handle, remoteKey).buffer));
      descriptor.set(Buffer.from(Float64Array.of(address).buffer), 8);
      return 0;
    }),
    WSPDeregisterRdmaMemory: state.on<spi.LPFN_WSPDEREGISTERRDMAMEMORY>((socket, descriptor) =>
      deregister(state, socket, Buffer.from(descriptor ?? Buffer.alloc(4)).readUInt32LE(0)),
    ),
    WSPRdmaWrite: state.on<spi.LPFN_WSPRDMAWRITE>((socket, buffers, count, target, ...rest) => {
      const [size, offset, , , overlapped] = rest;
      if (target === null || size !== DESCRIPTOR_BYTES) return spi.WSAEINVAL;
      request.remoteKey = Buffer.from(target).readUInt32LE(4);
      request.remoteAddress = Buffer.from(target).readDoubleLE(8) + offset;
      return post(state, socket, nic.Opcode.RDMA_WRITE, [buffers, count, 0, 0, overlapped]);
    }),
    WSPRdmaRead: null,
    WSPMemoryRegistrationCacheCallback: null,
  };
}

export function dataProcedures(state: State, turn: () => number): Partial<spi.WSPProcTable> {
  const { attributes } = state.nic;
  const { lpWSPDuplicateSocket, lpWSPGetQOSByName } = spi.failingProcTable();
  const { lpWSPSetSockOpt } = spi.failingProcTable(spi.WSAENOPROTOOPT);
  return {
    lpWSPDuplicateSocket,
    lpWSPGetQOSByName,
    lpWSPSetSockOpt,
    lpWSPSend: state.on<spi.LPWSPSEND>((socket, ...call) =>
      post(state, socket, nic.Opcode.SEND, call),
    ),
    lpWSPRecv: state.on<spi.LPWSPRECV>((socket, ...call) =>
      post(state, socket, nic.Opcode.RECV, call),
    ),
    lpWSPGetOverlappedResult(_s, overlapped, bytes, _fWait, _flags, lpErrno) {
      if (overlapped?.Internal === spi.WSS_OPERATION_IN_PROGRESS) turn();
      const isPending = overlapped?.Internal === spi.WSS_OPERATION_IN_PROGRESS;
      lpErrno.value = isPending ? spi.WSA_IO_INCOMPLETE : (overlapped?.OffsetHigh ?? spi.WSAEINVAL);
      if (bytes !== null) bytes.value = overlapped?.InternalHigh ?? 0;
      return lpErrno.value === 0;
    },
    lpWSPGetSockOpt: state.on<spi.LPWSPGETSOCKOPT>((_socket, _level, name, value, length) => {
      const isLimit = name === spi.SO_MAX_MSG_SIZE || name === spi.SO_MAX_RDMA_SIZE;
      if (!isLimit || value === null) return spi.WSAENOPROTOOPT;
      value.set(Buffer.from(Uint32Array.of(attributes.maxMessageBytes).buffer));
      if (length !== null) length.value = 4;
      return 0;
    }),
    lpWSPIoctl(_s, code, input, _cbIn, out, cbOut, lpcb, _overlapped, _routine, _thread, lpErrno) {
      if (!spi.isExtensionFunctionPointer(out)) {
        const own = [spi.sockaddrIn(attributes.address, 0)];
        if (code !== spi.SIO_ADDRESS_LIST_QUERY) return spi.fail(lpErrno, spi.WSAEOPNOTSUPP);
        return spi.answerAddressList(own, out, cbOut, lpcb, lpErrno);
      }
      const wanted = spi.SAN_EXTENSIONS.find((one) => spi.isGuid(input ?? NONE, one.guid));
      out.value = wanted === undefined ? null : extensions(state)[wanted.name];
      return out.value === null ? spi.fail(lpErrno, spi.WSAEOPNOTSUPP) : 0;
    },
  };
}
