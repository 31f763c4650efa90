// The vocabulary of the NIC, in the terms of the InfiniBand verbs. Knows no Winsock: which status
// becomes which WSA error is a provider's business.

/** Work request opcodes. RECV appears only in completions. */
export const Opcode = { SEND: 1, RDMA_WRITE: 2, RDMA_READ: 3, RECV: 4 } as const;
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

/** Send flags of a work request. */
export const SendFlag = {
  /** Do not start this request before every earlier RDMA READ of the queue pair has completed. */
  FENCE: 1,
  /** The receiver's completion wakes a completion queue that is armed for solicited ones only. */
  SOLICITED: 4,
} as const;

/** Access rights of a memory region. Local reading is always allowed. */
export const Access = { LOCAL_WRITE: 1, REMOTE_WRITE: 2, REMOTE_READ: 4 } as const;

/** Completion status, numbered as in ibv_wc_status. */
export const WcStatus = {
  SUCCESS: 0,
  /** A receive was shorter than the message, or a request longer than the NIC's maximum. */
  LOC_LEN_ERR: 1,
  LOC_QP_OP_ERR: 2,
  /** A local key does not cover the range with the right that the operation needs. */
  LOC_PROT_ERR: 4,
  /** The queue pair was in or went to the error state before this request was executed. */
  WR_FLUSH_ERR: 5,
  BAD_RESP_ERR: 7,
  REM_INV_REQ_ERR: 9,
  /** The remote key does not exist, belongs to another queue pair, or does not allow the access. */
  REM_ACCESS_ERR: 10,
  REM_OP_ERR: 11,
  /** The peer stopped answering: no acknowledgement within the time-out and its retries. */
  RETRY_EXC_ERR: 12,
  /** The peer had no receive posted, as often as it lets a request be retried. */
  RNR_RETRY_EXC_ERR: 13,
  GENERAL_ERR: 21,
} as const;
export type WcStatus = (typeof WcStatus)[keyof typeof WcStatus];

const STATUS_NAMES = new Map<number, string>(
  Object.entries(WcStatus).map(([name, value]) => [value, name]),
);

export function wcStatusName(status: number): string {
  return STATUS_NAMES.get(status) ?? `status ${status}`;
}

/**
 * States of a queue pair, numbered as in ibv_qp_state. Creating one is RESET to INIT in one step;
 * there is no SQD and no SQE, because nothing here drains a send queue without ending it.
 */
export const QpState = {
  /** Receives may be posted. */
  INIT: 1,
  /** Accepted; requests may be posted, and are sent once the peer is known to be who it says. */
  RTR: 2,
  RTS: 3,
  /** The connection is over; everything outstanding and everything posted now completes flushed. */
  ERR: 6,
} as const;

/** Of QueuePairOptions.rnrRetry and retryCount: never give up (a retry count of 7, as on the wire). */
export const RETRY_FOREVER = 7;

/** Why posting a work request was refused; 0 means posted. Nothing completes for a refused request. */
export const PostResult = {
  OK: 0,
  /** The queue holds as many requests as it is deep (ENOMEM of ibv_post_send). */
  QUEUE_FULL: 1,
  /** The queue pair is not in a state that takes this request (EINVAL). */
  BAD_STATE: 2,
  /** Too many scatter/gather elements, or longer than the NIC's maximum message. */
  TOO_LONG: 3,
} as const;
export type PostResult = (typeof PostResult)[keyof typeof PostResult];

/** What QueuePair.takeArrival has found. */
export const Arrival = {
  /** No message. */
  NONE: 0,
  /** One, and its receive is complete. */
  TAKEN: 1,
  /** Something that takes more than this call, or nothing that it could know of. */
  OTHER: 2,
} as const;
export type Arrival = (typeof Arrival)[keyof typeof Arrival];

/** Scatter/gather elements of one work request. */
export const MAX_SGE = 6;

/**
 * A work request that its owner fills and posts; posting copies it, so one object serves for ever.
 * Addresses are those of NicDevice.addressOf: offsets for memory of the host's segment, process
 * addresses for any other registered memory.
 */
export class WorkRequest {
  /** Comes back in the completion. A 32-bit unsigned integer. */
  id = 0;
  opcode: Opcode = Opcode.SEND;
  flags = 0;
  sgeCount = 0;
  readonly addresses = new Float64Array(MAX_SGE);
  readonly lengths = new Uint32Array(MAX_SGE);
  /** Local keys. */
  readonly keys = new Uint32Array(MAX_SGE);
  /** RDMA only: where in the peer's memory, and the key that opens it. */
  remoteAddress = 0;
  remoteKey = 0;

  setSge(index: number, address: number, length: number, key: number): void {
    this.addresses[index] = address;
    this.lengths[index] = length;
    this.keys[index] = key;
  }
}

/** A completion that its owner has CompletionQueue.poll fill. */
export class WorkCompletion {
  id = 0;
  queuePair = 0;
  opcode: number = Opcode.SEND;
  status: number = WcStatus.SUCCESS;
  /** Bytes received or transferred; 0 unless the status is SUCCESS. */
  byteLength = 0;
}

/** Why a connection attempt failed. */
export type ConnectFailure =
  /** No host with this address is on the fabric, or none that answers as a NIC. */
  | 'unreachable'
  /** The host is there and nobody listens on the port. */
  | 'no-listener'
  /** The listener said no, or has no room. */
  | 'rejected'
  /** No answer in time. */
  | 'timeout'
  /** The attempt was ended on this side. */
  | 'aborted';

/** Why an established connection ended. */
export type DisconnectReason =
  /** The peer destroyed its queue pair or asked to disconnect. */
  | 'peer-disconnected'
  /** The same, and the peer said that its owner goes on with the connection from another host. */
  | 'peer-moving'
  /** The peer's process died or its NIC is gone. */
  | 'peer-died'
  /** A protection, length or protocol error on either side. */
  | 'error'
  /** The local NIC is gone. */
  | 'device-removed';
