// The channels of one process to the others that share a socket with it, by number, and what comes over
// them as messages. Whoever says what no process of ours says is gone. Knows nothing of who has control.
// Source: docs/duplication.md, "Control".

import type { ChannelEvents, ChannelListener, ControlChannel, SharingServices } from './channel.js';
import type { ControlMessage } from './messages.js';
import { decodeMessage, encodeMessage } from './messages.js';

export interface LinkEvents {
  /** connect() has succeeded. */
  opened(id: number): void;
  received(id: number, message: ControlMessage): void;
  /** The other one is gone; 0: connect() has failed. */
  closed(id: number): void;
}

export class Links {
  readonly #services: SharingServices;
  readonly #events: LinkEvents;
  readonly #listener: ChannelListener | null;
  readonly #channels = new Map<number, ControlChannel>();
  #last = 0;

  constructor(services: SharingServices, events: LinkEvents) {
    this.#services = services;
    this.#events = events;
    this.#listener = services.channels.listen((channel) => {
      const id = ++this.#last;
      this.#channels.set(id, channel);
      return this.#eventsOf(id);
    });
  }

  /** False: there are no descriptors left, and nobody can come. */
  get isOpen(): boolean {
    return this.#listener !== null;
  }

  /** By which others reach this process. */
  get name(): string {
    return this.#listener?.name ?? '';
  }

  /** Whether everything sent has left this process. */
  get areFlushed(): boolean {
    for (const { isFlushed } of this.#channels.values()) if (!isFlushed) return false;
    return true;
  }

  /** null: it is gone. */
  processOf(id: number): number | null {
    return this.#channels.get(id)?.processId ?? null;
  }

  send(to: number, message: ControlMessage): void {
    this.#channels.get(to)?.send(encodeMessage(message));
  }

  connect(name: string): void {
    const id = ++this.#last;
    const channel = this.#services.channels.connect(name, this.#eventsOf(id));
    if (channel === null) {
      this.#events.closed(0);
      return;
    }
    this.#channels.set(id, channel);
    this.#events.opened(id);
  }

  drop(id: number): void {
    this.#channels.get(id)?.close();
    this.#channels.delete(id);
  }

  /** Closes them all, and nobody comes any more. Twice is allowed. */
  close(): void {
    for (const id of [...this.#channels.keys()]) this.drop(id);
    this.#listener?.close();
  }

  #eventsOf(id: number): ChannelEvents {
    return {
      received: (bytes) => {
        const message = decodeMessage(bytes);
        if (message !== null) {
          this.#events.received(id, message);
          return;
        }
        this.drop(id);
        this.#events.closed(id);
      },
      closed: () => {
        this.#channels.delete(id);
        this.#events.closed(id);
      },
    };
  }
}
