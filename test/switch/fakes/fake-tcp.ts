// The base provider for tests of the switch: TCP streams in memory between the hosts of one
// FakeTcpNetwork, nonblocking and overlapped, moved by doWork only. It has what the switch uses of a
// base provider and no more. Source: wsd-spec COMP-01, LSN-01, ACC-01; winsock-spec 4, 8.1, 10.

import * as spi from '../../../provider/spi/index.js';
import type { Agent } from '../../../runtime/progress.js';

interface Pending {
  readonly memory: readonly spi.WSABUF[];
  readonly overlapped: spi.WSAOVERLAPPED;
}

export interface FakeTcpSocket {
  readonly descriptor: number;
  address: number;
  port: number;
  peer: FakeTcpSocket | null;
  state: 'open' | 'connecting' | 'connected' | 'listening';
  backlog: number;
  readonly arrivals: FakeTcpSocket[];
  inbox: Uint8Array;
  ended: boolean;
  reset: boolean;
  sendShut: boolean;
  event: number;
  mask: number;
  events: number;
  readonly errors: number[];
  readonly receives: Pending[];
  readonly options: Map<string, Uint8Array>;
  /** Bytes the peer may have unread before a send would block. */
  room: number;
}

const BUFFER_BYTES = 65_536;

export class FakeTcpNetwork {
  readonly hosts: FakeTcp[] = [];
}

export class FakeTcp implements Agent {
  readonly role = 'fake tcp';
  readonly log: string[] = [];
  readonly sockets = new Map<number, FakeTcpSocket>();
  readonly deferred: (() => void)[] = [];
  readonly service: spi.ServiceProvider;
  readonly address: number;
  readonly #network: FakeTcpNetwork;
  startError = 0;
  /** SIO_ADDRESS_LIST_CHANGE under way. */
  readonly changeRequests: { readonly s: number; readonly overlapped: spi.WSAOVERLAPPED }[] = [];
  #upcalls: spi.WSPUpcallTableEx | null = null;
  #next = 4;
  #port = 50_000;

  constructor(network: FakeTcpNetwork, address: string) {
    this.#network = network;
    this.address = spi.ipv4Number(address) ?? 0;
    network.hosts.push(this);
    this.service = {
      name: 'fake tcp',
      providerId: spi.TCPIP_PROVIDER_ID,
      capabilities: {
        kind: 'base',
        rdmaRead: false,
        registrationCacheCallback: false,
        qos: false,
        maxMessageSize: null,
        maxRdmaSize: null,
        rdmaThresholdSize: null,
        duplicate: false,
      },
      WSPStartupEx: (_version, _data, _info, upcalls, table) => {
        this.log.push('WSPStartupEx');
        if (this.startError !== 0) return this.startError;
        this.#upcalls = upcalls;
        Object.assign(table ?? {}, this.#connections(), this.#transfers(), this.#rest());
        return 0;
      },
    };
  }

  doWork(): number {
    const tasks = this.deferred.splice(0);
    for (const task of tasks) task();
    return tasks.length;
  }

  /** The addresses of the machine have changed, as far as anybody asked to be told. */
  changeAddresses(error = 0): void {
    for (const { overlapped } of this.changeRequests.splice(0)) {
      overlapped.Internal = spi.statusOfWsaError(error);
      this.#upcalls?.lpWPUSetEvent(overlapped.hEvent, spi.ref(0));
    }
  }

  /** The host's process is gone: whoever was connected with it sees a reset. */
  die(): void {
    this.#network.hosts.splice(this.#network.hosts.indexOf(this), 1);
    const peers = [...this.sockets.values()].flatMap(({ peer }) => peer ?? []);
    this.sockets.clear();
    this.deferred.length = 0;
    for (const peer of peers) {
      peer.reset = true;
      this.#arrive(peer);
      this.#occur(peer, spi.FD_CLOSE_BIT, spi.WSAECONNRESET);
    }
  }

  #find(s: number, lpErrno: spi.Ref<number>): FakeTcpSocket | null {
    const socket = this.sockets.get(s);
    if (socket === undefined) lpErrno.value = spi.WSAENOTSOCK;
    return socket ?? null;
  }

  #open(): FakeTcpSocket {
    const socket: FakeTcpSocket = {
      descriptor: this.#next,
      address: 0,
      port: 0,
      peer: null,
      state: 'open',
      backlog: 0,
      arrivals: [],
      inbox: new Uint8Array(0),
      ended: false,
      reset: false,
      sendShut: false,
      event: 0,
      mask: 0,
      events: 0,
      errors: new Array<number>(spi.FD_MAX_EVENTS).fill(0),
      receives: [],
      options: new Map(),
      room: BUFFER_BYTES,
    };
    this.#next += 4;
    this.sockets.set(socket.descriptor, socket);
    return socket;
  }

  #occur(socket: FakeTcpSocket, bit: number, error = 0): void {
    const host = this.#hostOf(socket);
    socket.events |= 1 << bit;
    socket.errors[bit] = error;
    if ((socket.mask & (1 << bit)) !== 0) host.#upcalls?.lpWPUSetEvent(socket.event, spi.ref(0));
  }

  #hostOf(socket: FakeTcpSocket): FakeTcp {
    const found = this.#network.hosts.find(
      (host) => host.sockets.get(socket.descriptor) === socket,
    );
    return found ?? this;
  }

  #connect(socket: FakeTcpSocket, address: number, port: number): void {
    if (socket.state !== 'connecting') return;
    const host = this.#network.hosts.find((one) => one.address === address);
    const listener = [...(host?.sockets.values() ?? [])].find(
      (one) => one.state === 'listening' && one.port === port,
    );
    if (host === undefined || listener === undefined) {
      socket.state = 'open';
      this.#occur(socket, spi.FD_CONNECT_BIT, host ? spi.WSAECONNREFUSED : spi.WSAETIMEDOUT);
      return;
    }
    const accepted = host.#open();
    accepted.address = address;
    accepted.port = port;
    accepted.peer = socket;
    accepted.state = 'connected';
    socket.peer = accepted;
    socket.state = 'connected';
    listener.arrivals.push(accepted);
    host.#occur(listener, spi.FD_ACCEPT_BIT);
    this.#occur(socket, spi.FD_CONNECT_BIT);
    this.#occur(socket, spi.FD_WRITE_BIT);
  }

  /** Bytes into the first `count` buffers; how many. */
  #take(socket: FakeTcpSocket, buffers: readonly spi.WSABUF[], peek: boolean): number {
    let taken = 0;
    for (const { buf, len } of buffers) {
      if (buf === null) continue;
      const part = socket.inbox.subarray(taken, taken + len);
      buf.set(part);
      taken += part.length;
    }
    if (!peek) socket.inbox = socket.inbox.slice(taken);
    if (!peek && taken > 0 && socket.peer !== null) this.#occur(socket.peer, spi.FD_WRITE_BIT);
    if (socket.inbox.length > 0) this.#occur(socket, spi.FD_READ_BIT);
    return taken;
  }

  #finish(
    socket: FakeTcpSocket,
    overlapped: spi.WSAOVERLAPPED,
    error: number,
    bytes: number,
  ): void {
    const host = this.#hostOf(socket);
    overlapped.InternalHigh = bytes;
    overlapped.Internal = spi.statusOfWsaError(error);
    if (overlapped.hEvent !== 0) host.#upcalls?.lpWPUSetEvent(overlapped.hEvent, spi.ref(0));
  }

  #arrive(socket: FakeTcpSocket): void {
    while (socket.receives.length > 0) {
      if (socket.inbox.length === 0 && !socket.ended && !socket.reset) break;
      const { memory, overlapped } = socket.receives.shift() as Pending;
      if (socket.reset) this.#finish(socket, overlapped, spi.WSAECONNRESET, 0);
      else this.#finish(socket, overlapped, 0, this.#take(socket, memory, false));
    }
    if (socket.inbox.length > 0) this.#occur(socket, spi.FD_READ_BIT);
  }

  #connections(): Partial<spi.WSPProcTable> {
    return {
      lpWSPSocket: (af, type, protocol) => {
        this.log.push(`WSPSocket(${af},${type},${protocol})`);
        return this.#open().descriptor;
      },
      lpWSPBind: (s, name, length, lpErrno) => {
        const socket = this.#find(s, lpErrno);
        if (socket === null) return spi.SOCKET_ERROR;
        if (name === null || length < 16) return spi.fail(lpErrno, spi.WSAEFAULT);
        if (socket.port !== 0) return spi.fail(lpErrno, spi.WSAEINVAL);
        const port = spi.sockaddrPort(name);
        const isUsed = [...this.sockets.values()].some((one) => one.port === port && port !== 0);
        if (isUsed) return spi.fail(lpErrno, spi.WSAEADDRINUSE);
        socket.address = spi.sockaddrInAddress(name);
        socket.port = port === 0 ? this.#port++ : port;
        this.log.push(`WSPBind(${spi.ipv4Text(socket.address)}:${port})`);
        return 0;
      },
      lpWSPListen: (s, backlog, lpErrno) => {
        this.log.push('WSPListen');
        const socket = this.#find(s, lpErrno);
        if (socket === null) return spi.SOCKET_ERROR;
        socket.state = 'listening';
        socket.backlog = backlog;
        return 0;
      },
      lpWSPAccept: (s, addr, addrlen, _condition, _data, lpErrno) => {
        const socket = this.#find(s, lpErrno);
        const accepted = socket?.arrivals.shift();
        if (accepted === undefined) {
          lpErrno.value = spi.WSAEWOULDBLOCK;
          return spi.INVALID_SOCKET;
        }
        if (socket !== null && socket.arrivals.length > 0) this.#occur(socket, spi.FD_ACCEPT_BIT);
        const { peer } = accepted;
        if (addr !== null && addrlen !== null && peer !== null) {
          addr.set(spi.sockaddrIn(peer.address, peer.port));
          addrlen.value = 16;
        }
        return accepted.descriptor;
      },
      lpWSPConnect: (s, name, _length, _caller, _callee, _sqos, _gqos, lpErrno) => {
        const socket = this.#find(s, lpErrno);
        if (socket === null || name === null) return spi.SOCKET_ERROR;
        const address = spi.sockaddrInAddress(name);
        const port = spi.sockaddrPort(name);
        this.log.push(`WSPConnect(${spi.ipv4Text(address)}:${port})`);
        if (socket.port === 0) socket.port = this.#port++;
        if (socket.address === 0) socket.address = this.address;
        socket.state = 'connecting';
        this.deferred.push(() => {
          this.#connect(socket, address, port);
        });
        return spi.fail(lpErrno, spi.WSAEWOULDBLOCK);
      },
      lpWSPShutdown: (s, how, lpErrno) => {
        this.log.push(`WSPShutdown(${how})`);
        const socket = this.#find(s, lpErrno);
        if (socket === null) return spi.SOCKET_ERROR;
        if (how !== spi.SD_RECEIVE) this.#end(socket);
        return 0;
      },
      lpWSPCloseSocket: (s, lpErrno) => {
        this.log.push('WSPCloseSocket');
        const socket = this.#find(s, lpErrno);
        if (socket === null) return spi.SOCKET_ERROR;
        this.#end(socket);
        for (const { overlapped } of socket.receives.splice(0)) {
          this.#finish(socket, overlapped, spi.WSA_OPERATION_ABORTED, 0);
        }
        for (const waiting of socket.arrivals.splice(0)) this.sockets.delete(waiting.descriptor);
        this.sockets.delete(s);
        return 0;
      },
    };
  }

  /** Sends end by themselves, in the next turn. */
  readonly #cancel: spi.LPFN_WSPCANCELIO = (s, overlapped, _thread, lpErrno) => {
    const socket = this.#find(s, lpErrno);
    if (socket === null) return spi.SOCKET_ERROR;
    const { receives } = socket;
    const chosen = receives.filter((one) => overlapped === null || one.overlapped === overlapped);
    for (const one of chosen) {
      receives.splice(receives.indexOf(one), 1);
      this.#finish(socket, one.overlapped, spi.WSA_OPERATION_ABORTED, 0);
    }
    return 0;
  };

  #end(socket: FakeTcpSocket): void {
    const { peer } = socket;
    socket.sendShut = true;
    if (peer === null || peer.ended) return;
    // What was sent is on its way, also when nobody is left behind it.
    this.#hostOf(peer).deferred.push(() => {
      peer.ended = true;
      this.#arrive(peer);
      this.#occur(peer, spi.FD_CLOSE_BIT);
    });
  }

  #transfers(): Partial<spi.WSPProcTable> {
    return {
      lpWSPSend: (s, buffers, count, bytes, _flags, overlapped, _routine, _thread, lpErrno) => {
        const socket = this.#find(s, lpErrno);
        if (socket === null) return spi.SOCKET_ERROR;
        const { peer } = socket;
        if (peer === null) return spi.fail(lpErrno, spi.WSAENOTCONN);
        if (socket.sendShut) return spi.fail(lpErrno, spi.WSAESHUTDOWN);
        const parts = (buffers ?? []).slice(0, count);
        const data = Buffer.concat(parts.map(({ buf, len }) => (buf ?? NONE).subarray(0, len)));
        const room = overlapped === null ? socket.room - peer.inbox.length : Infinity;
        if (room <= 0 && data.length > 0) return spi.fail(lpErrno, spi.WSAEWOULDBLOCK);
        const sent = data.subarray(0, Math.min(room, data.length));
        peer.inbox = Buffer.concat([peer.inbox, sent]);
        this.deferred.push(() => {
          this.#arrive(peer);
        });
        if (overlapped === null) {
          if (bytes !== null) bytes.value = sent.length;
          return 0;
        }
        overlapped.Internal = spi.WSS_OPERATION_IN_PROGRESS;
        this.deferred.push(() => {
          this.#finish(socket, overlapped, 0, sent.length);
        });
        return spi.fail(lpErrno, spi.WSA_IO_PENDING);
      },
      lpWSPRecv: (s, buffers, count, bytes, flags, overlapped, _routine, _thread, lpErrno) => {
        const socket = this.#find(s, lpErrno);
        if (socket === null || bytes === null || flags === null) return spi.SOCKET_ERROR;
        if (socket.reset) return spi.fail(lpErrno, spi.WSAECONNRESET);
        const parts = (buffers ?? []).slice(0, count);
        const peek = (flags.value & spi.MSG_PEEK) !== 0;
        // What is pending was there first, and has what came for it at its next turn.
        const isNext = socket.receives.length === 0 || peek;
        if (isNext && (socket.inbox.length > 0 || socket.ended)) {
          bytes.value = this.#take(socket, parts, peek);
          flags.value = 0;
          return 0;
        }
        if (overlapped === null) return spi.fail(lpErrno, spi.WSAEWOULDBLOCK);
        overlapped.Internal = spi.WSS_OPERATION_IN_PROGRESS;
        socket.receives.push({ memory: parts, overlapped });
        return spi.fail(lpErrno, spi.WSA_IO_PENDING);
      },
      lpWSPGetOverlappedResult: (_s, overlapped, bytes, _wait, flags, lpErrno) => {
        if (overlapped === null || overlapped.Internal === spi.WSS_OPERATION_IN_PROGRESS) {
          lpErrno.value = spi.WSA_IO_INCOMPLETE;
          return false;
        }
        lpErrno.value = spi.wsaErrorOfStatus(overlapped.Internal);
        if (lpErrno.value !== 0) return false;
        if (bytes !== null) bytes.value = overlapped.InternalHigh;
        if (flags !== null) flags.value = 0;
        return true;
      },
    };
  }

  #rest(): Partial<spi.WSPProcTable> {
    return {
      lpWSPCleanup: () => {
        this.log.push('WSPCleanup');
        return 0;
      },
      lpWSPEventSelect: (s, event, mask, lpErrno) => {
        const socket = this.#find(s, lpErrno);
        if (socket === null) return spi.SOCKET_ERROR;
        socket.event = event;
        socket.mask = mask;
        if (socket.state === 'connected') this.#occur(socket, spi.FD_WRITE_BIT);
        if ((socket.events & mask) !== 0) this.#upcalls?.lpWPUSetEvent(event, lpErrno);
        return 0;
      },
      lpWSPEnumNetworkEvents: (s, event, out, lpErrno) => {
        const socket = this.#find(s, lpErrno);
        if (socket === null || out === null) return spi.SOCKET_ERROR;
        out.lNetworkEvents = socket.events & socket.mask;
        socket.errors.forEach((error, bit) => (out.iErrorCode[bit] = error));
        socket.events &= ~socket.mask;
        if (event !== 0) this.#upcalls?.lpWPUResetEvent(event, lpErrno);
        return 0;
      },
      lpWSPSelect: (_nfds, reads, writes, _excepts, _timeout, lpErrno) => {
        const keep = (set: spi.fd_set | null, isReady: (one: FakeTcpSocket) => boolean): number => {
          if (set === null) return 0;
          const asked = set.fd_array.slice(0, set.fd_count);
          set.fd_array = asked.filter((s) => {
            const socket = this.#find(s, lpErrno);
            return socket !== null && isReady(socket);
          });
          return (set.fd_count = set.fd_array.length);
        };
        const readable = keep(reads, ({ inbox, ended, reset, arrivals }) => {
          return inbox.length + arrivals.length > 0 || ended || reset;
        });
        const hasRoom = ({ peer, room }: FakeTcpSocket): boolean =>
          (peer?.inbox.length ?? room) < room;
        return readable + keep(writes, hasRoom);
      },
      lpWSPGetSockName: (s, name, length, lpErrno) => {
        const socket = this.#find(s, lpErrno);
        if (socket === null || name === null || length === null) return spi.SOCKET_ERROR;
        if (socket.port === 0) return spi.fail(lpErrno, spi.WSAEINVAL);
        name.set(spi.sockaddrIn(socket.address, socket.port));
        length.value = 16;
        return 0;
      },
      lpWSPGetPeerName: (s, name, length, lpErrno) => {
        const socket = this.#find(s, lpErrno);
        if (!socket?.peer || name === null || length === null) {
          return spi.fail(lpErrno, spi.WSAENOTCONN);
        }
        name.set(spi.sockaddrIn(socket.peer.address, socket.peer.port));
        length.value = 16;
        return 0;
      },
      lpWSPSetSockOpt: (s, level, name, value, _length, lpErrno) => {
        const socket = this.#find(s, lpErrno);
        if (socket === null || value === null) return spi.SOCKET_ERROR;
        socket.options.set(`${level}/${name}`, value.slice());
        return 0;
      },
      lpWSPGetSockOpt: (s, level, name, value, length, lpErrno) => {
        const socket = this.#find(s, lpErrno);
        const stored = socket?.options.get(`${level}/${name}`) ?? new Uint8Array(4);
        if (value === null || length === null) return spi.fail(lpErrno, spi.WSAEFAULT);
        value.set(stored);
        length.value = stored.length;
        return 0;
      },
      lpWSPIoctl: (s, code, input, _cbIn, out, cbOut, lpcb, overlapped, _r, _thread, lpErrno) => {
        if (code === spi.SIO_ADDRESS_LIST_CHANGE && overlapped !== null) {
          overlapped.Internal = spi.WSS_OPERATION_IN_PROGRESS;
          this.changeRequests.push({ s, overlapped });
          return spi.fail(lpErrno, spi.WSA_IO_PENDING);
        }
        const isCancel = input !== null && spi.isGuid(input, spi.CANCELIO_GUID);
        if (spi.isExtensionFunctionPointer(out) && isCancel) {
          out.value = this.#cancel;
          return 0;
        }
        if (code !== spi.SIO_ADDRESS_LIST_QUERY || spi.isExtensionFunctionPointer(out)) {
          return spi.fail(lpErrno, spi.WSAEOPNOTSUPP);
        }
        this.log.push('SIO_ADDRESS_LIST_QUERY');
        return spi.answerAddressList([spi.sockaddrIn(this.address, 0)], out, cbOut, lpcb, lpErrno);
      },
    };
  }
}

const NONE = new Uint8Array(0);
