// The wake pipe of a host: a named pipe in the fabric's directory. The owner holds its reading
// end as long as it lives, so opening or watching the writing end tells whether it does; a peer
// wakes the owner by writing a short message, which arrives whole or not at all. It must not know
// the messages.

import { check, errno, SystemError } from './errors.js';
import { native } from './load.js';
import { unlinkIfThere } from './segment.js';

/** The longest message that a pipe takes atomically (PIPE_BUF of Linux). */
export const WAKE_BYTES_MAX = 4096;

/** The owner's end. Readable (EPOLLIN) when a peer has written. */
export class OwnerPipe {
  readonly fd: number;
  readonly path: string;
  #open = true;

  readonly #madeIt: boolean;

  private constructor(fd: number, path: string, madeIt: boolean) {
    this.fd = fd;
    this.path = path;
    this.#madeIt = madeIt;
  }

  /**
   * Makes the pipe and opens it: from then on its host counts as alive. Throws SystemError
   * (EEXIST, …).
   */
  static create(path: string): OwnerPipe {
    check(native.pipeCreate(path), 'mkfifo', path);
    const fd = native.pipeOpenOwner(path);
    if (fd < 0) unlinkIfThere(path);
    return new OwnerPipe(check(fd, 'open', path), path, true);
  }

  /** Opens the existing pipe of this process's own host for another of its threads. */
  static attach(path: string): OwnerPipe {
    return new OwnerPipe(check(native.pipeOpenOwner(path), 'open', path), path, false);
  }

  /**
   * Reads what is there, up to `bytes.length`, which may be several messages. 0 when nothing is.
   */
  read(bytes: Uint8Array): number {
    const result = native.pipeRead(this.fd, bytes);
    return result === -errno.EAGAIN ? 0 : check(result, 'read', this.path);
  }

  /**
   * Ends the host's life in the eyes of its peers, once every thread has closed; its maker
   * removes the pipe.
   */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.#madeIt) unlinkIfThere(this.path);
    native.closeDescriptor(this.fd);
  }
}

/** What became of a message: it is in the pipe, the pipe is full, or the owner is dead. */
export type WakeOutcome = 'sent' | 'full' | 'gone';

/** A peer's end. Reports EPOLLERR when the owner is gone. */
export class PeerPipe {
  readonly fd: number;
  readonly path: string;
  #open = true;

  private constructor(fd: number, path: string) {
    this.fd = fd;
    this.path = path;
  }

  /**
   * Opens the pipe of a living owner; null when it is dead or was never there. Throws SystemError
   * otherwise.
   */
  static open(path: string): PeerPipe | null {
    const fd = native.pipeOpenPeer(path);
    if (fd === -errno.ENXIO || fd === -errno.ENOENT) return null;
    return new PeerPipe(check(fd, 'open', path), path);
  }

  /**
   * Writes one message of `length` bytes, at most WAKE_BYTES_MAX, whole or not at all. Never
   * waits.
   */
  write(bytes: Uint8Array, length: number = bytes.length): WakeOutcome {
    const result = native.pipeWrite(this.fd, bytes, length);
    if (result === length) return 'sent';
    if (result === -errno.EAGAIN) return 'full';
    if (result === -errno.EPIPE) return 'gone';
    throw new SystemError(-result, 'write', this.path);
  }

  /** Whether the owner still has its end open. */
  isAlive(): boolean {
    return check(native.pipeAlive(this.fd), 'poll', this.path) === 1;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    native.closeDescriptor(this.fd);
  }
}
