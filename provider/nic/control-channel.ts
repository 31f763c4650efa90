// The host's wake pipe as its engine reads it: frames of peers, cut out of the stream. Believes nothing
// and decides nothing; connection-manager.ts handles them. Source: docs/nic.md.

import { segmentHeader } from '../../native/layout/segment.layout.js';
import type { Reactor, WatchToken } from '../../native/reactor.js';
import { EPOLLIN } from '../../native/reactor.js';
import type { SharedView } from '../../native/shared-view.js';
import type { OwnerPipe } from '../../native/wake-pipe.js';
import type { Frame } from './cm-frame.js';
import { FrameReader } from './cm-frame.js';

const FRAMES_WAITING = segmentHeader.word('framesWaiting');
const CONTROL_READ_BYTES = 4096;

export interface ControlChannelOptions {
  readonly view: SharedView;
  /** Word index of the host's segment header. */
  readonly header: number;
  readonly reactor: Reactor;
  readonly pipe: OwnerPipe;
  readonly handle: (frame: Frame) => void;
}

export class ControlChannel {
  readonly #options: ControlChannelOptions;
  readonly #hint: number;
  readonly #frames = new FrameReader();
  readonly #bytes = new Uint8Array(CONTROL_READ_BYTES);
  readonly #token: WatchToken;
  /** A frame may show that its sender's peer is dead. */
  #isReading = false;

  constructor(options: ControlChannelOptions) {
    this.#options = options;
    this.#hint = options.header + FRAMES_WAITING;
    this.#token = options.reactor.watch(options.pipe.fd, EPOLLIN, () => {
      this.read();
    });
  }

  /**
   * Reads what framesWaiting announces: a hint, and what it misses the reactor finds. It is taken back
   * first, so that none is lost.
   */
  take(): number {
    this.#options.view.exchange(this.#hint, 0);
    this.read();
    return 1;
  }

  read(): void {
    const { pipe, handle } = this.#options;
    if (this.#isReading) return;
    this.#isReading = true;
    for (;;) {
      const length = pipe.read(this.#bytes);
      if (length === 0) break;
      this.#frames.push(this.#bytes, handle, length);
      if (length < this.#bytes.length) break;
    }
    this.#isReading = false;
  }

  close(): void {
    this.#options.reactor.unwatch(this.#token);
  }
}
