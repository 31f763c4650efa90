// Messages between processes of one user over UNIX sockets of abstract names: a length in front of each,
// whole and in order. What cannot be sent at once waits for the other end to read. It must not know what
// a message says. docs/duplication.md, "Control".

import { randomBytes } from 'node:crypto';
import { errno } from './errors.js';
import { native } from './load.js';
import { EPOLLIN, EPOLLOUT } from './reactor.js';
import type { Reactor, WatchToken } from './reactor.js';
import { acceptAt, connectTo, listenAt, processAt } from './unix-socket.js';

const NAME_BYTES = 16;
const LENGTH_BYTES = 4;
/** More than any message: whoever says more is none of ours. */
const MESSAGE_BYTES_MAX = 2 ** 26;
const READ_BYTES = 65_536;

interface Events {
  received(message: Uint8Array): void;
  closed(): void;
}

/** Belongs to the thread of its reactor. */
class Channel {
  readonly processId: number;
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #token: WatchToken;
  #events: Events | null = null;
  #unsent: Uint8Array[] = [];
  #received: Buffer = Buffer.alloc(0);
  #isOpen = true;

  constructor(reactor: Reactor, fd: number, processId: number) {
    this.#reactor = reactor;
    this.#fd = fd;
    this.processId = processId;
    this.#token = reactor.watch(fd, EPOLLIN, (events) => {
      if ((events & EPOLLOUT) !== 0) this.#flush();
      if (this.#isOpen && (events & ~EPOLLOUT) !== 0) this.#read();
    });
  }

  /** Where news go; before any can come. */
  attach(events: Events): void {
    this.#events = events;
  }

  get isFlushed(): boolean {
    return this.#unsent.length === 0;
  }

  send(message: Uint8Array): void {
    if (!this.#isOpen) return;
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32LE(message.length);
    this.#unsent.push(length, message);
    this.#flush();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#unsent = [];
    this.#reactor.unwatch(this.#token);
    native.closeDescriptor(this.#fd);
  }

  #end(): void {
    if (!this.#isOpen) return;
    this.close();
    this.#events?.closed();
  }

  #flush(): void {
    while (this.#unsent.length > 0) {
      const parts = this.#unsent.slice(0, 8);
      const lengths = parts.map((part) => part.length);
      const sent = native.socketSend(this.#fd, parts, lengths, parts.length, 0);
      if (sent === -errno.EAGAIN) break;
      if (sent < 0) {
        // Whoever reads learns of it from the end of the stream.
        this.#unsent = [];
        break;
      }
      this.#dropSent(sent);
    }
    const events = this.#unsent.length > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if (this.#isOpen) this.#reactor.change(this.#token, events);
  }

  #dropSent(bytes: number): void {
    let left = bytes;
    for (let [first] = this.#unsent; first !== undefined; [first] = this.#unsent) {
      if (first.length > left) {
        this.#unsent[0] = first.subarray(left);
        return;
      }
      left -= first.length;
      this.#unsent.shift();
    }
  }

  #read(): void {
    for (;;) {
      const into = Buffer.alloc(READ_BYTES);
      const count = native.socketReceive(this.#fd, [into], [into.length], 1, 0);
      if (count === -errno.EAGAIN) break;
      if (count <= 0) {
        this.#end();
        return;
      }
      this.#received = Buffer.concat([this.#received, into.subarray(0, count)]);
      if (count < into.length) break;
    }
    this.#deliver();
  }

  #deliver(): void {
    while (this.#isOpen && this.#received.length >= LENGTH_BYTES) {
      const length = this.#received.readUInt32LE();
      if (length > MESSAGE_BYTES_MAX) {
        this.#end();
        return;
      }
      const end = LENGTH_BYTES + length;
      if (this.#received.length < end) return;
      const message = this.#received.subarray(LENGTH_BYTES, end);
      this.#received = this.#received.subarray(end);
      this.#events?.received(message);
    }
  }
}

/** The channels of one thread: those of its reactor. */
export class UnixChannels {
  readonly #reactor: Reactor;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  /** Listens by a new name until it is closed; null: the kernel has no socket left. */
  listen(
    accepted: (channel: Channel) => Events,
  ): { readonly name: string; readonly close: () => void } | null {
    const name = randomBytes(NAME_BYTES).toString('hex');
    const listener = listenAt(name);
    if (listener < 0) return null;
    const reactor = this.#reactor;
    const token = reactor.watch(listener, EPOLLIN, () => {
      const fd = acceptAt(listener);
      const channel = fd < 0 ? null : this.#open(fd);
      channel?.attach(accepted(channel));
    });
    let isOpen = true;
    const close = (): void => {
      if (!isOpen) return;
      isOpen = false;
      reactor.unwatch(token);
      native.closeDescriptor(listener);
    };
    return { name, close };
  }

  /** null: nobody of this user listens by that name. */
  connect(name: string, events: Events): Channel | null {
    const fd = connectTo(name);
    const channel = fd < 0 ? null : this.#open(fd);
    channel?.attach(events);
    return channel;
  }

  #open(fd: number): Channel | null {
    const processId = processAt(fd);
    if (processId > 0) return new Channel(this.#reactor, fd, processId);
    native.closeDescriptor(fd);
    return null;
  }
}
