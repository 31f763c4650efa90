// Random histories of transfers, closes and failures: whatever happens, every operation that was
// started ends exactly once, in the way that its hEvent asks for, and the handle goes back last. A
// failure prints its seed: give it to fc.assert as `examples: [[seed]]`.

import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { Prng } from '../../../runtime/prng.js';
import { WcStatus } from '../../../provider/nic/verbs.js';
import * as spi from '../../../provider/spi/index.js';
import type { Pair, TestHost } from './harness.js';
import { connectedPair, settle, shutDown, underEveryProfile } from './harness.js';

/** What a transfer may say, and nothing else: there is no WSAEWOULDBLOCK, WSAESHUTDOWN and so on. */
const REFUSALS = [
  spi.WSAENETDOWN,
  spi.WSAENOBUFS,
  spi.WSAENOTCONN,
  spi.WSAENOTSOCK,
  spi.WSAECONNABORTED,
  spi.WSAECONNRESET,
];
const ENDS = [0, spi.WSAECONNABORTED, spi.WSAECONNRESET, spi.WSA_OPERATION_ABORTED];
const STEPS = 60;
const UNTOUCHED = -77;

interface Started {
  readonly overlapped: spi.WSAOVERLAPPED;
  readonly isTagged: boolean;
  readonly isPending: boolean;
}

/** One end of the connection: starts operations and keeps account of them. */
class Actor {
  readonly started: Started[] = [];
  readonly #memory = new Uint8Array(64);
  readonly #handle: number;
  readonly #target: Uint8Array;

  constructor(
    readonly host: TestHost,
    readonly s: number,
    peer: { readonly host: TestHost; readonly s: number },
  ) {
    this.#handle = host.register(s, this.#memory);
    this.#target = peer.host.expose(peer.s, new Uint8Array(64));
  }

  /** Starts something, however that ends. */
  act(random: Prng): void {
    const isTagged = random.chance(1, 2);
    const overlapped = spi.createOverlapped(isTagged ? 9 : 8);
    overlapped.Internal = UNTOUCHED;
    const part = this.#memory.subarray(0, random.between(1, 64));
    const { host, s } = this;
    host.errno.value = 0;
    const result = random.chance(1, 2)
      ? host.receive(s, overlapped, this.#memory)
      : random.chance(1, 2)
        ? host.send(s, overlapped, part)
        : this.#rdma(overlapped, part, random.chance(1, 2));
    expect(result).toBe(spi.SOCKET_ERROR);
    const isPending = host.errno.value === spi.WSA_IO_PENDING;
    // Not started: nothing was written, and nothing will be. [OVL-16]
    if (!isPending) {
      expect(overlapped.Internal).toBe(UNTOUCHED);
      expect(REFUSALS).toContain(host.errno.value);
    }
    this.started.push({ overlapped, isTagged, isPending });
  }

  #rdma(overlapped: spi.WSAOVERLAPPED, buf: Uint8Array, isRead: boolean): number {
    const { errno, extensions } = this.host;
    const { WSPRdmaRead, WSPRdmaWrite } = extensions;
    const transfer = isRead ? (WSPRdmaRead ?? WSPRdmaWrite) : WSPRdmaWrite;
    const list = [{ len: buf.length, buf, handle: this.#handle }];
    const { length } = this.#target;
    return transfer(
      this.s,
      list,
      1,
      this.#target,
      length,
      0,
      null,
      0,
      overlapped,
      null,
      null,
      errno,
    );
  }

  /** Every operation ended as often as it was started: once, or never. */
  checkEnd(): void {
    const told = this.host.upcalls.completions().map(({ overlapped }) => overlapped);
    for (const { overlapped, isTagged, isPending } of this.started) {
      const upcalls = told.filter((one) => one === overlapped).length;
      expect(upcalls).toBe(isPending && !isTagged ? 1 : 0);
      if (!isPending) expect(overlapped.Internal).toBe(UNTOUCHED);
      else expect(overlapped.Internal).not.toBe(spi.WSS_OPERATION_IN_PROGRESS);
      if (isPending && isTagged) expect(overlapped.Internal).toBe(0);
      if (isPending) expect(ENDS).toContain(overlapped.OffsetHigh);
    }
    expect(this.host.upcalls.names().at(-1)).toBe('close');
  }
}

/** What ends the connection, if the history gets that far. */
const ENDINGS: readonly ((pair: Pair) => void)[] = [
  ({ left, a }) => {
    left.close(a);
  },
  ({ right, b }) => {
    right.close(b);
  },
  ({ right }) => {
    right.nic.die();
  },
  ({ left }) => {
    left.nic.nextStatus = WcStatus.REM_ACCESS_ERR;
  },
  ({ left }) => {
    left.nic.endAll('device-removed');
  },
];

underEveryProfile('a random history', (profile) => {
  it('ends every operation exactly once, as its hEvent asks, and the handle last [OVL-05 OVL-06 OVL-13 OVL-15 OVL-16 CLOSE-01 CLOSE-03 WSPSEND-12 WSPSEND-13 WSPSEND-14 WSPSEND-21 W7.7 W7.9]', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (seed) => {
        const random = new Prng(seed);
        const pair = connectedPair({ profile });
        const { left, right, a, b } = pair;
        const near = new Actor(left, a, { host: right, s: b });
        const far = new Actor(right, b, { host: left, s: a });
        const endAt = random.below(STEPS);
        const ending = ENDINGS[random.below(ENDINGS.length)];
        let isOver = false;
        for (let step = 0; step < STEPS && !isOver; step++) {
          if (step === endAt) ending?.(pair);
          (random.chance(1, 2) ? near : far).act(random);
          if (random.chance(1, 4)) (random.chance(1, 2) ? left : right).loop.poll();
          isOver = left.upcalls.names().includes('close');
        }
        settle(left, right);
        shutDown(left, right);
        near.checkEnd();
        far.checkEnd();
      }),
      { numRuns: 60 },
    );
  });
});
