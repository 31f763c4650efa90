// Every Winsock error that follows from something the NIC said: the whole translation, in one place.
// Each table names every value of its kind, so that a new one does not compile before it has its
// error here. Knows no socket and no call. Sources: WSPSEND-12, WSPSEND-20, CONNECT-04 to -06,
// CLOSE-01, CLOSE-07, ERR-04, REGMEM-04; docs/decisions/0004-final-connect-errors.md.

import type { RegistrationFailure } from '../nic/device.js';
import type { ConnectFailure, DisconnectReason, WcStatus } from '../nic/verbs.js';
import { PostResult, WcStatus as Status } from '../nic/verbs.js';
import * as wsa from '../spi/error-codes.js';
import type { Profile } from '../spi/profile.js';

/**
 * What an operation ends with for each NIC status. Not WR_FLUSH_ERR: it says only that something else
 * ended the connection, and DISCONNECT_ERROR says what.
 */
const OPERATION_ERROR: Readonly<Record<Exclude<WcStatus, typeof Status.WR_FLUSH_ERR>, number>> = {
  [Status.SUCCESS]: 0,
  // A message longer than its receive: one of the two switches broke the session protocol.
  [Status.LOC_LEN_ERR]: wsa.WSAECONNABORTED,
  [Status.LOC_QP_OP_ERR]: wsa.WSAECONNABORTED,
  // The memory was detached or deregistered under the operation.
  [Status.LOC_PROT_ERR]: wsa.WSAECONNABORTED,
  [Status.BAD_RESP_ERR]: wsa.WSAECONNABORTED,
  [Status.REM_INV_REQ_ERR]: wsa.WSAECONNABORTED,
  // The peer does not allow the access. [RDMA-10]
  [Status.REM_ACCESS_ERR]: wsa.WSAECONNABORTED,
  [Status.REM_OP_ERR]: wsa.WSAECONNABORTED,
  // "Timeout or other failure": not a reset, nobody said anything. [WSPSEND-12]
  [Status.RETRY_EXC_ERR]: wsa.WSAECONNABORTED,
  [Status.RNR_RETRY_EXC_ERR]: wsa.WSAECONNABORTED,
  [Status.GENERAL_ERR]: wsa.WSAECONNABORTED,
};

/** What every transfer after the end of the connection fails with. [CLOSE-07, WSPSEND-12] */
const DISCONNECT_ERROR: Readonly<Record<DisconnectReason, number>> = {
  'peer-disconnected': wsa.WSAECONNRESET,
  // For who cannot wait for it; see duplicate-peer.ts.
  'peer-moving': wsa.WSAECONNRESET,
  'peer-died': wsa.WSAECONNRESET,
  error: wsa.WSAECONNABORTED,
  // "Ordinary connection failure": of this side, so not a reset. [ERR-04]
  'device-removed': wsa.WSAECONNABORTED,
};

/**
 * What FD_CONNECT says. Three codes are final: they promise that TCP/IP would fail too, and the
 * switch gives up on them. Everything else lets it try TCP/IP. [CONNECT-04, CONNECT-05]
 */
const CONNECT_ERROR: Readonly<Record<ConnectFailure, number>> = {
  // The host's NIC answered for a port that its TCP/IP would have had a listener on too, since a
  // SAN listener never exists without one (LSN-01): final.
  'no-listener': wsa.WSAECONNRESET,
  // Somebody listens there and said no, or has no room: final. [CONNECT-06]
  rejected: wsa.WSAECONNREFUSED,
  // No NIC at that address; a host without one may still answer by TCP/IP: not final.
  unreachable: wsa.WSAETIMEDOUT,
  // Nothing answered: no promise about TCP/IP either.
  timeout: wsa.WSAETIMEDOUT,
  // This side ended the attempt, which only WSPCloseSocket does: nobody is there to read it.
  aborted: wsa.WSA_OPERATION_ABORTED,
};

const REGISTRATION_ERROR: Readonly<Record<RegistrationFailure, number>> = {
  'invalid-buffer': wsa.WSAEFAULT,
  'no-resources': wsa.WSAENOBUFS,
  'invalid-queue-pair': wsa.WSAENOTCONN,
};

/** A status that no table knows is one that ended the queue pair all the same. */
export function operationError(status: number): number {
  return (OPERATION_ERROR as Readonly<Record<number, number>>)[status] ?? wsa.WSAECONNABORTED;
}

export function disconnectError(reason: DisconnectReason): number {
  return DISCONNECT_ERROR[reason];
}

export function connectError(reason: ConnectFailure): number {
  return CONNECT_ERROR[reason];
}

export function registrationError(failure: RegistrationFailure): number {
  return REGISTRATION_ERROR[failure];
}

/** Why a transfer was not started, for every answer of the NIC but OK. */
export function postError(profile: Profile, result: PostResult): number {
  switch (result) {
    // Not WSAEWOULDBLOCK, which no transfer ever returns. [WSPSEND-13, WSPSEND-20]
    case PostResult.QUEUE_FULL:
      return profile.sendQueueFullError;
    // Over the length that SO_MAX_MSG_SIZE or SO_MAX_RDMA_SIZE tells. [WSPSEND-10, RDMA-06]
    case PostResult.TOO_LONG:
      return wsa.WSAEINVAL;
    default:
      return wsa.WSAENOTCONN;
  }
}
