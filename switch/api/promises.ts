// Promise twins of the functions that block, for code that lives in an event loop: the same
// parameters and results, but a failure rejects with WsaError, since a last error would not survive
// an await. Here are those of connections, streams and events. Sources: docs/winsock-api.md; W4, W8.1.

import * as wsa from '../../provider/spi/error-codes.js';
import { WsaError } from '../../provider/spi/errors.js';
import { WSS_OPERATION_IN_PROGRESS } from '../../provider/spi/ws2spi.js';
import type {
  DWORD_PTR,
  LPCONDITIONPROC,
  Ref,
  WSABUF,
  WSAOVERLAPPED,
} from '../../provider/spi/winsock2.js';
import * as ws from '../../provider/spi/winsock2.js';
import type { SwitchCore } from '../core.js';
import type { Listener } from '../listen.js';
import type { ApiState } from './last-error.js';
import type { CompletionPromises } from './promise-completion.js';
import { completionPromises } from './promise-completion.js';
import type { MessagePromises } from './promise-messages.js';
import { messagePromises } from './promise-messages.js';
import { PromiseRunner } from './promise-runner.js';
import { checkWait, EventWait, waitDeadline } from './waits.js';

type Name = Uint8Array | null;
type Length = Ref<number> | null;

export interface PromiseFunctions extends MessagePromises, CompletionPromises {
  accept(s: number, addr: Name, addrlen: Length): Promise<number>;
  WSAAccept(
    s: number,
    addr: Name,
    addrlen: Length,
    lpfnCondition: LPCONDITIONPROC | null,
    dwCallbackData: DWORD_PTR,
  ): Promise<number>;
  connect(s: number, name: Name, namelen: number): Promise<number>;
  /** Resolves with the number of bytes, all of them. */
  send(s: number, buf: Uint8Array | null, len: number, flags: number): Promise<number>;
  /** Resolves with the number of bytes; 0 is the end of the stream. */
  recv(s: number, buf: Uint8Array | null, len: number, flags: number): Promise<number>;
  WSASend(
    s: number,
    lpBuffers: readonly WSABUF[] | null,
    dwBufferCount: number,
    lpNumberOfBytesSent: Length,
    dwFlags: number,
  ): Promise<number>;
  WSARecv(
    s: number,
    lpBuffers: readonly WSABUF[] | null,
    dwBufferCount: number,
    lpNumberOfBytesRecvd: Length,
    lpFlags: Ref<number>,
  ): Promise<number>;
  WSAGetOverlappedResult(
    s: number,
    lpOverlapped: WSAOVERLAPPED,
    lpcbTransfer: Ref<number>,
    fWait: boolean,
    lpdwFlags: Ref<number>,
  ): Promise<boolean>;
  WSAWaitForMultipleEvents(
    cEvents: number,
    lphEvents: readonly number[],
    fWaitAll: boolean,
    dwTimeout: number,
    fAlertable: boolean,
  ): Promise<number>;
  /** WSACleanup, with the wait for data under way left to the event loop. */
  WSACleanup(): Promise<number>;
}

export function promiseFunctions(state: ApiState, cleanup: () => number): PromiseFunctions {
  const runner = new PromiseRunner(state);
  const twins = new Twins(runner);
  const accept = twins.accept.bind(twins);
  return {
    ...messagePromises(runner),
    ...completionPromises(runner),
    WSAAccept: accept,
    accept: (s, addr, addrlen) => accept(s, addr, addrlen, null, null),
    connect: (s, name, namelen) => twins.connect(s, name, namelen),
    WSASend: (s, buffers, count, bytes, flags) => twins.send(s, buffers, count, bytes, flags),
    WSARecv: (s, buffers, count, bytes, flags) => twins.receive(s, buffers, count, bytes, flags),
    async send(s, buf, len, flags) {
      const sent = ws.ref(0);
      await twins.send(s, [{ len, buf }], 1, sent, flags);
      return sent.value;
    },
    async recv(s, buf, len, flags) {
      const received = ws.ref(0);
      await twins.receive(s, [{ len, buf }], 1, received, ws.ref(flags));
      return received.value;
    },
    WSAGetOverlappedResult: (s, overlapped, bytes, fWait, flags) =>
      twins.result(s, overlapped, bytes, fWait, flags),
    WSAWaitForMultipleEvents: (count, events, all, timeout, alertable) =>
      twins.wait(count, events, all, timeout, alertable),
    async WSACleanup() {
      await twins.quiet();
      return cleanup();
    },
  };
}

/** The twins of connections, streams and waits. */
class Twins {
  readonly #runner: PromiseRunner;
  readonly #state: ApiState;
  readonly #core: SwitchCore;

  constructor(runner: PromiseRunner) {
    this.#runner = runner;
    this.#state = runner.state;
    this.#core = runner.core;
  }

  async accept(
    s: number,
    addr: Name,
    addrlen: Length,
    condition: LPCONDITIONPROC | null,
    data: DWORD_PTR,
  ): Promise<number> {
    this.#runner.check('accept');
    const { spi } = this.#state;
    const { sockets } = this.#core;
    const errno = ws.ref(0);
    let waiting: Listener | null = null;
    try {
      for (;;) {
        const accepted = this.#runner.withoutWaiting(() =>
          spi.WSPAccept(s, addr, addrlen, condition, data, errno),
        );
        if (accepted !== ws.INVALID_SOCKET) return accepted;
        if (errno.value !== wsa.WSAEWOULDBLOCK) throw new WsaError(errno.value, { call: 'accept' });
        const socket = sockets.find(s);
        const listener = socket?.listener ?? null;
        if (waiting === null) listener?.acceptWaits();
        waiting ??= listener;
        await this.#runner.until(
          () =>
            socket === null ||
            sockets.find(s) !== socket ||
            listener?.hasArrival === true ||
            (socket.tcpReady & ws.FD_ACCEPT) !== 0,
        );
      }
    } finally {
      waiting?.acceptEnded();
    }
  }

  async connect(s: number, name: Name, namelen: number): Promise<number> {
    const call = 'connect';
    this.#runner.check(call);
    const { spi } = this.#state;
    const errno = ws.ref(0);
    const result = this.#runner.withoutWaiting(() =>
      spi.WSPConnect(s, name, namelen, null, null, null, null, errno),
    );
    if (result === 0) return 0;
    if (errno.value !== wsa.WSAEWOULDBLOCK) throw new WsaError(errno.value, { call });
    const attempt = this.#core.sockets.find(s)?.attempt ?? null;
    if (attempt === null) throw new WsaError(wsa.WSAENOTSOCK, { call });
    await this.#runner.until(attempt.isDone);
    if (attempt.error !== 0) throw new WsaError(attempt.error, { call });
    return 0;
  }

  async send(
    s: number,
    buffers: readonly WSABUF[] | null,
    count: number,
    lpBytes: Length,
    flags: number,
  ): Promise<number> {
    const { transfers } = this.#state.spi;
    const { bytes } = await this.#runner.overlapped('WSASend', (ov, errno) =>
      transfers.send(s, buffers, count, lpBytes, flags, ov, null, errno),
    );
    if (lpBytes !== null) lpBytes.value = bytes;
    return 0;
  }

  async receive(
    s: number,
    buffers: readonly WSABUF[] | null,
    count: number,
    lpBytes: Length,
    lpFlags: Ref<number>,
  ): Promise<number> {
    const { transfers } = this.#state.spi;
    const { bytes, flags } = await this.#runner.overlapped('WSARecv', (ov, errno) =>
      transfers.receive(s, buffers, count, lpBytes, lpFlags, ov, null, errno),
    );
    if (lpBytes !== null) lpBytes.value = bytes;
    lpFlags.value = flags;
    return 0;
  }

  async result(
    s: number,
    overlapped: WSAOVERLAPPED,
    lpBytes: Ref<number>,
    fWait: boolean,
    lpFlags: Ref<number>,
  ): Promise<boolean> {
    const call = 'WSAGetOverlappedResult';
    this.#runner.check(call);
    if (fWait) await this.#runner.until(() => overlapped.Internal !== WSS_OPERATION_IN_PROGRESS);
    const errno = ws.ref(0);
    const { spi } = this.#state;
    if (spi.WSPGetOverlappedResult(s, overlapped, lpBytes, false, lpFlags, errno)) return true;
    throw new WsaError(errno.value, { call });
  }

  async wait(
    count: number,
    handles: readonly number[],
    all: boolean,
    timeoutMs: number,
    alertable: boolean,
  ): Promise<number> {
    const call = 'WSAWaitForMultipleEvents';
    this.#runner.check(call);
    const { apcs } = this.#core;
    const error = checkWait(this.#core, count, handles, all);
    if (error !== 0) throw new WsaError(error, { call });
    const wait = new EventWait(this.#core);
    wait.count = count;
    wait.handles = handles;
    wait.all = all;
    wait.alertable = alertable;
    await this.#runner.until(wait.isDone, waitDeadline(this.#core, timeoutMs));
    const index = wait.signalled();
    if (index >= 0) return ws.WSA_WAIT_EVENT_0 + index;
    if (alertable && apcs.run() > 0) return ws.WSA_WAIT_IO_COMPLETION;
    return ws.WSA_WAIT_TIMEOUT;
  }

  /** Before the last WSACleanup: closes everything and waits for what is under way, bounded. */
  async quiet(): Promise<void> {
    this.#runner.check('WSACleanup');
    const { theSwitch, startCount } = this.#state;
    if (startCount > 1) return;
    theSwitch.closeAll();
    const { clock } = this.#core.environment;
    await this.#runner.until(() => theSwitch.isQuiet, clock.now() + theSwitch.stopNanosMax);
  }
}
