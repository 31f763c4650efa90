// One end of a connection over the real NIC: a host without a switch, its SAN provider, and memory.
// Every operation takes and gives what can be written as JSON, so that an end may live in another
// process (real-pair.ts). Needs no test runner, and must not know what is tested.

import { openEnvironment, sanProvider } from '../../../index.js';
import type { HostEnvironment } from '../../../index.js';
import type { NicDevice } from '../../../provider/nic/device.js';
import * as spi from '../../../provider/spi/index.js';
import { Pump } from './pump.js';
import { UpcallRecorder } from './upcall-recorder.js';

export interface RealEndOptions {
  readonly fabric: string;
  readonly address: string;
  readonly engine: 'inline' | 'worker';
  readonly profile: spi.ProfileName;
}

/** A part of a block of memory. */
export interface Part {
  readonly block: number;
  readonly from: number;
  readonly to: number;
}

export interface RdmaCall {
  readonly isRead: boolean;
  readonly handle: number;
  readonly local: Part;
  readonly descriptor: Uint8Array;
  readonly offset: number;
}

export interface Outcome {
  readonly error: number;
  readonly bytes: number;
  /** Completion upcalls for this operation: 1 if its hEvent was untagged, 0 if tagged. */
  readonly upcalls: number;
}

interface Started {
  readonly s: number;
  readonly overlapped: spi.WSAOVERLAPPED;
}

const UNTAGGED = 8;
const TAGGED = 9;

export class RealEnd {
  readonly #host: HostEnvironment;
  readonly #procs: spi.SanProcTable;
  readonly #extensions: spi.SanExtensions;
  readonly #upcalls = new UpcallRecorder();
  readonly #pump: Pump;
  readonly #blocks: Uint8Array[] = [];
  readonly #operations: Started[] = [];
  readonly #errno = spi.ref(0);
  #isEnded = false;

  private constructor(host: HostEnvironment, provider: spi.ServiceProvider) {
    this.#host = host;
    this.#pump = new Pump(host);
    const table = spi.emptyProcTable();
    const { WSP_VERSION_2_2, emptyWspData, tcpProtocolInfo } = spi;
    const { table: upcalls } = this.#upcalls;
    const data = emptyWspData();
    const error = provider.WSPStartupEx(WSP_VERSION_2_2, data, tcpProtocolInfo(), upcalls, table);
    if (error !== 0) throw new spi.WsaError(error, { call: 'WSPStartupEx' });
    this.#procs = table as spi.SanProcTable;
    const found: Record<string, unknown> = {};
    for (const { name, guid } of spi.SAN_EXTENSIONS) found[name] = this.#fetch(guid);
    this.#extensions = found as unknown as spi.SanExtensions;
  }

  static async open(options: RealEndOptions): Promise<RealEnd> {
    const host = await openEnvironment(options);
    return new RealEnd(host, await host.createProvider(sanProvider));
  }

  // Connections -----------------------------------------------------------------------------------

  listen(port: number, ip: string, backlog: number): Promise<number> {
    const s = this.#bound(port, ip);
    this.#must(this.#procs.lpWSPListen(s, backlog, this.#errno) === 0);
    return Promise.resolve(s);
  }

  /** Begins to connect; the descriptor. */
  connect(localPort: number, to: string, port: number): Promise<number> {
    const s = this.#bound(localPort, spi.ipv4Text(this.#host.address));
    this.#must(this.#procs.lpWSPEventSelect(s, 4, spi.FD_CONNECT, this.#errno) === 0);
    const name = spi.sockaddrIn(to, port);
    this.#procs.lpWSPConnect(s, name, name.length, null, null, null, null, this.#errno);
    this.#must(this.#errno.value === spi.WSAEWOULDBLOCK);
    return Promise.resolve(s);
  }

  /** What FD_CONNECT says, once it says something. */
  connected(s: number): Promise<number> {
    const events = spi.createNetworkEvents();
    return this.#pump.until('FD_CONNECT', () => {
      this.#must(this.#procs.lpWSPEnumNetworkEvents(s, 0, events, this.#errno) === 0);
      if ((events.lNetworkEvents & spi.FD_CONNECT) === 0) return null;
      return events.iErrorCode[spi.FD_CONNECT_BIT] ?? 0;
    });
  }

  /** Answers the next request: the descriptor, or minus the error. */
  accept(listener: number, answer: number): Promise<number> {
    return this.#pump.until('WSPAccept', () => {
      const s = this.#procs.lpWSPAccept(listener, null, null, () => answer, null, this.#errno);
      if (s !== spi.INVALID_SOCKET) return s;
      return this.#errno.value === spi.WSAEWOULDBLOCK ? null : -this.#errno.value;
    });
  }

  /** A socket that is bound and nothing else. */
  bound(port: number): Promise<number> {
    return Promise.resolve(this.#bound(port, spi.ipv4Text(this.#host.address)));
  }

  /** 0, or minus the error. */
  close(s: number): Promise<number> {
    const result = this.#procs.lpWSPCloseSocket(s, this.#errno);
    return Promise.resolve(result === 0 ? 0 : -this.#errno.value);
  }

  // Duplication -----------------------------------------------------------------------------------

  processId(): Promise<number> {
    return Promise.resolve(process.pid);
  }

  /** What names the socket in the other process, or minus the error. */
  duplicate(s: number, processId: number): Promise<number> {
    const info = spi.tcpProtocolInfo();
    const result = this.#procs.lpWSPDuplicateSocket(s, processId, info, this.#errno);
    return Promise.resolve(result === 0 ? info.dwProviderReserved : -this.#errno.value);
  }

  /** The descriptor, or minus the error. */
  takeOver(name: number): Promise<number> {
    const { AF_INET, IPPROTO_TCP, SOCK_STREAM, WSA_FLAG_OVERLAPPED } = spi;
    const flags = WSA_FLAG_OVERLAPPED;
    const info = { ...spi.tcpProtocolInfo(), dwProviderReserved: name };
    const { lpWSPSocket } = this.#procs;
    const s = lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, info, 0, flags, this.#errno);
    return Promise.resolve(s === spi.INVALID_SOCKET ? -this.#errno.value : s);
  }

  // Memory ----------------------------------------------------------------------------------------

  /** A block with every byte `value`. */
  allocate(bytes: number, where: 'segment' | 'ordinary', value: number): Promise<number> {
    const memory =
      where === 'segment' ? this.#host.memory.VirtualAlloc(bytes) : new Uint8Array(bytes);
    if (memory === null) throw new Error('no memory');
    memory.fill(value);
    return Promise.resolve(this.#blocks.push(memory) - 1);
  }

  write(block: number, at: number, bytes: Uint8Array): Promise<null> {
    this.#block(block).set(bytes, at);
    return Promise.resolve(null);
  }

  read(part: Part): Promise<Uint8Array> {
    return Promise.resolve(this.#part(part).slice());
  }

  /** Tells the provider, then frees a block of the segment: 0 or what the provider says. */
  free(block: number): Promise<number> {
    const memory = this.#block(block);
    const address = this.#host.memory.addressOf(memory);
    const { WSPMemoryRegistrationCacheCallback: callback } = this.#extensions;
    const result = callback?.(address, memory.length, this.#errno);
    if (result !== 0) return Promise.resolve(this.#errno.value);
    this.#must(this.#host.memory.VirtualFree(memory));
    return Promise.resolve(0);
  }

  /** The handle, or minus the error. */
  register(s: number, block: number, flags: number): Promise<number> {
    const memory = this.#block(block);
    const { WSPRegisterMemory } = this.#extensions;
    const handle = WSPRegisterMemory(s, memory, memory.length, flags, this.#errno);
    return Promise.resolve(handle === 0 ? -this.#errno.value : handle);
  }

  deregister(s: number, handle: number): Promise<number> {
    const result = this.#extensions.WSPDeregisterMemory(s, handle, this.#errno);
    return Promise.resolve(result === 0 ? 0 : -this.#errno.value);
  }

  expose(s: number, block: number, flags: number): Promise<Uint8Array> {
    const memory = this.#block(block);
    const { WSPRegisterRdmaMemory } = this.#extensions;
    const size = spi.ref(0);
    WSPRegisterRdmaMemory(s, memory, memory.length, flags, null, size, this.#errno);
    const block_ = new Uint8Array(size.value);
    const length = memory.length;
    const result = WSPRegisterRdmaMemory(s, memory, length, flags, block_, size, this.#errno);
    this.#must(result === 0);
    return Promise.resolve(block_);
  }

  conceal(s: number, descriptor: Uint8Array): Promise<number> {
    const { WSPDeregisterRdmaMemory } = this.#extensions;
    const result = WSPDeregisterRdmaMemory(s, descriptor, descriptor.length, this.#errno);
    return Promise.resolve(result === 0 ? 0 : -this.#errno.value);
  }

  /** Regions of the NIC now. */
  regions(): Promise<number> {
    return Promise.resolve(this.#host.usage().registrations);
  }

  /** Shared memory in use: queues, rings, and what was allocated. */
  sharedBytes(): Promise<number> {
    const nic = this.#host.environment.nic as NicDevice & { readonly sharedBytes: number };
    return Promise.resolve(nic.sharedBytes);
  }

  // Transfers: the number of the operation, or minus the error ---------------------------------------

  send(s: number, part: Part, isTagged: boolean): Promise<number> {
    const overlapped = spi.createOverlapped(isTagged ? TAGGED : UNTAGGED);
    const list = [this.#buffer(part)];
    const { errno, procs } = { errno: this.#errno, procs: this.#procs };
    procs.lpWSPSend(s, list, 1, null, 0, overlapped, null, null, errno);
    return Promise.resolve(this.#started(s, overlapped));
  }

  receive(s: number, part: Part, isTagged: boolean): Promise<number> {
    const overlapped = spi.createOverlapped(isTagged ? TAGGED : UNTAGGED);
    const list = [this.#buffer(part)];
    const { errno, procs } = { errno: this.#errno, procs: this.#procs };
    procs.lpWSPRecv(s, list, 1, null, null, overlapped, null, null, errno);
    return Promise.resolve(this.#started(s, overlapped));
  }

  rdma(s: number, call: RdmaCall): Promise<number> {
    const overlapped = spi.createOverlapped(TAGGED);
    const { WSPRdmaRead, WSPRdmaWrite } = this.#extensions;
    const transfer = call.isRead ? WSPRdmaRead : WSPRdmaWrite;
    const { descriptor, handle, offset } = call;
    const list = [{ ...this.#buffer(call.local), handle }];
    const { length } = descriptor;
    const errno = this.#errno;
    transfer?.(s, list, 1, descriptor, length, offset, null, 0, overlapped, null, null, errno);
    return Promise.resolve(this.#started(s, overlapped));
  }

  outcome(operation: number): Promise<Outcome> {
    const { s, overlapped } = this.#operations[operation] as Started;
    return this.#pump.until(`operation ${operation}`, () => {
      const bytes = spi.ref(0);
      const flags = spi.ref(0);
      const errno = spi.ref(0);
      this.#procs.lpWSPGetOverlappedResult(s, overlapped, bytes, false, flags, errno);
      if (overlapped.Internal === spi.WSS_OPERATION_IN_PROGRESS) return null;
      const told = this.#upcalls.completions().filter((call) => call.overlapped === overlapped);
      return { error: overlapped.OffsetHigh, bytes: bytes.value, upcalls: told.length };
    });
  }

  /** The same without asking the provider, whose descriptor is handed over: what the upcalls said. */
  outcomeOfGone(operation: number): Promise<Outcome> {
    const { overlapped } = this.#operations[operation] as Started;
    return this.#pump.until(`operation ${operation}`, () => {
      if (overlapped.Internal === spi.WSS_OPERATION_IN_PROGRESS) return null;
      const told = this.#upcalls.completions().filter((call) => call.overlapped === overlapped);
      const error = told[0]?.error ?? overlapped.OffsetHigh;
      return { error, bytes: overlapped.InternalHigh, upcalls: told.length };
    });
  }

  option(s: number, name: number): Promise<number> {
    const value = new Uint8Array(4);
    const { SOL_SOCKET, ref } = spi;
    const errno = this.#errno;
    this.#must(this.#procs.lpWSPGetSockOpt(s, SOL_SOCKET, name, value, ref(4), errno) === 0);
    return Promise.resolve(new DataView(value.buffer).getUint32(0, true));
  }

  /** Cleans up and leaves the fabric. Throws when something is left over. */
  async end(): Promise<null> {
    if (this.#isEnded) return null;
    this.#isEnded = true;
    this.#must(this.#procs.lpWSPCleanup(this.#errno) === 0);
    const { openHandles } = this.#upcalls;
    if (openHandles.size > 0) throw new Error(`${openHandles.size} socket handles are left`);
    await this.#pump.until('the release of queue pairs', () => {
      const { queuePairs } = this.#host.usage();
      return queuePairs === 0 ? true : null;
    });
    const { registrations } = this.#host.usage();
    if (registrations > 0) throw new Error(`${registrations} registrations are left`);
    this.#pump.stop();
    await this.#host.close();
    return null;
  }

  #fetch(guid: string): spi.ExtensionFunctionPointer['value'] {
    const box: spi.ExtensionFunctionPointer = { value: null };
    const code = spi.SIO_GET_EXTENSION_FUNCTION_POINTER;
    const id = spi.guidBytes(guid);
    const { lpWSPIoctl } = this.#procs;
    lpWSPIoctl(spi.INVALID_SOCKET, code, id, 16, box, 8, null, null, null, null, this.#errno);
    return box.value;
  }

  #bound(port: number, ip: string): number {
    const { AF_INET, IPPROTO_TCP, SOCK_STREAM, WSA_FLAG_OVERLAPPED } = spi;
    const flags = WSA_FLAG_OVERLAPPED;
    const { lpWSPBind, lpWSPSocket } = this.#procs;
    const s = lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, null, 0, flags, this.#errno);
    this.#must(s !== spi.INVALID_SOCKET);
    this.#must(lpWSPBind(s, spi.sockaddrIn(ip, port), 16, this.#errno) === 0);
    return s;
  }

  #block(block: number): Uint8Array {
    return this.#blocks[block] as Uint8Array;
  }

  #part({ block, from, to }: Part): Uint8Array {
    return this.#block(block).subarray(from, to);
  }

  #buffer(part: Part): spi.WSABUF {
    return { len: part.to - part.from, buf: this.#part(part) };
  }

  #started(s: number, overlapped: spi.WSAOVERLAPPED): number {
    const error = this.#errno.value;
    // The pump sleeps, perhaps: what was started, or what fills the queue, moves on here.
    this.#host.progress.poll();
    if (error !== spi.WSA_IO_PENDING) return -error;
    return this.#operations.push({ s, overlapped }) - 1;
  }

  #must(isGood: boolean): void {
    if (!isGood) throw new spi.WsaError(this.#errno.value, { call: 'a provider function' });
  }
}
