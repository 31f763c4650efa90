// How operations end, and everything that is checked then: counts, order and content of messages, what an
// RDMA transfer has reached. Sources: OVL-05 to OVL-18, WSPSEND-07, RDMA-10, REGRDMA-06, DEREGRDMA-02.

import { errorName } from '../../spi/errors.js';
import { checksumOf } from './messages.js';
import type { Operation, OperationObserver } from './operation.js';
import type { HostShadow } from './world.js';

/** An operation is over. Checks it, and lets go of what it held. */
export function end(
  host: HostShadow,
  operation: Operation,
  outcome: { readonly error: number; readonly bytes: number; readonly by: Operation['endedBy'] },
): void {
  const { socket, kind, total } = operation;
  const { error, bytes, by } = outcome;
  operation.state = 'done';
  operation.endedBy = by;
  operation.error = error;
  operation.bytes = bytes;
  socket.pending.delete(operation);
  for (const range of operation.ranges) range.busy--;
  if (operation.hEvent !== operation.hEvent0) {
    host.stop('EVENT_CHANGED', `It was ${operation.hEvent0} and is ${operation.hEvent}.`);
  }
  if (error !== 0) {
    if (bytes !== 0) host.stop('BYTES_ON_FAILURE', `${bytes} bytes and ${errorName(error)}.`);
    return;
  }
  if (socket.isHandedOver) return;
  const isWrong = kind === 'receive' ? bytes > total : bytes !== total;
  if (isWrong) host.stop('BYTE_COUNT', `${bytes} of ${total} bytes of a ${kind}.`);
  else if (kind === 'receive') checkReceived(host, operation);
  else if (kind === 'send') checkSent(host, operation);
  else checkReached(host, operation);
  for (const range of operation.ranges) {
    if (range.isStale) {
      host.stop('STALE_MAPPING', `The ${kind} succeeded all the same.`, range.places());
    }
  }
}

/** What arrived is what the peer sent at this place in the order. */
function checkReceived(host: HostShadow, { socket, place, bytes, buffers }: Operation): void {
  const { peer } = socket;
  if (peer === null || place < 0) return;
  const message = peer.outgoing.take(place);
  if (message === null) return;
  const { fullPayload } = host.world.options;
  const checksum = checksumOf(buffers, buffers.length, bytes, fullPayload);
  if (message.length === bytes && message.checksum === checksum) return;
  const isOther = message.length !== bytes || peer.outgoing.holds(bytes, checksum);
  const detail = `Receive ${place} has ${bytes} bytes, the message sent had ${message.length}.`;
  host.stop(isOther ? 'DATA_ORDER' : 'DATA_CHANGED', detail);
}

function checkSent(host: HostShadow, { buffers, total, checksum, socket }: Operation): void {
  if (socket.peer === null) return;
  const { fullPayload } = host.world.options;
  if (checksumOf(buffers, buffers.length, total, fullPayload) !== checksum) {
    host.stop('BUFFER_CHANGED', `${total} bytes were to be sent.`);
  }
}

/** A transfer that succeeded has reached memory of the peer: was that allowed? */
function checkReached(host: HostShadow, operation: Operation): void {
  const { descriptor, offset, total, kind, socket, startedAt } = operation;
  if (descriptor === null || socket.peer === null) return;
  const exposure = host.world.exposures.find(descriptor);
  if (exposure === null) {
    if (host.world.exposures.hasForgotten) return;
    return host.stop('EXPOSURE_FOREIGN', 'Nobody has exposed what the descriptor names.');
  }
  const { range, owner } = exposure;
  const places = range.places();
  if (owner !== socket.peer) host.stop('EXPOSURE_FOREIGN', 'It is of another socket.', places);
  if (range.endedAt <= startedAt) host.stop('EXPOSURE_OUTLIVED', `A ${kind} succeeded.`, places);
  const length = range.end - range.begin;
  if (offset + total > length) {
    host.stop('EXPOSURE_RANGE', `${offset} + ${total} bytes of ${length}.`, places);
  }
  if (!range.allows(kind === 'read' ? 'read' : 'write')) {
    host.stop('EXPOSURE_RIGHTS', `A ${kind} succeeded.`, places);
  }
  if (range.isStale) host.stop('STALE_MAPPING', `A ${kind} of the peer succeeded.`, places);
}

/** What the stand-in of a WSAOVERLAPPED reports, for the operations of one host. */
export function observerOf(host: HostShadow): OperationObserver {
  return {
    published: (operation) => {
      if (operation.state === 'pending' && !operation.isSuppressed) {
        host.stop('INTERNAL_WITHOUT_UPCALL', `It is a ${operation.kind}.`);
      }
      const { InternalHigh: bytes, OffsetHigh: error } = operation;
      if (operation.state === 'posting') {
        // Legal for a call that returns 0; what it was shows when the call returns.
        operation.endedBy = 'store';
        operation.error = error;
        return;
      }
      end(host, operation, { error, bytes, by: 'store' });
    },
    writtenLate: (operation, field) => {
      if (field === 'Internal') {
        const code = operation.state === 'failed' ? 'COMPLETED_FAILED_CALL' : 'COMPLETED_TWICE';
        return host.stop(code, `It is a ${operation.kind}.`);
      }
      const isTold = operation.endedBy === 'upcall' || field === 'hEvent';
      const code = isTold ? 'TOUCHED_AFTER_COMPLETION' : 'PUBLISHED_EARLY';
      host.stop(code, `The field is ${field}.`);
    },
    arrayReadLate: (operation) => {
      host.stop('BUFFER_ARRAY_READ_LATE', `It is a ${operation.kind}.`);
    },
  };
}
