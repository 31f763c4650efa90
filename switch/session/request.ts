// What an application asked for, as the session sees it: a pooled object that the shell fills in,
// hands over, and gets back from pollCompletion. Knows no Winsock structure. Source: wsd-spec
// APP-02, APP-03; docs/session-protocol.md "Requests".

/** One captured buffer; the shape of WSABUF. `len` may be less than `buf.length`. */
export interface RequestBuffer {
  buf: Uint8Array;
  len: number;
}

export const RequestFlag = {
  /**
   * Send: urgent data (MSG_OOB); always by message, flagged on the wire. Receive: the oldest urgent byte
   * apart from the stream.
   */
  urgent: 1,
  /** Receive: complete only when full, at the end of the stream, or on failure (MSG_WAITALL). */
  waitAll: 2,
  /** Send: copy into messages whatever the length; for a nonblocking send of at most sendSpace. */
  byMessage: 4,
  /** Send: the memory is the switch's own and the application has been told: close() delivers it. */
  accepted: 8,
} as const;

export const ResultFlag = {
  /** Receive: the bytes include urgent data. */
  urgent: 1,
} as const;

export const RequestState = { idle: 0, queued: 1, finished: 2 } as const;
export type RequestState = (typeof RequestState)[keyof typeof RequestState];

const NO_BYTES = new Uint8Array(0);

/**
 * One send or receive. Owned by the session from send() or receive() until pollCompletion returns
 * it; the memory of its buffers must stay valid for as long. Reusable after reset().
 */
export class SessionRequest {
  // Filled in by the shell.
  readonly buffers: RequestBuffer[] = [];
  bufferCount = 0;
  /** RequestFlag bits. */
  flags = 0;
  /** The shell's own; the session never looks at it. */
  owner: unknown = null;

  // Filled in by the session; meaningful once pollCompletion has returned the request.
  /** 0 or a Winsock error number. */
  error = 0;
  /** Bytes sent or received. 0 with error 0 on a receive is the end of the stream. */
  bytes = 0;
  /** ResultFlag bits. */
  resultFlags = 0;

  // The session's own.
  state: RequestState = RequestState.idle;
  isSend = false;
  total = 0;
  /** Bytes that messages, announcements or pulls have been made for. */
  assigned = 0;
  /** Where `assigned` points: the buffer and the offset in it. */
  cursorBuffer = 0;
  cursorOffset = 0;
  /** Transfers (send) or pulls (receive) that this request waits for. */
  transfers = 0;
  /** RDMA calls of ours at work on its memory right now. */
  calls = 0;
  /** Nothing more will be assigned: it finishes when `transfers` is 0. */
  sealed = false;
  /**
   * Send: memory for the rest could not be registered. That stands, whatever ends it in the end: behind
   * what has gone the stream has a gap of known length. [docs/decisions/0051]
   */
  isRefused = false;
  /** Given up by the application, while RDMA may still be at work on its memory. */
  cancelled = false;
  next: SessionRequest | null = null;

  /** Its first buffer has room: it is not for 0 bytes. */
  get hasRoom(): boolean {
    const first = this.buffers[0];
    return this.bufferCount > 0 && first !== undefined && first.len > 0;
  }

  /** Forgets buffers and results. Not allowed while the session owns the request. */
  reset(): void {
    for (let index = 0; index < this.bufferCount; index++) {
      (this.buffers[index] as RequestBuffer).buf = NO_BYTES;
    }
    this.bufferCount = 0;
    this.flags = 0;
    this.owner = null;
    this.error = 0;
    this.bytes = 0;
    this.resultFlags = 0;
    this.state = RequestState.idle;
  }

  /** Adds one captured buffer; entries are reused, so a pooled request does not allocate. */
  add(buf: Uint8Array, len: number): void {
    const entry = this.buffers[this.bufferCount];
    if (entry === undefined) {
      this.buffers.push({ buf, len });
    } else {
      entry.buf = buf;
      entry.len = len;
    }
    this.bufferCount++;
  }
}

/** A queue of requests linked through `next`; a request is in at most one. */
export class RequestQueue {
  head: SessionRequest | null = null;
  private tail: SessionRequest | null = null;

  push(request: SessionRequest): void {
    request.next = null;
    if (this.tail === null) this.head = request;
    else this.tail.next = request;
    this.tail = request;
  }

  shift(): SessionRequest | null {
    const first = this.head;
    if (first === null) return null;
    this.head = first.next;
    if (this.head === null) this.tail = null;
    first.next = null;
    return first;
  }

  /** Takes `request` out wherever it is. Returns whether it was there. */
  remove(request: SessionRequest): boolean {
    let before: SessionRequest | null = null;
    for (let at = this.head; at !== null; before = at, at = at.next) {
      if (at !== request) continue;
      if (before === null) this.head = at.next;
      else before.next = at.next;
      if (this.tail === at) this.tail = before;
      at.next = null;
      return true;
    }
    return false;
  }
}
