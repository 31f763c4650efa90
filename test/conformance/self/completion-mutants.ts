// Mutants of completion and of messages: what happens to a WSAOVERLAPPED, an upcall, a WSABUF array.

import * as spi from '../../../provider/spi/index.js';
import { broken, HastyOverlapped, withError } from './broken.js';
import type { Mutant } from './mutant.js';

const COMPLETING = 'completing-data-transfer-requests';
const TRANSFERRING = 'transferring-data-on-a-san';
const CLOSING = 'closing-a-san-socket';

/** The first send of a provider waits for the next poll, and reads its arguments only then. */
function lateSend(inner: spi.SanProcTable): Partial<spi.SanProcTable> {
  let held: (() => void) | null = null;
  return {
    lpWSPSend: (...parameters) => {
      const [, , , , , overlapped, , , errno] = parameters;
      if (overlapped === null || held !== null) return inner.lpWSPSend(...parameters);
      overlapped.Internal = spi.WSS_OPERATION_IN_PROGRESS;
      held = () => void inner.lpWSPSend(...parameters);
      return spi.fail(errno, spi.WSA_IO_PENDING);
    },
    lpWSPGetOverlappedResult: (...parameters) => {
      const act = held;
      held = null;
      act?.();
      return inner.lpWSPGetOverlappedResult(...parameters);
    },
  };
}

/** Gives the inner provider another overlapped for each of the caller's. */
function swapped(
  inner: spi.SanProcTable,
  make: (real: spi.WSAOVERLAPPED) => spi.WSAOVERLAPPED,
): Partial<spi.SanProcTable> {
  const known = new Map<spi.WSAOVERLAPPED, spi.WSAOVERLAPPED>();
  const swap = (real: spi.WSAOVERLAPPED | null): spi.WSAOVERLAPPED | null => {
    if (real === null || (real.hEvent & 1) === 0) return real;
    const made = make(real);
    known.set(real, made);
    return made;
  };
  return {
    lpWSPSend: (s, buffers, count, bytes, flags, ov, routine, thread, errno) =>
      inner.lpWSPSend(s, buffers, count, bytes, flags, swap(ov), routine, thread, errno),
    lpWSPRecv: (s, buffers, count, bytes, flags, ov, routine, thread, errno) =>
      inner.lpWSPRecv(s, buffers, count, bytes, flags, swap(ov), routine, thread, errno),
    lpWSPGetOverlappedResult: (s, ov, ...rest) =>
      inner.lpWSPGetOverlappedResult(s, ov === null ? null : (known.get(ov) ?? ov), ...rest),
  };
}

export const completionMutants: readonly Mutant[] = [
  {
    name: 'completed-twice',
    source: 'OVL-16: exactly one completion',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        upcalls: (outer) => ({
          lpWPUCompleteOverlappedRequest: (...parameters) => {
            outer.lpWPUCompleteOverlappedRequest(...parameters);
            return outer.lpWPUCompleteOverlappedRequest(...parameters);
          },
        }),
      })),
    },
    caughtBy: { cases: [`${COMPLETING}/notified`], stops: ['COMPLETED_TWICE'] },
  },
  {
    name: 'completed-never',
    source: 'OVL-06: the upcall is the only sign of a notified operation',
    change: {
      kind: 'provider',
      wrap: broken(() => ({ upcalls: () => ({ lpWPUCompleteOverlappedRequest: () => 0 }) })),
    },
    caughtBy: {
      cases: [`${COMPLETING}/notified`, `${CLOSING}/own-side`],
      stops: ['NEVER_COMPLETED'],
    },
  },
  {
    name: 'low-bit-ignored',
    source: 'OVL-05: the low bit of hEvent taken for a part of the handle',
    change: { kind: 'provider', wrap: broken(() => lowBitIgnored()) },
    caughtBy: { cases: [`${COMPLETING}/polled`], stops: ['NOTIFIED_SUPPRESSED'] },
  },
  {
    name: 'low-bit-error-lost',
    source: 'field-evidence 0.3, 7: errors of low-bit operations are never told',
    change: { kind: 'provider', wrap: broken(() => ({ procedures: forgetsErrors })) },
    caughtBy: {
      cases: [`${COMPLETING}/polled-failure`, `${CLOSING}/own-side`],
      stops: ['NEVER_COMPLETED'],
    },
  },
  {
    name: 'internal-written-first',
    source: 'OVL-11; field-evidence 6, S6: the length must be there before anyone looks',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: (inner) => swapped(inner, (real) => new HastyOverlapped(real)),
      })),
    },
    caughtBy: { cases: [`${COMPLETING}/internal-last`], stops: ['PUBLISHED_EARLY'] },
  },
  {
    name: 'upcall-with-own-descriptor',
    source: 'COMP-07: two handles for each socket; upcalls with the wrong one fail',
    change: { kind: 'provider', wrap: broken(() => ({ upcalls: namesByDescriptor })) },
    caughtBy: { cases: [`${COMPLETING}/notified`], stops: ['DESCRIPTOR_IN_UPCALL'] },
  },
  {
    name: 'flush-reports-bytes',
    source: 'OVL-18; field-evidence 0.2: flushed operations are forced to length 0',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        upcalls: (outer) => ({
          lpWPUCompleteOverlappedRequest: (s, overlapped, error, bytes, errno) =>
            outer.lpWPUCompleteOverlappedRequest(
              s,
              overlapped,
              error,
              error === 0 ? bytes : 64,
              errno,
            ),
        }),
      })),
    },
    caughtBy: { cases: [`${COMPLETING}/notified-failure`], stops: ['BYTES_ON_FAILURE'] },
  },
  {
    name: 'abort-reported-as-success',
    source: 'field-evidence 0.2: the answer of duplication given at an ordinary close',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        upcalls: (outer) => ({
          lpWPUCompleteOverlappedRequest: (s, overlapped, error, bytes, errno) =>
            outer.lpWPUCompleteOverlappedRequest(
              s,
              overlapped,
              error === spi.WSA_OPERATION_ABORTED ? 0 : error,
              bytes,
              errno,
            ),
        }),
      })),
    },
    caughtBy: { cases: [`${CLOSING}/own-side`] },
  },
  {
    name: 'result-true-for-invalid-socket',
    source: 'field-evidence 0.3, 1: SOCKET_ERROR returned from a BOOL function is TRUE',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: ({ lpWSPGetOverlappedResult: result }) => ({
          lpWSPGetOverlappedResult: (s, ...rest) =>
            s === spi.INVALID_SOCKET ? (-1 as unknown as boolean) : result(s, ...rest),
        }),
      })),
    },
    caughtBy: { cases: [`${CLOSING}/late-calls`], stops: ['RETURN_VALUE'] },
  },
  {
    name: 'result-one-byte-short',
    source: 'GOR-02: an off-by-one in the count',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: ({ lpWSPGetOverlappedResult: result }) => ({
          lpWSPGetOverlappedResult: (s, overlapped, bytes, ...rest) => {
            const isDone = result(s, overlapped, bytes, ...rest);
            if (isDone && bytes !== null) bytes.value--;
            return isDone;
          },
        }),
      })),
    },
    caughtBy: { cases: [`${COMPLETING}/polled`], stops: ['RESULT_MISMATCH'] },
  },
  {
    name: 'count-written-while-pending',
    source: 'WSPSEND-06: the count is left alone by a pending operation',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: ({ lpWSPRecv: receive }) => ({
          lpWSPRecv: (s, buffers, count, bytes, ...rest) => {
            if (bytes !== null) bytes.value = 0;
            return receive(s, buffers, count, bytes, ...rest);
          },
        }),
      })),
    },
    caughtBy: { cases: [`${TRANSFERRING}/count`], stops: ['COUNT_WRITTEN_WHILE_PENDING'] },
  },
  {
    name: 'array-kept-by-reference',
    source: 'WSPSEND-03 and section 19, 3: "capture the pointer to the array" taken literally',
    change: { kind: 'provider', wrap: broken(() => ({ procedures: lateSend })) },
    caughtBy: {
      // The kit notices too, but not through the verifier's copies.
      under: [`${TRANSFERRING}/array-captured`],
      stops: ['BUFFER_ARRAY_READ_LATE'],
    },
  },
  {
    name: 'gather-reversed',
    source: 'WSPSEND-04: array order within a call',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: ({ lpWSPSend: send }) => ({
          lpWSPSend: (s, buffers, ...rest) => send(s, buffers?.toReversed() ?? null, ...rest),
        }),
      })),
    },
    caughtBy: { cases: [`${TRANSFERRING}/gather`], stops: ['DATA_CHANGED'] },
  },
  {
    name: 'full-queue-would-block',
    source: 'WSPSEND-13: WSAEWOULDBLOCK is no code of WSPSend',
    change: {
      kind: 'provider',
      wrap: broken(() => ({ procedures: sendError(spi.WSAENOBUFS, spi.WSAEWOULDBLOCK) })),
    },
    caughtBy: { cases: [`${TRANSFERRING}/queue-full`], stops: ['FORBIDDEN_ERROR'] },
  },
  {
    name: 'peer-reset-as-netreset',
    source: 'WSPSEND-13: a provider does not report WSAENETRESET',
    change: {
      kind: 'provider',
      wrap: broken(() => ({ procedures: sendError(spi.WSAECONNRESET, spi.WSAENETRESET) })),
    },
    caughtBy: { cases: [`${CLOSING}/sticky`], stops: ['FORBIDDEN_ERROR'] },
  },
  {
    name: 'error-not-sticky',
    source: 'CLOSE-07: every call after the end of the connection fails with its stored error',
    change: {
      kind: 'provider',
      wrap: broken(() => ({ procedures: sendError(spi.WSAECONNRESET, spi.WSAENOTCONN) })),
    },
    caughtBy: { cases: [`${CLOSING}/sticky`, 'calls-in-every-state/WSPSend-peer-closed'] },
  },
];

function sendError(
  from: number,
  to: number,
): (inner: spi.SanProcTable) => Partial<spi.SanProcTable> {
  return ({ lpWSPSend }) => ({ lpWSPSend: withError(lpWSPSend, from, to) });
}

/** Tells polled operations by upcall as well. */
function lowBitIgnored(): ReturnType<Parameters<typeof broken>[0]> {
  let handle = 0;
  let upcalls: spi.WSPUpcallTableEx | null = null;
  return {
    upcalls: (outer) => {
      upcalls = outer;
      return {
        lpWPUCreateSocketHandle: (...parameters) => {
          handle = outer.lpWPUCreateSocketHandle(...parameters);
          return handle;
        },
      };
    },
    procedures: ({ lpWSPGetOverlappedResult: result }) => ({
      lpWSPGetOverlappedResult: (s, overlapped, bytes, ...rest) => {
        const isDone = result(s, overlapped, bytes, ...rest);
        if (isDone && overlapped !== null && bytes !== null) {
          upcalls?.lpWPUCompleteOverlappedRequest(handle, overlapped, 0, bytes.value, spi.ref(0));
        }
        return isDone;
      },
    }),
  };
}

/** A polled operation that failed stays in progress for ever. */
function forgetsErrors(inner: spi.SanProcTable): Partial<spi.SanProcTable> {
  return swapped(inner, (real) => {
    let error = 0;
    const hidden = { ...real };
    Object.defineProperties(hidden, {
      OffsetHigh: { get: () => error, set: (value: number) => void (error = value) },
      Internal: {
        get: () => real.Internal,
        set: (value: number) => void (real.Internal = error === 0 ? value : real.Internal),
      },
      InternalHigh: {
        get: () => real.InternalHigh,
        set: (value: number) => void (real.InternalHigh = value),
      },
    });
    return hidden;
  });
}

/** The context that the provider gave is its descriptor. */
function namesByDescriptor(outer: spi.WSPUpcallTableEx): Partial<spi.WSPUpcallTableEx> {
  const descriptors = new Map<number, number>();
  return {
    lpWPUCreateSocketHandle: (entry, context, errno) => {
      const handle = outer.lpWPUCreateSocketHandle(entry, context, errno);
      descriptors.set(handle, Number(context));
      return handle;
    },
    lpWPUCompleteOverlappedRequest: (s, ...rest) =>
      outer.lpWPUCompleteOverlappedRequest(descriptors.get(s) ?? s, ...rest),
  };
}
