// How outcomes reach a WSAOVERLAPPED and the switch, and what failures are called.

import { describe, expect, it } from 'vitest';
import { WcStatus } from '../../../provider/nic/verbs.js';
import * as spi from '../../../provider/spi/index.js';
import type { HostOptions, Pair } from './harness.js';
import { connectedPair, settle, shutDown, underEveryProfile } from './harness.js';

interface Buffers extends Pair {
  readonly buffer: Uint8Array;
}

/** A pair with 64 registered bytes on both sides. */
function pairWithBuffers(options: HostOptions): Buffers {
  const pair = connectedPair(options);
  const buffer = new Uint8Array(64);
  pair.left.register(pair.a, buffer);
  pair.right.register(pair.b, buffer);
  return { ...pair, buffer };
}

underEveryProfile('an operation whose hEvent is untagged', (profile) => {
  it('is completed by one upcall, which finds the length stored already [OVL-06 OVL-09 WSPSEND-14 UPC-04]', () => {
    const { left, right, a, b, buffer } = pairWithBuffers({ profile });
    const overlapped = spi.createOverlapped(8);
    const stored: number[][] = [];
    const { table } = left.upcalls;
    const original = { ...table };
    table.lpWPUCompleteOverlappedRequest = (s, structure, error, bytes, lpErrno) => {
      const { Internal, InternalHigh, Offset, OffsetHigh } = structure;
      stored.push([Internal, InternalHigh, Offset, OffsetHigh]);
      return original.lpWPUCompleteOverlappedRequest(s, structure, error, bytes, lpErrno);
    };
    left.receive(a, overlapped, buffer);
    right.send(b, spi.createOverlapped(1), buffer.subarray(0, 5));
    settle(left, right);
    expect(stored).toEqual([[spi.WSS_OPERATION_IN_PROGRESS, 5, 0, 0]]);
    const [call] = left.upcalls.completions();
    expect(call).toMatchObject({ overlapped, error: 0, bytes: 5 });
    expect(left.upcalls.openHandles.has(call?.handle ?? 0)).toBe(true);
    expect(right.upcalls.calls).toEqual([]);
    shutDown(left, right);
  });

  it('may start the next one, and close, from inside the upcall', () => {
    const { left, right, a, b, buffer } = pairWithBuffers({ profile });
    let rounds = 0;
    left.upcalls.onComplete = ({ error }) => {
      if (error !== 0) return;
      rounds++;
      if (rounds < 4) left.send(a, spi.createOverlapped(8), buffer);
      else left.close(a);
    };
    for (let index = 0; index < 4; index++) right.receive(b, spi.createOverlapped(1), buffer);
    left.send(a, spi.createOverlapped(8), buffer);
    settle(left, right);
    expect(rounds).toBe(4);
    expect(left.upcalls.names().at(-1)).toBe('close');
    shutDown(left, right);
  });
});

underEveryProfile('an operation whose hEvent is tagged', (profile) => {
  it('is finished in its structure alone, with success and with failure [OVL-05 OVL-11 OVL-12]', () => {
    const { left, right, a, b, buffer } = pairWithBuffers({ profile });
    const good = spi.createOverlapped(8 | 1);
    const bad = spi.createOverlapped(8 | 1);
    left.receive(a, good, buffer);
    left.receive(a, bad, buffer);
    right.send(b, spi.createOverlapped(1), buffer.subarray(0, 9));
    settle(left, right);
    right.close(b);
    settle(left, right);
    expect(good).toEqual({ Internal: 0, InternalHigh: 9, Offset: 0, OffsetHigh: 0, hEvent: 9 });
    const error = profile.flushedReceiveError ?? spi.WSAECONNRESET;
    expect(bad).toMatchObject({ Internal: 0, InternalHigh: 0, OffsetHigh: error });
    expect(left.upcalls.calls).toEqual([]);
    shutDown(left, right);
  });

  it('has its own fields written and no others, hEvent never [OVL-08]', () => {
    const { left, right, a, b, buffer } = pairWithBuffers({ profile });
    const written = (hEvent: number): string[] => {
      const keys = new Set<string>();
      const overlapped = new Proxy(spi.createOverlapped(hEvent), {
        set: (target, key, value) => {
          if (!isUpcall) keys.add(String(key));
          return Reflect.set(target, key, value);
        },
      });
      left.receive(a, overlapped, buffer);
      keys.delete('Internal');
      right.send(b, spi.createOverlapped(1), buffer);
      settle(left, right);
      return [...keys].sort();
    };
    let isUpcall = false;
    const { table } = left.upcalls;
    const original = { ...table };
    table.lpWPUCompleteOverlappedRequest = (...args) => {
      isUpcall = true;
      const result = original.lpWPUCompleteOverlappedRequest(...args);
      isUpcall = false;
      return result;
    };
    // The outcome that others may read is stored by whoever publishes it: the upcall, if there is one.
    expect(written(9)).toEqual(['Internal', 'InternalHigh', 'Offset', 'OffsetHigh']);
    expect(written(8)).toEqual(['InternalHigh', 'Offset', 'OffsetHigh']);
    shutDown(left, right);
  });

  it('writes Internal last [OVL-11]', () => {
    const { left, right, a, b, buffer } = pairWithBuffers({ profile });
    const order: string[] = [];
    const overlapped = new Proxy(spi.createOverlapped(1), {
      set: (target, key, value) => {
        order.push(String(key));
        return Reflect.set(target, key, value);
      },
    });
    left.receive(a, overlapped, buffer);
    order.length = 0;
    right.send(b, spi.createOverlapped(1), buffer);
    settle(left, right);
    expect(order).toEqual(['InternalHigh', 'OffsetHigh', 'Offset', 'Internal']);
    shutDown(left, right);
  });
});

underEveryProfile('the end of a connection', (profile) => {
  function lost(
    options: HostOptions,
    end: (pair: Buffers) => void,
  ): { errors: number[]; sticky: number } {
    const pair = pairWithBuffers(options);
    const { left, right, a, buffer } = pair;
    const pending = [0, 1].map(() => {
      const overlapped = spi.createOverlapped(1);
      left.receive(a, overlapped, buffer);
      return overlapped;
    });
    end(pair);
    settle(left, right);
    const errors = pending.map((overlapped) => left.result(a, overlapped)[1]);
    left.send(a, spi.createOverlapped(1), buffer);
    const sticky = left.errno.value;
    left.receive(a, spi.createOverlapped(1), buffer);
    expect(left.errno.value).toBe(sticky);
    shutDown(left, right);
    return { errors, sticky };
  }

  const { WSAECONNABORTED, WSAECONNRESET } = spi;

  /** Two receives that were pending, and what came later. */
  function endsWith(error: number): { errors: number[]; sticky: number } {
    const flushed = profile.flushedReceiveError ?? error;
    return { errors: [flushed, flushed], sticky: error };
  }

  it('by the peer is WSAECONNRESET, for what is pending and for what comes [CLOSE-01 CLOSE-07 WSPRECV-07 WSPSEND-12 W7.10]', () => {
    const ended = lost({ profile }, ({ right, b }) => right.close(b));
    expect(ended).toEqual(endsWith(WSAECONNRESET));
  });

  it("by the peer's death is WSAECONNRESET [CLOSE-07]", () => {
    const ended = lost({ profile }, ({ right }) => right.nic.die());
    expect(ended).toEqual(endsWith(WSAECONNRESET));
  });

  it('by the loss of its own NIC is WSAECONNABORTED [CLOSE-07 ERR-04 COMP-12]', () => {
    const ended = lost({ profile }, ({ left }) => {
      left.nic.endAll('device-removed');
    });
    expect(ended).toEqual(endsWith(WSAECONNABORTED));
  });

  it('by a transport failure is WSAECONNABORTED [CLOSE-07 WSPSEND-12]', () => {
    const ended = lost({ profile }, ({ left, a, buffer }) => {
      left.nic.nextStatus = WcStatus.RETRY_EXC_ERR;
      const failed = spi.createOverlapped(1);
      left.send(a, failed, buffer);
    });
    expect(ended).toEqual(endsWith(WSAECONNABORTED));
  });

  it('is called the same when the NIC gives the reason after the flushed operations [CLOSE-01 CLOSE-07]', () => {
    const ended = lost({ profile }, ({ left, right, b }) => {
      left.nic.reportsReasonLate = true;
      right.close(b);
    });
    expect(ended).toEqual(endsWith(WSAECONNRESET));
  });

  it('lets what arrived before it be delivered', () => {
    const { left, right, a, b, buffer } = pairWithBuffers({ profile });
    const overlapped = spi.createOverlapped(1);
    left.receive(a, overlapped, buffer);
    right.send(b, spi.createOverlapped(1), buffer.subarray(0, 3));
    right.nic.progress();
    right.close(b);
    settle(left, right);
    expect(left.result(a, overlapped)).toEqual([3, 0]);
    shutDown(left, right);
  });
});

underEveryProfile('a failed operation', (profile) => {
  const failures = Object.entries(WcStatus).filter(
    ([name]) => name !== 'SUCCESS' && name !== 'WR_FLUSH_ERR',
  );

  it.each(failures)(
    'with NIC status %s is WSAECONNABORTED and 0 bytes [OVL-18 WSPSEND-12 W7.10]',
    (_name, status) => {
      const { left, right, a, b, buffer } = pairWithBuffers({ profile });
      right.receive(b, spi.createOverlapped(1), buffer);
      left.nic.nextStatus = status;
      const overlapped = spi.createOverlapped(8);
      left.send(a, overlapped, buffer);
      settle(left, right);
      expect(left.upcalls.completions()).toMatchObject([
        { overlapped, error: spi.WSAECONNABORTED, bytes: 0 },
      ]);
      shutDown(left, right);
    },
  );

  it('a message longer than its receive ends the connection', () => {
    const { left, right, a, b, buffer } = pairWithBuffers({ profile });
    const received = spi.createOverlapped(1);
    right.receive(b, received, buffer.subarray(0, 8));
    left.send(a, spi.createOverlapped(1), buffer);
    settle(left, right);
    expect(right.result(b, received)).toEqual([-1, spi.WSAECONNABORTED]);
    shutDown(left, right);
  });
});

describe('notifications', () => {
  it('come in the order of completion, or shuffled where the profile says so [WSPSEND-15 OVL-14 W7.8]', () => {
    const orderIn = (profile: spi.Profile): number[] => {
      const { left, right, a, b, buffer } = pairWithBuffers({ profile });
      for (let index = 0; index < 12; index++) {
        left.receive(a, spi.createOverlapped(8 + 4 * index), buffer);
        right.send(b, spi.createOverlapped(1), buffer);
      }
      settle(left, right);
      shutDown(left, right);
      return left.upcalls.completions().map(({ overlapped }) => overlapped.hEvent / 4 - 2);
    };
    const inOrder = Array.from({ length: 12 }, (_, index) => index);
    const { documented, hostile } = spi.PROFILES;
    expect(orderIn(documented)).toEqual(inOrder);
    const shuffled = orderIn({ ...hostile, sendQueueDepth: null, receiveQueueDepth: null });
    expect(shuffled).not.toEqual(inOrder);
    expect([...shuffled].sort((one, other) => one - other)).toEqual(inOrder);
  });
});
