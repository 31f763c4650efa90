// The four transfers and WSPGetOverlappedResult: checks what the caller asks for, watches the operation,
// and holds the answer against it. Sources: WSPSEND, WSPRECV, RDMA, GOR, OVL-13, OVL-16.

import * as wsa from '../../spi/error-codes.js';
import { errorName } from '../../spi/errors.js';
import type { Ref, WSABUF, WSAOVERLAPPED } from '../../spi/winsock2.js';
import type { LPFN_WSPRDMAWRITE, WSABUFEX } from '../../spi/ws2san.js';
import type { LPWSPGETOVERLAPPEDRESULT, LPWSPRECV, LPWSPSEND } from '../../spi/ws2spi.js';
import { checkClosed } from './calls.js';
import { end, observerOf } from './ending.js';
import type { Range } from './memory.js';
import { checksumOf } from './messages.js';
import type { OperationObserver, TransferKind } from './operation.js';
import { Operation } from './operation.js';
import type { HostShadow, SocketShadow } from './world.js';

const NAMES = { send: 'WSPSend', receive: 'WSPRecv', write: 'WSPRdmaWrite', read: 'WSPRdmaRead' };

/** The only errors of WSPSend. [WSPSEND-12, WSPSEND-13] */
const SEND_ERRORS: ReadonlySet<number> = new Set([
  wsa.WSAENETDOWN,
  wsa.WSAEFAULT,
  wsa.WSAENOBUFS,
  wsa.WSAENOTCONN,
  wsa.WSAENOTSOCK,
  wsa.WSAESHUTDOWN,
  wsa.WSAEINVAL,
  wsa.WSAECONNABORTED,
  wsa.WSAECONNRESET,
  wsa.WSA_IO_PENDING,
  wsa.WSA_OPERATION_ABORTED,
]);

/** The transfers of one host, wrapped. */
export class TransferChecks {
  readonly #observer: OperationObserver;

  constructor(private readonly host: HostShadow) {
    this.#observer = observerOf(host);
  }

  send(inner: LPWSPSEND): LPWSPSEND {
    return (s, buffers, count, bytes, flags, overlapped, routine, thread, errno) => {
      const operation = this.#begin('send', s, buffers, count, overlapped);
      if (operation === null) {
        const returned = inner(s, buffers, count, bytes, flags, overlapped, routine, thread, errno);
        return checkClosed(this.host, 'WSPSend', s, returned, errno);
      }
      if (flags !== 0 || routine !== null) this.host.stop('BAD_SEND', `dwFlags is ${flags}.`);
      const before = bytes?.value;
      const list = operation.guard(operation.buffers);
      const returned = inner(s, list, count, bytes, flags, operation, routine, thread, errno);
      return this.#posted(operation, returned, before, bytes, errno);
    };
  }

  receive(inner: LPWSPRECV): LPWSPRECV {
    return (s, buffers, count, bytes, flags, overlapped, routine, thread, errno) => {
      const operation = this.#begin('receive', s, buffers, count, overlapped);
      if (operation === null) {
        const returned = inner(s, buffers, count, bytes, flags, overlapped, routine, thread, errno);
        return checkClosed(this.host, 'WSPRecv', s, returned, errno);
      }
      const before = bytes?.value;
      const list = operation.guard(operation.buffers);
      const returned = inner(s, list, count, bytes, flags, operation, routine, thread, errno);
      return this.#posted(operation, returned, before, bytes, errno);
    };
  }

  rdma(kind: 'write' | 'read', inner: LPFN_WSPRDMAWRITE): LPFN_WSPRDMAWRITE {
    return (s, buffers, n, descriptor, length, offset, bytes, flags, ov, fn, thread, errno) => {
      const operation = this.#begin(kind, s, buffers, n, ov);
      if (operation === null) {
        const call = NAMES[kind];
        const returned = inner(
          s,
          buffers,
          n,
          descriptor,
          length,
          offset,
          bytes,
          flags,
          ov,
          fn,
          thread,
          errno,
        );
        return checkClosed(this.host, call, s, returned, errno);
      }
      operation.descriptor = descriptor?.slice(0, length) ?? null;
      operation.offset = offset;
      operation.startedAt = ++this.host.world.time;
      const before = bytes?.value;
      const list = operation.guard(operation.buffers);
      const returned = inner(
        s,
        list,
        n,
        descriptor,
        length,
        offset,
        bytes,
        flags,
        operation,
        fn,
        thread,
        errno,
      );
      return this.#posted(operation, returned, before, bytes, errno);
    };
  }

  result(inner: LPWSPGETOVERLAPPEDRESULT): LPWSPGETOVERLAPPEDRESULT {
    return (s, overlapped, bytes, fWait, flags, errno) => {
      const { host } = this;
      const operation = overlapped === null ? undefined : host.operations.get(overlapped);
      const wasOver = operation?.isOver === true;
      const before = bytes?.value;
      const given = operation ?? overlapped;
      const returned: unknown = inner(s, given, bytes, fWait, flags, errno);
      if (typeof returned !== 'boolean') {
        host.stop('RETURN_VALUE', `WSPGetOverlappedResult returned ${String(returned)}.`);
      }
      const isDone = returned === true;
      const error = isDone ? 0 : errno.value;
      if (error !== wsa.WSA_IO_INCOMPLETE) host.journal.note('WSPGetOverlappedResult', s, error);
      if (!host.sockets.has(s)) {
        const code = isDone ? 0 : -1;
        checkClosed(host, 'WSPGetOverlappedResult', s, code, errno);
      } else if (operation !== undefined) {
        this.#checkResult(operation, { isDone, error, wasOver, before, after: bytes?.value });
      }
      return isDone;
    };
  }

  /** The operation of a call that can become one, or null; checks what the caller gives. */
  #begin(
    kind: TransferKind,
    s: number,
    buffers: readonly WSABUF[] | null,
    count: number,
    overlapped: WSAOVERLAPPED | null,
  ): Operation | null {
    const { host } = this;
    const socket = host.socket(s);
    if (socket === null || overlapped === null) {
      if (socket !== null) host.stop('BAD_SEND', `${NAMES[kind]} has no overlapped.`);
      return null;
    }
    if (buffers === null || buffers.length < count) return null;
    const earlier = host.operations.get(overlapped);
    if (earlier?.isOver === false) {
      host.stop('OVERLAPPED_REUSED', `A ${earlier.kind} is using it.`);
    }
    const operation = new Operation(kind, socket, overlapped, this.#observer);
    operation.buffers = buffers.slice(0, count).map(copyOf);
    for (const { len } of operation.buffers) operation.total += len;
    operation.ranges = this.#rangesOf(operation);
    for (const range of operation.ranges) range.busy++;
    this.#checkDepth(operation);
    socket.pending.add(operation);
    if (kind === 'receive') operation.place = socket.receives++;
    if (kind === 'send') this.#announce(operation);
    host.operations.set(overlapped, operation);
    return operation;
  }

  /** Before the call, because the peer may have the message when it returns. */
  #announce(operation: Operation): void {
    const { socket, buffers, total } = operation;
    if (socket.peer === null) return;
    this.#checkCredits(socket);
    const { fullPayload } = this.host.world.options;
    operation.checksum = checksumOf(buffers, buffers.length, total, fullPayload);
    socket.outgoing.push(total, operation.checksum);
  }

  /** The registrations that the buffers are in. A buffer without one is the caller's mistake. */
  #rangesOf({ kind, buffers, socket }: Operation): Range[] {
    const right = kind === 'send' || kind === 'write' ? 'read' : 'write';
    const ranges: Range[] = [];
    for (const entry of buffers) {
      const { len, buf } = entry;
      if (len === 0 || buf === null) continue;
      const byHandle = kind === 'write' || kind === 'read';
      const range = byHandle
        ? (socket.memory.byHandle.get((entry as WSABUFEX).handle) ?? null)
        : socket.memory.find(buf, len, right);
      if (range?.covers(buf, len) === true && range.allows(right)) {
        if (range.isStale) {
          this.host.stop('FREED_WHILE_REGISTERED', `A ${kind} uses it.`, range.places());
        }
        ranges.push(range);
      } else {
        const former = socket.memory.former(buf, len)?.places() ?? [];
        this.host.stop('UNREGISTERED_BUFFER', `${len} bytes of a ${kind}.`, former);
      }
    }
    return ranges;
  }

  #checkDepth({ kind, socket }: Operation): void {
    const { sends, receives } = this.host.world.options.depth;
    const isReceive = kind === 'receive';
    const most = isReceive ? receives : sends;
    // Without a limit nothing is counted.
    if (socket.pending.size < most) return;
    let count = 0;
    for (const one of socket.pending) if ((one.kind === 'receive') === isReceive) count++;
    if (count >= most) this.host.stop('BEYOND_DEPTH', `${count} are in progress, and one ${kind}.`);
  }

  /** The negotiation message is the one that may come before any receive. [SESS-06, XFER-06] */
  #checkCredits({ peer, outgoing }: SocketShadow): void {
    if (peer === null || peer.isClosed || outgoing.sent === 0) return;
    if (outgoing.sent < peer.receives) return;
    this.host.stop('BEYOND_CREDITS', `${outgoing.sent + 1} messages, ${peer.receives} receives.`);
  }

  /** The call has returned: what has become of the operation. */
  #posted(
    operation: Operation,
    returned: unknown,
    before: number | undefined,
    bytes: Ref<number> | null,
    errno: Ref<number>,
  ): number {
    const { host } = this;
    const { kind, socket } = operation;
    const call = NAMES[kind];
    const error = returned === 0 ? 0 : errno.value;
    host.journal.note(call, socket.descriptor, error);
    if (returned !== 0 && returned !== -1) {
      host.stop('RETURN_VALUE', `${call} returned ${String(returned)}.`);
    }
    if (error !== 0 && error !== wsa.WSA_IO_PENDING) return this.#refused(operation, error);
    this.#started(operation);
    if (error === wsa.WSA_IO_PENDING) {
      if (bytes?.value !== before) host.stop('COUNT_WRITTEN_WHILE_PENDING', `It is a ${kind}.`);
      if (operation.endedBy === 'store') {
        const { InternalHigh, OffsetHigh } = operation;
        operation.state = 'pending';
        if (!operation.isSuppressed) host.stop('INTERNAL_WITHOUT_UPCALL', `It is a ${kind}.`);
        end(host, operation, { error: OffsetHigh, bytes: InternalHigh, by: 'store' });
      } else if (operation.state === 'posting') {
        operation.state = 'pending';
      }
      return -1;
    }
    if (operation.endedBy === 'upcall') host.stop('NOTIFIED_IMMEDIATE', `It is a ${kind}.`);
    else end(host, operation, { error: 0, bytes: bytes?.value ?? operation.total, by: 'call' });
    return 0;
  }

  #refused(operation: Operation, error: number): number {
    const { host } = this;
    const { kind, ranges, socket } = operation;
    if (operation.endedBy !== null) {
      host.stop('COMPLETED_FAILED_CALL', `The ${kind} failed with ${errorName(error)}.`);
    }
    operation.state = 'failed';
    for (const range of ranges) range.busy--;
    socket.pending.delete(operation);
    if (kind === 'receive') socket.receives--;
    if (kind === 'send' && socket.peer !== null) socket.outgoing.takeBack();
    if (kind === 'send' && !SEND_ERRORS.has(error)) {
      host.stop('FORBIDDEN_ERROR', `WSPSend failed with ${errorName(error)}.`);
    }
    return -1;
  }

  #started({ kind, ranges, buffers, total }: Operation): void {
    const needed = buffers.filter(({ len, buf }) => len > 0 && buf !== null).length;
    if (ranges.length >= needed) return;
    this.host.stop('UNREGISTERED_ACCEPTED', `It is a ${kind} of ${total} bytes.`);
  }

  #checkResult(
    operation: Operation,
    answer: {
      readonly isDone: boolean;
      readonly error: number;
      readonly wasOver: boolean;
      readonly before: number | undefined;
      readonly after: number | undefined;
    },
  ): void {
    const { host } = this;
    const { isDone, error, wasOver, before, after } = answer;
    if (isDone && !operation.isOver) {
      return host.stop('RESULT_BEFORE_COMPLETION', `It is a ${operation.kind}.`);
    }
    const isIncomplete = error === wsa.WSA_IO_INCOMPLETE;
    if (isIncomplete && !wasOver) return;
    if (operation.state === 'failed') return;
    const isWrong =
      (isDone && operation.error !== 0) ||
      (isDone && after !== undefined && after !== operation.bytes) ||
      (isIncomplete && wasOver) ||
      (!isDone && !isIncomplete && operation.isOver && error !== operation.error) ||
      (!isDone && after !== before);
    if (!isWrong) return;
    const said = isDone ? `${after ?? 'no count of'} bytes` : errorName(error);
    const was = operation.error === 0 ? `${operation.bytes} bytes` : errorName(operation.error);
    host.stop('RESULT_MISMATCH', `It said ${said}, the operation ended with ${was}.`);
  }
}

function copyOf(entry: WSABUF): WSABUF {
  const { len, buf } = entry;
  return { len, buf, handle: (entry as WSABUFEX).handle } as WSABUF;
}
