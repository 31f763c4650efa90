// A SAN provider for tests of the switch: two or more of them on one FakeSanNetwork, everything in
// memory, moved by doWork only. It keeps to the contract of the SPI, checks what the switch does with
// it, and can be told to misbehave or to be slow. Source: wsd-spec sections 5 to 8, 10, 11.

import * as spi from '../../../provider/spi/index.js';
import type { Agent } from '../../../runtime/progress.js';
import type { FakeSanSocket, Message } from './fake-san-socket.js';
import { makeSocket } from './fake-san-socket.js';
import { dataProcedures } from './fake-san-data.js';
import { sanExtensions } from './fake-san-memory.js';

export interface FakeSanOptions {
  readonly name: string;
  /** Dotted. */
  readonly address: string;
  readonly rdmaRead: boolean;
  readonly maxMessageSize: number | null;
  readonly maxRdmaSize: number | null;
  readonly threshold: number | null;
  /** Sends and RDMA end inside the call. */
  readonly inline: boolean;
  /** Notifications of receives come in reverse order of completion. */
  readonly reversed: boolean;
  /** Tagged calls end only when WSPGetOverlappedResult asks. */
  readonly lazy: boolean;
  /** Turns by which the ends of sends and RDMA are put off. */
  readonly late: number;
  /** Sends and RDMA that are put off end newest first. */
  readonly shuffled: boolean;
  /** WSPSend, WSPGetOverlappedResult and WSPCloseSocket first do what is due: upcalls inside them. */
  readonly nested: boolean;
  /** WSPCloseSocket returns before the upcalls of what it aborts. */
  readonly abortsLate: boolean;
  /** Local registrations that a socket may have. */
  readonly registrationsMax: number;
  /** Errors for named steps, such as { WSPBind: WSAEADDRNOTAVAIL }. */
  readonly fail: Readonly<Record<string, number>>;
  /** Sends and RDMA calls it takes at once. */
  readonly queueDepth: number;
}

const DEFAULTS: Omit<FakeSanOptions, 'name' | 'address'> = {
  rdmaRead: true,
  maxMessageSize: null,
  maxRdmaSize: null,
  threshold: 4096,
  inline: false,
  reversed: false,
  lazy: false,
  late: 0,
  shuffled: false,
  nested: false,
  abortsLate: false,
  registrationsMax: Infinity,
  fail: {},
  queueDepth: 16,
};

/** What connects the providers of several hosts. */
export class FakeSanNetwork {
  readonly providers: FakeSan[] = [];
  /** Memory exposed to peers, by the number that its descriptor carries. */
  readonly exposures = new Map<number, Exposure>();
  nextExposure = 1;

  providerAt(address: number): FakeSan | null {
    return this.providers.find((provider) => provider.address === address) ?? null;
  }
}

export interface Exposure {
  readonly socket: FakeSanSocket;
  readonly memory: Uint8Array;
  readonly access: number;
}

export class FakeSan implements Agent {
  readonly role = 'fake san';
  readonly options: FakeSanOptions;
  readonly network: FakeSanNetwork;
  readonly address: number;
  readonly sockets = new Map<number, FakeSanSocket>();
  /** Calls of the switch, in order; arguments only where a test looks at them. */
  readonly log: string[] = [];
  readonly deferred: (() => void)[] = [];
  readonly service: spi.ServiceProvider;
  upcalls: spi.WSPUpcallTableEx | null = null;
  protocolInfo: spi.WSAPROTOCOL_INFO | null = null;
  startCount = 0;
  cacheCallbacks = 0;
  mostOutstanding = 0;
  mostRdmaBytes = 0;
  /** Bytes that RDMA has moved, and that messages have. */
  rdmaBytes = 0;
  messageBytes = 0;
  /** Calls with a descriptor that is not one, and the lengths asked of WSPRegisterRdmaMemory. */
  strayCalls = 0;
  readonly descriptorRooms: number[] = [];
  readonly #late: { turns: number; task: () => void }[] = [];
  /** Next descriptor: odd and sparse, so that nobody takes it for the switch's handle. */
  #next = 101;

  constructor(
    network: FakeSanNetwork,
    options: Partial<FakeSanOptions> & { name: string; address: string },
  ) {
    this.options = { ...DEFAULTS, ...options };
    this.network = network;
    this.address = spi.ipv4Number(options.address) ?? 0;
    network.providers.push(this);
    const capabilities: spi.ProviderCapabilities = {
      kind: 'san',
      rdmaRead: this.options.rdmaRead,
      registrationCacheCallback: true,
      qos: false,
      maxMessageSize: this.options.maxMessageSize,
      maxRdmaSize: this.options.maxRdmaSize,
      rdmaThresholdSize: this.options.threshold,
      duplicate: false,
    };
    this.service = {
      name: options.name,
      providerId: `00000000-0000-0000-0000-0000000000${String(10 + network.providers.length)}`,
      capabilities,
      WSPStartupEx: (version, data, info, upcalls, table) => {
        this.log.push('WSPStartupEx');
        const failure = this.options.fail['WSPStartupEx'];
        if (failure !== undefined) return failure;
        if (data === null || table === null) return spi.WSAEFAULT;
        if (!spi.supportsVersion22(version)) return spi.WSAVERNOTSUPPORTED;
        data.wVersion = spi.WSP_VERSION_2_2;
        this.upcalls = upcalls;
        this.protocolInfo = info;
        this.startCount++;
        Object.assign(table, this.#procedures(), dataProcedures(this));
        return 0;
      },
    };
  }

  get table(): spi.WSPUpcallTableEx {
    if (this.upcalls === null) throw new Error(`${this.options.name} was not started`);
    return this.upcalls;
  }

  /** Registrations that nobody has ended. */
  get registrations(): number {
    let count = 0;
    for (const socket of this.sockets.values()) count += socket.registrations.size;
    return count;
  }

  doWork(): number {
    const due = this.#late.filter((entry) => --entry.turns <= 0);
    for (const entry of due) this.#late.splice(this.#late.indexOf(entry), 1);
    return this.due() + due.length + this.#end(due.map(({ task }) => task)) + this.#late.length;
  }

  /** Does what is due now; for doWork, and for calls that upcalls come from. */
  due(): number {
    const tasks = this.deferred.splice(0);
    for (const task of tasks) task();
    return tasks.length;
  }

  /** The end of a send or of RDMA, in a later turn. */
  later(task: () => void): void {
    if (this.options.late > 0) this.#late.push({ turns: this.options.late, task });
    else this.deferred.push(task);
  }

  #end(tasks: (() => void)[]): number {
    if (this.options.shuffled) tasks.reverse();
    for (const task of tasks) task();
    return tasks.length;
  }

  find(s: number, lpErrno: spi.Ref<number>): FakeSanSocket | null {
    const socket = this.sockets.get(s);
    if (socket === undefined) {
      this.strayCalls++;
      lpErrno.value = spi.WSAENOTSOCK;
    }
    return socket ?? null;
  }

  /** The error a test wants of `step`, if any. */
  failure(step: string, lpErrno: spi.Ref<number>): boolean {
    const code = this.options.fail[step];
    if (code === undefined) return false;
    lpErrno.value = code;
    return true;
  }

  /** The link of a socket breaks, as when the peer's process dies. */
  lose(socket: FakeSanSocket, error: number): void {
    if (socket.lost !== 0) return;
    socket.lost = error;
    for (const posted of socket.posted.splice(0)) {
      this.complete(socket, posted.overlapped, error, 0);
    }
  }

  complete(
    socket: FakeSanSocket,
    overlapped: spi.WSAOVERLAPPED,
    error: number,
    bytes: number,
  ): void {
    if ((overlapped.hEvent & 1) === 0) {
      this.table.lpWPUCompleteOverlappedRequest(
        socket.handle,
        overlapped,
        error,
        bytes,
        spi.ref(0),
      );
      return;
    }
    overlapped.InternalHigh = bytes;
    overlapped.OffsetHigh = error;
    overlapped.Internal = spi.statusOfWsaError(error);
  }

  open(address: number, port: number): FakeSanSocket | null {
    const errno = spi.ref(0);
    const handle = this.table.lpWPUCreateSocketHandle(0, this.#next, errno);
    if (handle === spi.INVALID_SOCKET) return null;
    const socket = makeSocket(this.#next, handle, address, port);
    this.#next += 202;
    this.sockets.set(socket.descriptor, socket);
    return socket;
  }

  /** Moves what has arrived into posted receives, one message to one receive. */
  deliver(socket: FakeSanSocket): void {
    const ended: { overlapped: spi.WSAOVERLAPPED; bytes: number }[] = [];
    while (socket.inbox.length > 0 && socket.posted.length > 0) {
      const message = socket.inbox.shift() as Message;
      const posted = socket.posted.shift() as FakeSanSocket['posted'][number];
      posted.memory.set(message);
      ended.push({ overlapped: posted.overlapped, bytes: message.length });
    }
    if (this.options.reversed) ended.reverse();
    for (const { overlapped, bytes } of ended) this.complete(socket, overlapped, 0, bytes);
  }

  #procedures(): Partial<spi.WSPProcTable> {
    return {
      lpWSPCleanup: () => {
        this.log.push('WSPCleanup');
        this.startCount--;
        return 0;
      },
      lpWSPGetQOSByName: (_s, _name, _qos, lpErrno) => {
        lpErrno.value = spi.WSAEOPNOTSUPP;
        return false;
      },
      lpWSPDuplicateSocket: (_s, _process, _info, lpErrno) => spi.fail(lpErrno, spi.WSAEOPNOTSUPP),
      lpWSPSocket: (af, type, protocol, _info, _g, flags, lpErrno) => {
        this.log.push(`WSPSocket(${af},${type},${protocol},${flags})`);
        if (this.failure('WSPSocket', lpErrno)) return spi.INVALID_SOCKET;
        return this.open(0, 0)?.descriptor ?? spi.INVALID_SOCKET;
      },
      lpWSPIoctl: (
        _s,
        code,
        input,
        _cbIn,
        output,
        cbOut,
        lpcb,
        _ov,
        _routine,
        _thread,
        lpErrno,
      ) => {
        if (this.failure('WSPIoctl', lpErrno)) return spi.SOCKET_ERROR;
        if (code === spi.SIO_ADDRESS_LIST_QUERY && !spi.isExtensionFunctionPointer(output)) {
          this.log.push('SIO_ADDRESS_LIST_QUERY');
          const list = [spi.sockaddrIn(this.address, 0)];
          return spi.answerAddressList(list, output, cbOut, lpcb, lpErrno);
        }
        if (input === null || !spi.isExtensionFunctionPointer(output)) {
          return spi.fail(lpErrno, spi.WSAEINVAL);
        }
        const guid = spi.guidText(input);
        const entry = spi.SAN_EXTENSIONS.find((extension) => extension.guid === guid);
        if (entry === undefined) return spi.fail(lpErrno, spi.WSAEINVAL);
        this.log.push(`extension ${entry.name}`);
        const extension = sanExtensions(this)[entry.name];
        if (extension === null) return spi.fail(lpErrno, spi.WSAEOPNOTSUPP);
        output.value = extension;
        if (lpcb !== null) lpcb.value = spi.EXTENSION_FUNCTION_POINTER_BYTES;
        return 0;
      },
      lpWSPGetSockOpt: (_s, _level, name, value, length, lpErrno) => {
        const { maxMessageSize, maxRdmaSize, threshold } = this.options;
        const known = new Map<number, number | null>([
          [spi.SO_MAX_MSG_SIZE, maxMessageSize],
          [spi.SO_MAX_RDMA_SIZE, maxRdmaSize],
          [spi.SO_RDMA_THRESHOLD_SIZE, threshold],
        ]).get(name);
        if (known === null || known === undefined || value === null || length === null) {
          return spi.fail(lpErrno, spi.WSAENOPROTOOPT);
        }
        value.set([known & 255, (known >>> 8) & 255, (known >>> 16) & 255, known >>> 24]);
        length.value = 4;
        return 0;
      },
      lpWSPSetSockOpt: (_s, level, name, value, length, lpErrno) => {
        this.log.push(`WSPSetSockOpt(${level},${name},${String(value?.[0])},${length})`);
        return this.failure('WSPSetSockOpt', lpErrno) ? spi.SOCKET_ERROR : 0;
      },
    };
  }
}
