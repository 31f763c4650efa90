// Mutants of the switch: what a careless switch would do, put between the real one and its provider, or into
// its accounting. Caught by the simulation, with these seeds. Sources: docs/session-protocol.md and the
// clauses named.

import * as spi from '../../../provider/spi/index.js';
import { Credits } from '../../../switch/session/credits.js';
import type { Breakage } from './broken.js';
import { broken } from './broken.js';
import type { Mutant } from './mutant.js';

/** What a message has in front of its payload. */
const HEADER_BYTES = 20;

type Send = spi.SanProcTable['lpWSPSend'];

/** A switch that changes some of its sends on their way out. */
function sending(change: (call: Parameters<Send>, send: Send) => number): Mutant['change'] {
  return calling(() => ({
    procedures: (inner) => ({ lpWSPSend: (...call) => change(call, inner.lpWSPSend) }),
  }));
}

function calling(make: () => Breakage): Mutant['change'] {
  return { kind: 'caller', wrap: broken(make) };
}

/** Replaces one member of a class of the switch while a mutant runs. */
function patching<T extends object>(
  prototype: T,
  member: keyof T,
  descriptor: PropertyDescriptor,
): Mutant['change'] {
  return {
    kind: 'patch',
    apply: () => {
      const before = Object.getOwnPropertyDescriptor(prototype, member);
      if (before === undefined) throw new Error(`there is no ${String(member)} to replace`);
      Object.defineProperty(prototype, member, { configurable: true, ...descriptor });
      return () => {
        Object.defineProperty(prototype, member, before);
      };
    },
  };
}

const posted = original('posted');
const freed = original('freed');

/** What a member does that a mutant stands in for. */
function original(member: 'posted' | 'freed'): (this: Credits, bytes: number) => void {
  return Object.getOwnPropertyDescriptor(Credits.prototype, member)?.value as never;
}

export const switchMutants: readonly Mutant[] = [
  {
    name: 'payload-copied-wrong',
    source: 'XFER-02: an off-by-one in the copy into the message',
    change: sending((call, send) => {
      const [, buffers] = call;
      const message = buffers?.[0]?.buf;
      if (message && message.length > HEADER_BYTES + 64) message[HEADER_BYTES + 50] = 0x5a;
      return send(...call);
    }),
    caughtBy: { seeds: [1, 2, 4] },
  },
  {
    name: 'every-ninth-message-lost',
    source: 'XFER-05: a message is sent once, and only once',
    change: calling(() => {
      let count = 0;
      return {
        procedures: (inner) => ({
          lpWSPSend: (...call) => {
            if (++count % 9 !== 0) return inner.lpWSPSend(...call);
            const [, , , , , overlapped, , , errno] = call;
            if (overlapped === null) return inner.lpWSPSend(...call);
            overlapped.InternalHigh = 0;
            overlapped.Internal = 0;
            return spi.fail(errno, spi.WSA_IO_PENDING);
          },
        }),
      };
    }),
    caughtBy: { seeds: [6, 11, 19] },
  },
  {
    name: 'receives-not-posted-again',
    source: 'XFER-05: the buffer of a consumed message is posted again',
    change: calling(() => {
      let count = 0;
      return {
        procedures: (inner) => ({
          lpWSPRecv: (...call) => {
            const [, , , , , , , , errno] = call;
            return ++count % 17 === 0
              ? spi.fail(errno, spi.WSA_IO_PENDING)
              : inner.lpWSPRecv(...call);
          },
        }),
      };
    }),
    caughtBy: { seeds: [1, 8, 11] },
  },
  {
    name: 'reads-one-byte-further',
    source: 'RDMA-03, XFER-16: the rest begins behind the initial portion',
    change: calling(() => ({
      extensions: {
        WSPRdmaRead:
          (inner) =>
          (s, buffers, count, descriptor, length, offset, ...rest) =>
            inner(s, buffers, count, descriptor, length, Math.max(0, offset - 1) + 1 + 1, ...rest),
      },
    })),
    caughtBy: { seeds: [5, 8, 19] },
  },
  {
    name: 'read-taken-for-done-at-once',
    source: 'XFER-09: "done" follows the read; field-evidence 6, S7',
    change: calling(() => ({
      extensions: {
        WSPRdmaRead: () => (_s, buffers, _n, _d, _l, _o, _c, _f, overlapped, _r, _t, errno) => {
          if (overlapped === null) return spi.fail(errno, spi.WSAEINVAL);
          overlapped.InternalHigh = (buffers ?? []).reduce((sum, { len }) => sum + len, 0);
          overlapped.Internal = 0;
          return spi.fail(errno, spi.WSA_IO_PENDING);
        },
      },
    })),
    caughtBy: { seeds: [5, 19, 30] },
  },
  {
    name: 'writes-short',
    source: 'XFER-10: all of the part that was asked for is written',
    change: calling(() => ({
      extensions: {
        WSPRdmaWrite:
          (inner) =>
          (s, buffers, ...rest) => {
            const last = buffers?.at(-1);
            if (last) last.len -= last.len > 1 ? 1 : 0;
            return inner(s, buffers, ...rest);
          },
      },
    })),
    caughtBy: { seeds: [35, 36, 41] },
  },
  {
    name: 'exposed-too-little',
    source: 'XFER-09: the descriptor covers the rest, whole',
    change: calling(() => ({
      extensions: {
        WSPRegisterRdmaMemory:
          (inner) =>
          (s, buffer, length, ...rest) =>
            inner(s, buffer, Math.max(1, length - 1), ...rest),
      },
    })),
    caughtBy: { seeds: [5, 8, 11] },
  },
  {
    name: 'credit-never-returned',
    source: 'XFER-06; docs/session-protocol.md, "Credits"',
    change: patching(Credits.prototype, 'updateDue', { get: () => false }),
    caughtBy: { seeds: [1, 11, 17] },
  },
  {
    name: 'credit-lost-now-and-then',
    source: 'XFER-06: every receive that is posted is worth one message',
    change: patching(Credits.prototype, 'posted', {
      value(this: Credits) {
        if (this.postedNow < 3 || (this.grantedTotal & 7) !== 7) posted.call(this, 0);
      },
    }),
    caughtBy: { seeds: [1, 19] },
  },
  {
    name: 'window-not-respected',
    source: 'docs/session-protocol.md, "Window": payload waits for room',
    change: patching(Credits.prototype, 'windowLeft', { get: () => 2 ** 20 }),
    caughtBy: { seeds: [49, 57, 115] },
  },
  {
    name: 'window-freed-twice',
    source: 'docs/session-protocol.md, "Window": what was read is room once',
    change: patching(Credits.prototype, 'freed', {
      value(this: Credits, bytes: number) {
        freed.call(this, bytes * 2);
      },
    }),
    caughtBy: { seeds: [5, 11, 18] },
  },
  {
    name: 'window-never-freed',
    source: 'docs/session-protocol.md, "Window": what was read is room again',
    change: patching(Credits.prototype, 'freed', { value: () => undefined }),
    caughtBy: { seeds: [57, 115] },
  },
  {
    name: 'socket-not-closed',
    source: 'CLOSE-01: the companion is closed with the connection',
    change: calling(() => ({ procedures: () => ({ lpWSPCloseSocket: () => 0 }) })),
    caughtBy: { seeds: [5, 24, 25] },
  },
];
