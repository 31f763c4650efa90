// A descriptor that one process offers to another: served once, over a UNIX socket of an abstract name
// that nobody guesses, to the process it is meant for and no other. It needs nothing in the file system,
// so nothing of it outlives its process. docs/duplication.md, "Kernel sockets".

import { randomBytes } from 'node:crypto';
import { errno } from './errors.js';
import { native } from './load.js';
import { EPOLLIN } from './reactor.js';
import type { Reactor, WatchToken } from './reactor.js';
import { acceptAt, connectTo, listenAt, processAt } from './unix-socket.js';

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
/** struct cmsghdr: 64 bits of length, level, type; then the descriptor, padded. */
const CONTROL_HEADER_BYTES = 16;
const CONTROL_LENGTH = CONTROL_HEADER_BYTES + 4;
const CONTROL_ROOM = 24;
const MESSAGE_WORDS = 3;
const NAME_BYTES = 16;

export interface OfferOptions {
  readonly reactor: Reactor;
  /** Stays the caller's; the offer has a descriptor of its own. */
  readonly fd: number;
  readonly processId: number;
  /** The offer is over: taken, or closed. */
  readonly ended: (offer: DescriptorOffer) => void;
}

/** Belongs to the thread of its reactor, which has to be polled for it to be taken. */
export class DescriptorOffer {
  /** What DescriptorTaking is made with, as hexadecimal text. */
  readonly name: string;
  readonly #options: OfferOptions;
  readonly #listener: number;
  readonly #copy: number;
  readonly #token: WatchToken;
  #isOpen = true;

  private constructor(options: OfferOptions, name: string, listener: number, copy: number) {
    this.#options = options;
    this.name = name;
    this.#listener = listener;
    this.#copy = copy;
    this.#token = options.reactor.watch(listener, EPOLLIN, () => {
      this.#serve();
    });
  }

  /** The offer, or a negative errno. */
  static open(options: OfferOptions): DescriptorOffer | number {
    const copy = native.descriptorDuplicate(options.fd);
    if (copy < 0) return copy;
    const name = randomBytes(NAME_BYTES).toString('hex');
    const listener = listenAt(name);
    if (listener >= 0) return new DescriptorOffer(options, name, listener, copy);
    native.closeDescriptor(copy);
    return listener;
  }

  /** Twice is allowed. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#options.reactor.unwatch(this.#token);
    native.closeDescriptor(this.#listener);
    native.closeDescriptor(this.#copy);
    this.#options.ended(this);
  }

  #serve(): void {
    const asking = acceptAt(this.#listener);
    if (asking < 0) return;
    const isMeant = processAt(asking) === this.#options.processId;
    if (isMeant) sendDescriptor(asking, this.#copy);
    native.closeDescriptor(asking);
    if (isMeant) this.close();
  }
}

/** The other end: asks for a descriptor, which comes when the offering process has polled. */
export class DescriptorTaking {
  /** A negative errno until the descriptor is here: EAGAIN, or why it does not come. */
  result: number = -errno.EAGAIN;
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #token: WatchToken;

  private constructor(reactor: Reactor, fd: number) {
    this.#reactor = reactor;
    this.#fd = fd;
    this.#token = reactor.watch(fd, EPOLLIN, () => {
      if (this.result === -errno.EAGAIN) this.result = receiveDescriptor(fd);
    });
  }

  /** The taking, or a negative errno: ECONNREFUSED when nobody offers this any more. */
  static open(reactor: Reactor, name: string): DescriptorTaking | number {
    const fd = connectTo(name);
    return fd < 0 ? fd : new DescriptorTaking(reactor, fd);
  }

  get isOver(): boolean {
    return this.result !== -errno.EAGAIN;
  }

  /** Ends it; the descriptor, if it came, is the caller's. */
  close(): void {
    this.#reactor.unwatch(this.#token);
    native.closeDescriptor(this.#fd);
  }
}

function sendDescriptor(to: number, fd: number): void {
  const control = new DataView(new ArrayBuffer(CONTROL_ROOM));
  control.setBigUint64(0, BigInt(CONTROL_LENGTH), true);
  control.setInt32(8, SOL_SOCKET, true);
  control.setInt32(12, SCM_RIGHTS, true);
  control.setInt32(CONTROL_HEADER_BYTES, fd, true);
  const bytes = new Uint8Array(control.buffer);
  // Whoever gets none learns it from the end of the stream.
  native.socketSendMessage(to, [Uint8Array.of(1)], [1], 1, 0, null, bytes);
}

/** The descriptor; EAGAIN as long as there is none, another negative errno when none will come. */
function receiveDescriptor(from: number): number {
  const control = new Uint8Array(CONTROL_ROOM);
  const told = new Int32Array(MESSAGE_WORDS);
  const taken = native.socketReceiveMessage(
    from,
    [new Uint8Array(1)],
    [1],
    1,
    0,
    null,
    control,
    told,
  );
  if (taken < 0) return taken;
  const view = new DataView(control.buffer);
  const isDescriptor =
    taken === 1 &&
    (told[1] ?? 0) >= CONTROL_LENGTH &&
    view.getInt32(8, true) === SOL_SOCKET &&
    view.getInt32(12, true) === SCM_RIGHTS;
  return isDescriptor ? view.getInt32(CONTROL_HEADER_BYTES, true) : -errno.EPERM;
}
