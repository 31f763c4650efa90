// One host of a case: the provider started on it, and every SPI call in a short form that checks what
// holds for all of them, the shape of the return value. It must not judge outcomes; cases do.
// Sources: SPI-01, STARTUP, EXT-01, GOR-02, W1.1.

import type { ConformanceHost } from './fixture.js';
import { ConformanceFailure, expectCode, NotSupported } from './check.js';
import { UpcallSink } from './upcalls.js';
import * as spi from '../../provider/spi/index.js';

/** What errno holds before a call: no function may fail and leave it there. */
const UNTOUCHED = -77;

/** What a count holds before a call, so that writing it shows. */
export const UNWRITTEN = 0x5ca1ab1e;

/** A transfer after its posting call returned. `code` is 0, WSA_IO_PENDING, or why it failed. */
export interface Started {
  readonly code: number;
  readonly overlapped: spi.WSAOVERLAPPED;
  readonly count: spi.Ref<number>;
}

/** How a transfer ended. */
export interface Outcome {
  readonly error: number;
  readonly bytes: number;
  readonly flags: number;
}

export type Drive = (done: () => boolean) => boolean;

/** A started provider and the upcalls of the kit above it. Lives for one case. */
export class Side {
  readonly upcalls = new UpcallSink();
  readonly errno = spi.ref(UNTOUCHED);
  /** As WSPStartupEx has filled it, whatever that is. */
  readonly table = spi.emptyProcTable();
  /** The same with every function there: one that is missing is a failure of whoever calls it. */
  readonly procs: spi.SanProcTable;
  readonly extensions: spi.SanExtensions;
  readonly address: string;
  #starts = 0;

  constructor(
    readonly host: ConformanceHost,
    readonly drive: Drive,
  ) {
    this.address = host.address;
    this.start(this.table);
    this.procs = complete(this.table);
    this.extensions = Object.fromEntries(
      spi.SAN_EXTENSIONS.map(({ name, guid }) => [name, this.fetch(guid)]),
    ) as unknown as spi.SanExtensions;
  }

  /** One more WSPStartupEx, which must succeed; end() undoes all that are left. */
  start(table: spi.WSPProcTable = spi.emptyProcTable()): void {
    const data = spi.emptyWspData();
    const { provider } = this.host;
    const info = spi.tcpProtocolInfo();
    const { WSP_VERSION_2_2: version } = spi;
    const returned: unknown = provider.WSPStartupEx(version, data, info, this.upcalls.table, table);
    if (typeof returned !== 'number') {
      throw new ConformanceFailure('WSPStartupEx returns', 'an error code', describe(returned));
    }
    expectCode('WSPStartupEx', returned, 0);
    this.#starts++;
  }

  /** WSPCleanup: its code. */
  cleanup(): number {
    const code = this.code('WSPCleanup', this.procs.lpWSPCleanup(this.errno));
    if (code === 0) this.#starts--;
    return code;
  }

  /** Undoes every start that is left. */
  end(): void {
    while (this.#starts > 0) expectCode('WSPCleanup', this.cleanup(), 0);
  }

  /** 0 or the error of a call that returns 0 or SOCKET_ERROR; anything else is nonsense. [W1.1] */
  code(call: string, returned: unknown): number {
    const error = this.errno.value;
    this.errno.value = UNTOUCHED;
    if (returned === 0) return 0;
    if (returned !== spi.SOCKET_ERROR) {
      throw new ConformanceFailure(`${call} returns`, '0 or SOCKET_ERROR', describe(returned));
    }
    return meaningful(call, error);
  }

  /** The value of a call that says failure with `failure`; `onError` gets the error then. */
  value(call: string, returned: unknown, failure: number): { value: number; code: number } {
    const error = this.errno.value;
    this.errno.value = UNTOUCHED;
    if (typeof returned !== 'number') {
      throw new ConformanceFailure(`${call} returns`, 'a number', describe(returned));
    }
    const isFailure = returned === failure;
    return { value: returned, code: isFailure ? meaningful(call, error) : 0 };
  }

  // Extensions ------------------------------------------------------------------------------------

  /** An extension function by its GUID, or null; `s` may be anything. [EXT-01, INIT-11] */
  fetch(guid: string, s: number = spi.INVALID_SOCKET): spi.ExtensionFunctionPointer['value'] {
    const box: spi.ExtensionFunctionPointer = { value: null };
    this.query(guid, s, box);
    return box.value;
  }

  /** The code of SIO_GET_EXTENSION_FUNCTION_POINTER. */
  query(
    guid: string,
    s: number = spi.INVALID_SOCKET,
    box: spi.ExtensionFunctionPointer = { value: null },
  ): number {
    const code = spi.SIO_GET_EXTENSION_FUNCTION_POINTER;
    const id = spi.guidBytes(guid);
    const { procs, errno } = this;
    return this.code(
      'WSPIoctl',
      procs.lpWSPIoctl(s, code, id, 16, box, 8, spi.ref(0), null, null, null, errno),
    );
  }

  /** WSPRdmaRead; throws NotSupported without it. */
  get rdmaRead(): spi.LPFN_WSPRDMAREAD {
    const { WSPRdmaRead } = this.extensions;
    if (WSPRdmaRead === null) throw new NotSupported('the provider has no WSPRdmaRead');
    return WSPRdmaRead;
  }

  // Sockets ---------------------------------------------------------------------------------------

  /** `name`: dwProviderReserved of a WSPDuplicateSocket, or 0 for a new socket. [SOCKET-04] */
  trySocket(name = 0): { value: number; code: number } {
    const info = name === 0 ? null : { ...spi.tcpProtocolInfo(), dwProviderReserved: name };
    const { AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED, INVALID_SOCKET } = spi;
    const { procs, errno } = this;
    const s = procs.lpWSPSocket(
      AF_INET,
      SOCK_STREAM,
      IPPROTO_TCP,
      info,
      0,
      WSA_FLAG_OVERLAPPED,
      errno,
    );
    return this.value('WSPSocket', s, INVALID_SOCKET);
  }

  socket(): number {
    const { value, code } = this.trySocket();
    expectCode('WSPSocket', code, 0);
    return value;
  }

  bind(s: number, port: number, ip: string = this.address): number {
    const name = spi.sockaddrIn(ip, port);
    return this.code('WSPBind', this.procs.lpWSPBind(s, name, name.length, this.errno));
  }

  bound(port: number, ip: string = this.address): number {
    const s = this.socket();
    expectCode('WSPBind', this.bind(s, port, ip), 0);
    return s;
  }

  listen(s: number, backlog: number): number {
    return this.code('WSPListen', this.procs.lpWSPListen(s, backlog, this.errno));
  }

  /** A listening socket with FD_ACCEPT selected on an event of its own. */
  listening(port: number, backlog = 5, ip: string = this.address): Listening {
    const s = this.bound(port, ip);
    expectCode('WSPListen', this.listen(s, backlog), 0);
    const hEvent = this.upcalls.createEvent();
    expectCode('WSPEventSelect', this.select(s, hEvent, spi.FD_ACCEPT), 0);
    return { s, hEvent };
  }

  select(s: number, hEvent: number, mask: number): number {
    return this.code('WSPEventSelect', this.procs.lpWSPEventSelect(s, hEvent, mask, this.errno));
  }

  enumerate(s: number, hEvent: number, events: spi.WSANETWORKEVENTS): number {
    const returned = this.procs.lpWSPEnumNetworkEvents(s, hEvent, events, this.errno);
    return this.code('WSPEnumNetworkEvents', returned);
  }

  connect(s: number, ip: string, port: number): number {
    const name = spi.sockaddrIn(ip, port);
    const { procs, errno } = this;
    const returned = procs.lpWSPConnect(s, name, 16, null, null, null, null, errno);
    return this.code('WSPConnect', returned);
  }

  /** Selects FD_CONNECT, connects, and waits for the outcome. [CONNECT-01 to -03] */
  connectAndWait(s: number, ip: string, port: number): number {
    const hEvent = this.upcalls.createEvent();
    expectCode('WSPEventSelect', this.select(s, hEvent, spi.FD_CONNECT), 0);
    const code = this.connect(s, ip, port);
    return code === spi.WSAEWOULDBLOCK ? this.connectOutcome(s, hEvent) : code;
  }

  /** Waits for the event, then asks what FD_CONNECT says. */
  connectOutcome(s: number, hEvent: number): number {
    this.until(() => this.upcalls.isSignalled(hEvent), 'the event of FD_CONNECT is set');
    const events = spi.createNetworkEvents();
    expectCode('WSPEnumNetworkEvents', this.enumerate(s, hEvent, events), 0);
    if ((events.lNetworkEvents & spi.FD_CONNECT) === 0) {
      throw new ConformanceFailure('WSPEnumNetworkEvents', 'FD_CONNECT', 'another event');
    }
    return events.iErrorCode[spi.FD_CONNECT_BIT] ?? 0;
  }

  accept(s: number, condition: spi.LPCONDITIONPROC = () => spi.CF_ACCEPT): AcceptOutcome {
    const address = new Uint8Array(spi.SOCKADDR_IN_BYTES);
    const length = spi.ref(address.length);
    const { procs, errno } = this;
    const returned = procs.lpWSPAccept(s, address, length, condition, 'callback data', errno);
    const outcome = this.value('WSPAccept', returned, spi.INVALID_SOCKET);
    return { ...outcome, address, length: length.value };
  }

  /** WSPDuplicateSocket for a process: its code, and what names the connection there. */
  duplicate(s: number, processId: number): { readonly code: number; readonly name: number } {
    const info = spi.tcpProtocolInfo();
    const returned = this.procs.lpWSPDuplicateSocket(s, processId, info, this.errno);
    return { code: this.code('WSPDuplicateSocket', returned), name: info.dwProviderReserved };
  }

  close(s: number): number {
    return this.code('WSPCloseSocket', this.procs.lpWSPCloseSocket(s, this.errno));
  }

  // Memory ----------------------------------------------------------------------------------------

  /** `bytes` of host memory, given back when the case ends. */
  allocate(bytes: number, fill = 0): Uint8Array {
    const memory = this.host.memory.VirtualAlloc(bytes);
    if (memory === null) throw new Error(`the fixture has no ${bytes} bytes of host memory`);
    this.allocated.push(memory);
    return memory.fill(fill);
  }
  readonly allocated: Uint8Array[] = [];

  tryRegister(
    s: number,
    buffer: Uint8Array | null,
    flags: number = spi.MEM_READWRITE,
    length: number = buffer?.length ?? 0,
  ): { value: number; code: number } {
    const { WSPRegisterMemory } = this.extensions;
    const returned = WSPRegisterMemory(s, buffer, length, flags, this.errno);
    return this.value('WSPRegisterMemory', returned, 0);
  }

  register(s: number, buffer: Uint8Array, flags: number = spi.MEM_READWRITE): number {
    const { value, code } = this.tryRegister(s, buffer, flags);
    expectCode('WSPRegisterMemory', code, 0);
    return value;
  }

  deregister(s: number, handle: number): number {
    const { WSPDeregisterMemory } = this.extensions;
    return this.code('WSPDeregisterMemory', WSPDeregisterMemory(s, handle, this.errno));
  }

  tryExpose(
    s: number,
    buffer: Uint8Array | null,
    flags: number,
    block: Uint8Array | null,
    room: spi.Ref<number>,
    length: number = buffer?.length ?? 0,
  ): number {
    const { WSPRegisterRdmaMemory } = this.extensions;
    const returned = WSPRegisterRdmaMemory(s, buffer, length, flags, block, room, this.errno);
    return this.code('WSPRegisterRdmaMemory', returned);
  }

  /** Probes for the length, then exposes: the descriptor. [REGRDMA-04] */
  expose(s: number, buffer: Uint8Array, flags: number): Uint8Array {
    const length = spi.ref(0);
    const probe = this.tryExpose(s, buffer, flags, null, length);
    expectCode('WSPRegisterRdmaMemory with no block', probe, spi.WSAEFAULT);
    const block = new Uint8Array(length.value);
    expectCode('WSPRegisterRdmaMemory', this.tryExpose(s, buffer, flags, block, length), 0);
    return block.slice(0, length.value);
  }

  unexpose(s: number, descriptor: Uint8Array): number {
    const { WSPDeregisterRdmaMemory } = this.extensions;
    const returned = WSPDeregisterRdmaMemory(s, descriptor, descriptor.length, this.errno);
    return this.code('WSPDeregisterRdmaMemory', returned);
  }

  /** Waits, in the fixture's way; a failure says what was waited for. */
  until(done: () => boolean, what: string): void {
    if (!this.drive(done))
      throw new ConformanceFailure('waiting', `that ${what}`, 'it never happens');
  }
}

export interface Listening {
  readonly s: number;
  readonly hEvent: number;
}

export interface AcceptOutcome {
  readonly value: number;
  readonly code: number;
  readonly address: Uint8Array;
  readonly length: number;
}

function complete(table: spi.WSPProcTable): spi.SanProcTable {
  const filled: Record<string, unknown> = { ...table };
  for (const slot of spi.SAN_PROC_TABLE_SLOTS) {
    if (typeof filled[slot] === 'function') continue;
    const found = describe(filled[slot]);
    filled[slot] = () => {
      throw new ConformanceFailure(`the procedure table's ${slot}`, 'a function', found);
    };
  }
  return filled as unknown as spi.SanProcTable;
}

function meaningful(call: string, error: number): number {
  const isKnown = spi.WSA_ERRORS.some((entry) => entry.code === error);
  if (isKnown) return error;
  const actual = error === UNTOUCHED ? 'lpErrno left alone' : `${describe(error)} in lpErrno`;
  throw new ConformanceFailure(`${call} fails`, 'an error of winsock2.h in lpErrno', actual);
}

function describe(value: unknown): string {
  switch (typeof value) {
    case 'number':
    case 'string':
    case 'boolean':
      return `${typeof value} ${value}`;
    default:
      return value === null ? 'null' : typeof value;
  }
}
