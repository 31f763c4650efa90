// How the promise twins wait: progress as far as it goes, then the wake-up of the host. There is no
// timer here. SO_SNDTIMEO and SO_RCVTIMEO are those of blocking calls and have no part in it.

import * as wsa from '../../provider/spi/error-codes.js';
import { WsaError } from '../../provider/spi/errors.js';
import type { Ref, WSAOVERLAPPED } from '../../provider/spi/winsock2.js';
import * as ws from '../../provider/spi/winsock2.js';
import { WSS_OPERATION_IN_PROGRESS } from '../../provider/spi/ws2spi.js';
import type { Nanos } from '../../runtime/clock.js';
import type { SwitchCore } from '../core.js';
import { outcomeOf } from '../overlapped-result.js';
import type { ApiState } from './last-error.js';

/** How often progress is driven before the event loop gets a turn although there is work. */
const POLLS_PER_TURN = 64;

export class PromiseRunner {
  readonly state: ApiState;
  readonly core: SwitchCore;

  constructor(state: ApiState) {
    this.state = state;
    this.core = state.theSwitch.core;
  }

  /** Throws WsaError before WSAStartup. */
  check(call: string): void {
    if (!this.state.isStarted()) throw new WsaError(wsa.WSANOTINITIALISED, { call });
  }

  /** A call of the SPI that then answers WSAEWOULDBLOCK instead of waiting. */
  withoutWaiting(call: () => number): number {
    const { spi } = this.state;
    spi.neverBlock = true;
    try {
      return call();
    } finally {
      spi.neverBlock = false;
    }
  }

  /** An overlapped call of the twin's own; its bytes and flags. */
  async overlapped(
    call: string,
    start: (ov: WSAOVERLAPPED, errno: Ref<number>) => number,
  ): Promise<{ bytes: number; flags: number }> {
    this.check(call);
    // The tag keeps an operation that is the twin's own from the socket's completion port.
    const ov = ws.createOverlapped(1);
    const errno = ws.ref(0);
    const { transfers } = this.state.spi;
    transfers.forceOverlapped = true;
    let failed: boolean;
    try {
      failed = start(ov, errno) !== 0;
    } finally {
      transfers.forceOverlapped = false;
    }
    if (failed && errno.value !== wsa.WSA_IO_PENDING) throw new WsaError(errno.value, { call });
    await this.until(() => ov.Internal !== WSS_OPERATION_IN_PROGRESS);
    if (ov.Internal !== 0) throw new WsaError(outcomeOf(ov), { call });
    return { bytes: ov.InternalHigh, flags: ov.Offset };
  }

  /** Whether `done` came to hold before the deadline. */
  async until(done: () => boolean, deadline: Nanos = Infinity): Promise<boolean> {
    const { promiseDeadlines, environment } = this.core;
    const { progress, clock, wakeup } = environment;
    const waiting = { at: deadline };
    promiseDeadlines.add(waiting);
    try {
      for (let polls = 1; !done(); polls++) {
        if (progress.poll() > 0 && polls % POLLS_PER_TURN !== 0) continue;
        if (done()) return true;
        if (deadline !== Infinity && clock.now() >= deadline) return false;
        await wakeup();
      }
      return true;
    } finally {
      promiseDeadlines.delete(waiting);
    }
  }
}
