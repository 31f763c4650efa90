// The whole native surface in one interface: what JavaScript cannot do, and nothing else.
// Everything here is a thin, dull wrapper over a system call or a memory move; policy lives in
// TypeScript.
//
// Conventions of every function:
// - A system failure is the negative errno as a number (-ENOSPC is -28), never an exception; use
//   `check()` of errors.ts to turn it into a SystemError. An argument of the wrong type throws
//   TypeError.
// - Addresses are process addresses as numbers (below 2^53), lengths are bytes,
//   times are nanoseconds.
// - An `arena` is the ArrayBuffer of arenaCreate; memory functions refuse (-EFAULT) any local range
//   that lies neither in an arena of this process nor in memory pinned with `pin`.

/** One readiness report of epollWait: two 32-bit words, the token and the EPOLL* bits. */
export const EPOLL_RECORD_WORDS = 2;

/**
 * What socketReceiveMessage tells in 32-bit words: the length of the name (as much as there was room
 * for), the length of the control data, and the MSG_* bits of the message.
 */
export const MESSAGE_WORDS = 3;

export interface NativeBinding {
  // Arena and segments (shm.cc) ------------------------------------------------------------------
  /**
   * Reserves `bytes` of address space, readable and writable as zero pages that cost nothing
   * until written, as one ArrayBuffer. Segments are mapped into it, so that all shared memory of
   * a thread is one flat range of offsets. Unmapped when the ArrayBuffer is collected or the
   * environment ends.
   */
  arenaCreate(bytes: number): ArrayBuffer | number;
  /** The process address of the arena's first byte. */
  arenaAddress(arena: ArrayBuffer): number;
  /** Maps `length` bytes of `fd` at `offset` of the arena (both multiples of the page size). */
  arenaMap(arena: ArrayBuffer, offset: number, fd: number, length: number): number;
  /** Puts zero pages back in place of what was mapped, so that a late access cannot fault. */
  arenaUnmap(arena: ArrayBuffer, offset: number, length: number): number;
  /** Creates a segment file (exclusive, mode 0600) of `bytes` and returns its descriptor. */
  segmentCreate(path: string, bytes: number): number;
  /**
   * Opens a segment file of this user. Refuses one that another user owns (-EACCES), that is
   * shorter than its header, or whose header has another magic (-EILSEQ) or version (-EPROTO), or
   * states another size than the file has (-EILSEQ). See layout/segment.layout.ts.
   */
  segmentOpen(path: string): number;
  /** The size of an open segment in bytes. */
  segmentSize(fd: number): number;
  /**
   * Commits memory behind a range, so that a full file system is an error here (-ENOSPC) and not
   * a fault later.
   */
  segmentCommit(fd: number, offset: number, length: number): number;
  /** Gives the memory behind a range back; it reads as zeros afterwards. */
  segmentRelease(fd: number, offset: number, length: number): number;
  /** Takes an exclusive flock on an open file or directory, waiting for it. Released by close. */
  lockExclusive(fd: number): number;
  closeDescriptor(fd: number): number;
  /** Another descriptor of the same open file; closed by itself. */
  descriptorDuplicate(fd: number): number;

  // Wake channels (wake.cc) ----------------------------------------------------------------------
  /** Makes a named pipe (mode 0600). */
  pipeCreate(path: string): number;
  /** Opens a named pipe for its owner: readable, and alive as long as the owner is. */
  pipeOpenOwner(path: string): number;
  /**
   * Opens a named pipe for a peer, write-only. -ENXIO when no owner has it open: the owner is
   * dead.
   */
  pipeOpenPeer(path: string): number;
  /**
   * Writes all of `bytes[0, length)` atomically (length at most 4096). -EAGAIN when full, -EPIPE
   * when the owner is gone.
   */
  pipeWrite(fd: number, bytes: Uint8Array, length: number): number;
  /** 1 while the owner of a pipe opened with pipeOpenPeer has it open, 0 once it is gone. */
  pipeAlive(fd: number): number;
  /** Reads what is there, up to `bytes.length`. -EAGAIN when nothing is. */
  pipeRead(fd: number, bytes: Uint8Array): number;
  /**
   * Waits while the 32-bit word at `address` holds `expected`. 0 woken, -EAGAIN it holds another
   * value, -ETIMEDOUT, -EINTR.
   */
  futexWait(address: number, expected: number, timeoutNanos: number): number;
  /** Wakes up to `count` waiters, in any process that maps the word. Returns how many. */
  futexWake(address: number, count: number): number;
  /**
   * A barrier on every running thread of every process that called barrierRegister (membarrier,
   * global expedited). It lets producers publish with a plain store and look at the sleeper's flag
   * without a fence of their own. -ENOSYS where the kernel has none.
   */
  barrier(): number;
  barrierRegister(): number;

  // Pinning, holding and moving (pin.cc, hold.cc, dma.cc) ----------------------------------------
  /** The address of an ArrayBuffer's first byte; 0 when it is detached or empty. */
  addressOf(buffer: ArrayBufferLike): number;
  /**
   * Locks the pages under a range; pages shared by several pins are counted. -ENOMEM: memlock
   * limit.
   */
  pin(address: number, length: number): number;
  /**
   * Accounts for a range like `pin` but does not lock its pages (option pin: 'off' or past the
   * limit).
   */
  pinUnlocked(address: number, length: number): number;
  /** Ends one pin of exactly this range. -EINVAL when there is none. */
  unpin(address: number, length: number): number;
  /** Bytes of pages locked by this process through `pin`. */
  pinnedBytes(): number;
  /**
   * Keeps the memory of an ordinary ArrayBuffer at its address until `release`, also when the buffer
   * is transferred, detached or collected; ends with this thread's environment. Returns a positive
   * handle, or -EINVAL for a buffer that is detached, empty or resizable (it could still give its
   * pages back). A SharedArrayBuffer throws TypeError: it is never detached, so a reference holds it.
   */
  hold(buffer: ArrayBuffer): number;
  /** Ends one hold. -EINVAL when there is none of that handle. */
  release(handle: number): number;
  /**
   * Moves `length` bytes from `source` to `target`. A pid of 0 is this process, otherwise the
   * range lies in that process (process_vm_readv, process_vm_writev); at most one pid is not 0.
   * Returns `length`, or -EFAULT, -EPERM (the kernel forbids it: bounce), -ESRCH. Overlap is
   * allowed locally.
   */
  move(
    targetPid: number,
    target: number,
    sourcePid: number,
    source: number,
    length: number,
  ): number;

  // Readiness (poll.cc) --------------------------------------------------------------------------
  epollCreate(): number;
  /**
   * Adds, changes or (events 0) removes a descriptor. `token` (32 bits) comes back with its
   * reports.
   */
  epollControl(epoll: number, fd: number, events: number, token: number): number;
  /**
   * Fills `records` with reports; waits up to `timeoutNanos` (0 polls, Infinity waits). Returns
   * their count; 0 also after a signal.
   */
  epollWait(epoll: number, records: Int32Array, timeoutNanos: number): number;
  /** An event descriptor, nonblocking; `eventSignal` makes it readable, `eventClear` empties it. */
  eventCreate(): number;
  eventSignal(fd: number): number;
  eventClear(fd: number): number;
  /**
   * Watches a descriptor (an epoll instance) from the event loop; `callback` runs there whenever
   * it is readable, again and again until it no longer is. Starts stopped. An exception in the
   * callback is an uncaught exception. A started watcher is kept; a stopped one that nobody holds
   * is closed.
   */
  watch(fd: number, callback: () => void): NativeWatcher | number;

  // Kernel sockets (socket.cc) -------------------------------------------------------------------
  // Families, types, flags and sockaddr bytes are Linux's here; provider/tcpip translates.
  socketCreate(family: number, type: number, protocol: number): number;
  socketBind(fd: number, sockaddr: Uint8Array, length: number): number;
  socketListen(fd: number, backlog: number): number;
  /**
   * Returns the new descriptor, with the peer's sockaddr in `sockaddr`; -EAGAIN when nobody
   * waits.
   */
  socketAccept(fd: number, sockaddr: Uint8Array): number;
  /** 0, -EINPROGRESS, or the failure. */
  socketConnect(fd: number, sockaddr: Uint8Array, length: number): number;
  /** sendmsg of `count` buffers (gathered, at most IOV_MAX are used). Returns the bytes taken. */
  socketSend(
    fd: number,
    buffers: readonly (Uint8Array | null)[],
    lengths: readonly number[],
    count: number,
    flags: number,
  ): number;
  /** recvmsg into `count` buffers. Returns the bytes received; 0 is the end of a stream. */
  socketReceive(
    fd: number,
    buffers: readonly (Uint8Array | null)[],
    lengths: readonly number[],
    count: number,
    flags: number,
  ): number;
  /**
   * sendmsg of one message: `count` buffers (-EMSGSIZE beyond IOV_MAX), all of it or nothing, to
   * `name` with `control`; their whole lengths count, null leaves one out.
   */
  socketSendMessage(
    fd: number,
    buffers: readonly (Uint8Array | null)[],
    lengths: readonly number[],
    count: number,
    flags: number,
    name: Uint8Array | null,
    control: Uint8Array | null,
  ): number;
  /**
   * recvmsg of one message into `count` buffers (-EMSGSIZE beyond IOV_MAX), its name and its control
   * data. Returns the bytes received; `result` (MESSAGE_WORDS) tells the rest.
   */
  socketReceiveMessage(
    fd: number,
    buffers: readonly (Uint8Array | null)[],
    lengths: readonly number[],
    count: number,
    flags: number,
    name: Uint8Array | null,
    control: Uint8Array | null,
    result: Int32Array,
  ): number;
  socketShutdown(fd: number, how: number): number;
  /** Returns the length stored in `sockaddr`. */
  socketName(fd: number, sockaddr: Uint8Array): number;
  socketPeerName(fd: number, sockaddr: Uint8Array): number;
  /** Returns the length stored in `value`. */
  socketGetOption(fd: number, level: number, option: number, value: Uint8Array): number;
  socketSetOption(
    fd: number,
    level: number,
    option: number,
    value: Uint8Array,
    length: number,
  ): number;
  /** Bytes that a receive would return now (FIONREAD). */
  socketReadable(fd: number): number;

  // Clock and machine (clock.cc) -----------------------------------------------------------------
  /** CLOCK_MONOTONIC in nanoseconds: one scale for every process of the machine. */
  now(): number;
  pageSize(): number;
  /** Pins the calling thread to the given CPUs. */
  setAffinity(cpus: readonly number[]): number;
  /** The CPUs the calling thread may run on. */
  affinity(): number[];
  /** CPU time used by this process, in nanoseconds. */
  cpuTime(): number;
  /** 1 when built with AddressSanitizer. */
  sanitized(): number;

  // Benchmark floors (floor.cc): what the hardware does, measured beside what we do ----------------
  /**
   * One side of a ping-pong of `iterations` over two words of shared memory, spinning; side 0
   * starts. Returns the median round trip in nanoseconds over batches of 1,000 for side 0, and 0
   * for side 1; -ETIMEDOUT when the other side stays away for 2 s. Both words hold 0 at the start.
   */
  spinPingPong(address0: number, address1: number, side: number, iterations: number): number;
  /** The same, sleeping on futexes. */
  futexPingPong(address0: number, address1: number, side: number, iterations: number): number;
  /**
   * Copies `iterations` times `length` bytes from source to target, both advancing by `stride`
   * through `slots` slots. Returns the nanoseconds it took.
   */
  copyRate(
    target: number,
    source: number,
    length: number,
    stride: number,
    slots: number,
    iterations: number,
  ): number;
  /**
   * A ping-pong of `bytes` between two threads over blocking kernel sockets of 127.0.0.1, of type
   * SOCK_STREAM (1) or SOCK_DGRAM (2), at least 100 iterations, one on the first and one on the last
   * processor that the caller may use. Returns the median round trip in nanoseconds over batches of 100.
   */
  socketPingPong(type: number, bytes: number, iterations: number): number;
}

/** Every call is allowed in every order; after `close` they do nothing. */
export interface NativeWatcher {
  start(): void;
  stop(): void;
  /** Whether this watcher alone keeps the event loop alive. */
  ref(): void;
  unref(): void;
  /** Lets go of the descriptor at once; it may be closed afterwards, not before. */
  close(): void;
}
