// Transfers in the short forms that cases want: post, wait, and look at how it ended. Outcomes are asked
// for with WSPGetOverlappedResult, as a switch prefers to. It must not judge outcomes.
// Sources: OVL-01 to OVL-12, GOR-01 to GOR-05, RDMA-01 to RDMA-05.

import { ConformanceFailure } from './check.js';
import type { Outcome, Side, Started } from './side.js';
import { UNWRITTEN } from './side.js';
import * as spi from '../../provider/spi/index.js';

/** The low bit of an event handle: nobody is told, the outcome is asked for. [OVL-05] */
export const SUPPRESSED = 1;

export interface TransferOptions {
  /** hEvent. Default: an event with its low bit set. */
  readonly hEvent?: number;
  readonly flags?: number;
}

export interface RdmaTarget {
  readonly descriptor: Uint8Array;
  readonly offset?: number;
  /** dwTargetDescriptorLength, if not that of the descriptor. */
  readonly length?: number;
}

/** An overlapped with a fresh event of this side; tagged unless told otherwise. */
export function overlappedOf(side: Side, options: TransferOptions = {}): spi.WSAOVERLAPPED {
  return spi.createOverlapped(options.hEvent ?? side.upcalls.createEvent() | SUPPRESSED);
}

export function send(
  side: Side,
  s: number,
  buffers: readonly Uint8Array[],
  options: TransferOptions = {},
): Started {
  const overlapped = overlappedOf(side, options);
  const count = spi.ref(UNWRITTEN);
  const list = buffers.map((buf) => ({ len: buf.length, buf }));
  const { procs, errno } = side;
  const flags = options.flags ?? 0;
  const returned = procs.lpWSPSend(
    s,
    list,
    list.length,
    count,
    flags,
    overlapped,
    null,
    null,
    errno,
  );
  const code = side.code('WSPSend', returned);
  scribble(list);
  return { code, overlapped, count };
}

export function receive(
  side: Side,
  s: number,
  buffers: readonly Uint8Array[],
  options: TransferOptions = {},
): Started {
  const overlapped = overlappedOf(side, options);
  const count = spi.ref(UNWRITTEN);
  const list = buffers.map((buf) => ({ len: buf.length, buf }));
  const { procs, errno } = side;
  const flags = spi.ref(options.flags ?? 0);
  const returned = procs.lpWSPRecv(
    s,
    list,
    list.length,
    count,
    flags,
    overlapped,
    null,
    null,
    errno,
  );
  const code = side.code('WSPRecv', returned);
  scribble(list);
  return { code, overlapped, count };
}

export interface RdmaBuffer {
  readonly buf: Uint8Array;
  readonly handle: number;
}

/** WSPRdmaWrite or WSPRdmaRead. Throws NotSupported when the provider cannot read. */
export function rdma(
  side: Side,
  direction: 'write' | 'read',
  s: number,
  buffers: readonly RdmaBuffer[],
  target: RdmaTarget,
  options: TransferOptions = {},
): Started {
  const call = direction === 'write' ? side.extensions.WSPRdmaWrite : side.rdmaRead;
  const overlapped = overlappedOf(side, options);
  const count = spi.ref(UNWRITTEN);
  const list = buffers.map(({ buf, handle }) => ({ len: buf.length, buf, handle }));
  const returned = call(
    s,
    list,
    list.length,
    target.descriptor,
    target.length ?? target.descriptor.length,
    target.offset ?? 0,
    count,
    0,
    overlapped,
    null,
    null,
    side.errno,
  );
  const code = side.code(direction === 'write' ? 'WSPRdmaWrite' : 'WSPRdmaRead', returned);
  scribble(list);
  return { code, overlapped, count };
}

/** The array is the caller's again: whoever looks at it now reads nonsense. [WSPSEND-03] */
function scribble(list: spi.WSABUF[]): void {
  for (const entry of list) {
    entry.len = 0x7fffffff;
    entry.buf = null;
  }
}

/** WSPGetOverlappedResult without waiting; null while the operation is pending. */
export function poll(side: Side, s: number, overlapped: spi.WSAOVERLAPPED): Outcome | null {
  return ask(side, s, overlapped, false);
}

/** One WSPGetOverlappedResult; null for WSA_IO_INCOMPLETE. */
export function ask(
  side: Side,
  s: number,
  overlapped: spi.WSAOVERLAPPED | null,
  fWait: boolean,
): Outcome | null {
  const bytes = spi.ref(UNWRITTEN);
  const flags = spi.ref(0);
  const { procs, errno } = side;
  const call = 'WSPGetOverlappedResult';
  const returned: unknown = procs.lpWSPGetOverlappedResult(
    s,
    overlapped,
    bytes,
    fWait,
    flags,
    errno,
  );
  if (typeof returned !== 'boolean') {
    throw new ConformanceFailure(`${call} returns`, 'a BOOL', typeof returned);
  }
  const error = side.code(call, returned ? 0 : spi.SOCKET_ERROR);
  if (error === spi.WSA_IO_INCOMPLETE) return null;
  if (error !== 0 && bytes.value !== UNWRITTEN) {
    throw new ConformanceFailure(`${call} fails`, 'lpcbTransfer left alone', 'it is written');
  }
  return { error, bytes: error === 0 ? bytes.value : 0, flags: flags.value };
}

/** Drives until the operation is over, and says how. A failed start is its own outcome. */
export function finish(side: Side, s: number, started: Started, what: string): Outcome {
  if (started.code !== 0 && started.code !== spi.WSA_IO_PENDING) {
    return { error: started.code, bytes: 0, flags: 0 };
  }
  let outcome: Outcome | null = null;
  const { overlapped } = started;
  side.until(() => {
    outcome ??= poll(side, s, overlapped);
    return outcome !== null;
  }, `${what} completes`);
  return outcome ?? { error: spi.WSA_IO_INCOMPLETE, bytes: 0, flags: 0 };
}

/** Drives until the WSAOVERLAPPED says that the operation is over; for sockets that are closed. */
export function finished(side: Side, started: Started, what: string): Outcome {
  const { overlapped } = started;
  side.until(() => overlapped.Internal !== spi.WSS_OPERATION_IN_PROGRESS, `${what} completes`);
  const { InternalHigh: bytes, Offset: flags, OffsetHigh: error } = overlapped;
  return { error, bytes, flags };
}
