// Promise twins of the functions that block, for code that lives in an event loop: the same
// parameters and results, but a failure rejects with WsaError, since a last error would not survive
// an await. They drive progress and wait for the host's wake-up; there is no timer here. SO_SNDTIMEO
// and SO_RCVTIMEO are those of blocking calls and have no part in them. Source: design.md "Fixed".

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
import type { Nanos } from '../../runtime/clock.js';
import { milliseconds } from '../../runtime/clock.js';
import type { ApiState } from './last-error.js';
import { checkWait, EventWait } from './waits.js';

type Name = Uint8Array | null;
type Length = Ref<number> | null;

export interface PromiseFunctions {
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

/** How often progress is driven before the event loop gets a turn although there is work. */
const POLLS_PER_TURN = 64;

export function promiseFunctions(state: ApiState, cleanup: () => number): PromiseFunctions {
  const { core } = state.theSwitch;
  const { spi } = state;
  const { progress, clock, wakeup } = core.environment;

  /** Whether `done` came to hold before the deadline. */
  const until = async (done: () => boolean, deadline: Nanos = Infinity): Promise<boolean> => {
    const waiting = { at: deadline };
    core.promiseDeadlines.add(waiting);
    try {
      for (let polls = 1; !done(); polls++) {
        if (progress.poll() > 0 && polls % POLLS_PER_TURN !== 0) continue;
        if (done()) return true;
        if (deadline !== Infinity && clock.now() >= deadline) return false;
        await wakeup();
      }
      return true;
    } finally {
      core.promiseDeadlines.delete(waiting);
    }
  };

  const check = (call: string): void => {
    if (!state.isStarted()) throw new WsaError(wsa.WSANOTINITIALISED, { call });
  };

  /** Calls a function of the SPI that then answers WSAEWOULDBLOCK instead of waiting. */
  const withoutWaiting = (call: (errno: Ref<number>) => number, errno: Ref<number>): number => {
    spi.neverBlock = true;
    try {
      return call(errno);
    } finally {
      spi.neverBlock = false;
    }
  };

  const accept = async (
    s: number,
    addr: Name,
    addrlen: Length,
    condition: LPCONDITIONPROC | null,
    data: DWORD_PTR,
  ): Promise<number> => {
    check('accept');
    const errno = ws.ref(0);
    for (;;) {
      const accepted = withoutWaiting(
        (e) => spi.WSPAccept(s, addr, addrlen, condition, data, e),
        errno,
      );
      if (accepted !== ws.INVALID_SOCKET) return accepted;
      if (errno.value !== wsa.WSAEWOULDBLOCK) throw new WsaError(errno.value, { call: 'accept' });
      const socket = core.sockets.find(s);
      const ready = (): boolean =>
        core.sockets.find(s) !== socket ||
        socket?.listener?.hasArrival === true ||
        ((socket?.tcpReady ?? 0) & ws.FD_ACCEPT) !== 0;
      await until(ready);
    }
  };

  /** An overlapped call of the twin's own. Resolves with the result's bytes and flags. */
  const overlapped = async (
    call: string,
    start: (ov: WSAOVERLAPPED, errno: Ref<number>) => number,
  ): Promise<{ bytes: number; flags: number }> => {
    check(call);
    const ov = ws.createOverlapped();
    const errno = ws.ref(0);
    spi.transfers.forceOverlapped = true;
    let failed: boolean;
    try {
      failed = start(ov, errno) !== 0;
    } finally {
      spi.transfers.forceOverlapped = false;
    }
    if (failed && errno.value !== wsa.WSA_IO_PENDING) throw new WsaError(errno.value, { call });
    await until(() => ov.Internal !== WSS_OPERATION_IN_PROGRESS);
    if (ov.OffsetHigh !== 0) throw new WsaError(ov.OffsetHigh, { call });
    return { bytes: ov.InternalHigh, flags: ov.Offset };
  };

  const WSASend: PromiseFunctions['WSASend'] = async (s, lpBuffers, count, lpBytes, dwFlags) => {
    const { bytes } = await overlapped('WSASend', (ov, errno) =>
      spi.transfers.send(s, lpBuffers, count, lpBytes, dwFlags, ov, null, errno),
    );
    if (lpBytes !== null) lpBytes.value = bytes;
    return 0;
  };

  const WSARecv: PromiseFunctions['WSARecv'] = async (s, lpBuffers, count, lpBytes, lpFlags) => {
    const { bytes, flags } = await overlapped('WSARecv', (ov, errno) =>
      spi.transfers.receive(s, lpBuffers, count, lpBytes, lpFlags, ov, null, errno),
    );
    if (lpBytes !== null) lpBytes.value = bytes;
    lpFlags.value = flags;
    return 0;
  };

  return {
    WSASend,
    WSARecv,
    WSAAccept: accept,
    accept: (s, addr, addrlen) => accept(s, addr, addrlen, null, null),
    async connect(s, name, namelen) {
      check('connect');
      const errno = ws.ref(0);
      const connecting = (e: Ref<number>): number =>
        spi.WSPConnect(s, name, namelen, null, null, null, null, e);
      if (withoutWaiting(connecting, errno) === 0) return 0;
      if (errno.value !== wsa.WSAEWOULDBLOCK) throw new WsaError(errno.value, { call: 'connect' });
      const attempt = core.sockets.find(s)?.attempt ?? null;
      if (attempt === null) throw new WsaError(wsa.WSAENOTSOCK, { call: 'connect' });
      await until(attempt.isDone);
      if (attempt.error !== 0) throw new WsaError(attempt.error, { call: 'connect' });
      return 0;
    },
    async send(s, buf, len, flags) {
      const sent = ws.ref(0);
      await WSASend(s, [{ len, buf }], 1, sent, flags);
      return sent.value;
    },
    async recv(s, buf, len, flags) {
      const received = ws.ref(0);
      await WSARecv(s, [{ len, buf }], 1, received, ws.ref(flags));
      return received.value;
    },
    async WSAGetOverlappedResult(s, lpOverlapped, lpcbTransfer, fWait, lpdwFlags) {
      const call = 'WSAGetOverlappedResult';
      check(call);
      if (fWait) await until(() => lpOverlapped.Internal !== WSS_OPERATION_IN_PROGRESS);
      const errno = ws.ref(0);
      if (spi.WSPGetOverlappedResult(s, lpOverlapped, lpcbTransfer, false, lpdwFlags, errno))
        return true;
      throw new WsaError(errno.value, { call });
    },
    async WSAWaitForMultipleEvents(cEvents, lphEvents, fWaitAll, dwTimeout, fAlertable) {
      const call = 'WSAWaitForMultipleEvents';
      check(call);
      const error = checkWait(core.events, cEvents, lphEvents, fWaitAll);
      if (error !== 0) throw new WsaError(error, { call });
      const wait = new EventWait(core.events, core.apcs);
      wait.count = cEvents;
      wait.handles = lphEvents;
      wait.all = fWaitAll;
      wait.alertable = fAlertable;
      const isInfinite = dwTimeout === ws.WSA_INFINITE;
      await until(wait.isDone, isInfinite ? Infinity : clock.now() + milliseconds(dwTimeout));
      const index = wait.signalled();
      if (index >= 0) return ws.WSA_WAIT_EVENT_0 + index;
      if (fAlertable && core.apcs.run() > 0) return ws.WSA_WAIT_IO_COMPLETION;
      return ws.WSA_WAIT_TIMEOUT;
    },
    async WSACleanup() {
      check('WSACleanup');
      if (state.startCount === 1) {
        state.theSwitch.closeAll();
        await until(() => state.theSwitch.isQuiet, clock.now() + state.theSwitch.stopNanosMax);
      }
      return cleanup();
    },
  };
}
