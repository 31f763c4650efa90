// One process among those that share a socket: its Group, its Links to the others, and the loop that
// carries out what the group asks for. Talking is done here; what is shared, and how it moves, is the
// Shareable's. Sources: DUP-03, DUP-04; docs/duplication.md, "Control".

import type { Nanos } from '../../runtime/clock.js';
import type { SwitchCore } from '../core.js';
import type { SharingServices } from './channel.js';
import { type GroupAction, Group } from './group.js';
import { Links } from './links.js';
import type { Shared } from './shares.js';

/** What moves from process to process: see GroupAction for each. */
export interface Shareable extends Shared {
  yield(): void;
  resume(): void;
  /** To a process that may have gone: null. */
  handOver(to: number, processId: number | null): void;
  take(state: Uint8Array): void;
  begin(): void;
  /** Nothing brings control any more. */
  ended(error: number): void;
  endGracefully(): void;
  /** Closed here, and all that was said has left. */
  vanished(): void;
}

export class Membership {
  readonly group: Group;
  readonly #core: SwitchCore;
  readonly #links: Links;
  readonly #shareable: Shareable;
  #isRunning = false;

  /** `hub`: by which whoever offered it is reached; null in the process that begins to share. */
  constructor(
    core: SwitchCore,
    services: SharingServices,
    hub: string | null,
    shareable: Shareable,
  ) {
    this.#core = core;
    this.#shareable = shareable;
    this.#links = new Links(services, {
      opened: (id) => {
        this.group.opened(id);
      },
      received: (id, message) => {
        this.group.received(id, message, this.now());
        this.run(false);
      },
      closed: (id) => {
        this.group.closed(id, this.now());
        this.run(false);
      },
    });
    const { name } = this.#links;
    this.group = hub === null ? Group.controlling(name) : Group.joining(name, hub);
  }

  /** Comes to the others, if any. False: there are no descriptors left, or nobody is there any more. */
  start(): boolean {
    if (this.#links.isOpen) this.run(false);
    const isHere = this.#links.isOpen && this.group.phase !== 'ended';
    if (isHere) this.#core.shares.add(this.#shareable);
    else this.#links.close();
    return isHere;
  }

  /** By which another process reaches this one. */
  get name(): string {
    return this.#links.name;
  }

  now(): Nanos {
    return this.#core.environment.clock.now();
  }

  /** The application has something to do that needs control. [DUP-03, DUP-04] */
  want(): void {
    this.group.want();
    this.run(false);
  }

  /** The application has closed the socket. */
  leave(): void {
    this.group.leave(this.now());
    this.run(false);
  }

  /** A turn: `step` says what has happened here, then whatever is due is done. */
  turn(step: () => void): number {
    if (this.#isRunning) return 0;
    step();
    this.group.turn(this.now());
    return this.run(true);
  }

  /** Carries out what the group asks for; `mayWait`: a provider may be called that waits. */
  run(mayWait: boolean): number {
    if (this.#isRunning) return 0;
    this.#isRunning = true;
    const { group } = this;
    let work = 0;
    for (let next = group.poll(mayWait); next !== null; next = group.poll(mayWait)) {
      this.#carryOut(next);
      work++;
    }
    this.#isRunning = false;
    if (group.phase === 'gone' && this.#links.areFlushed) this.#shareable.vanished();
    return work;
  }

  #carryOut(action: GroupAction): void {
    const shareable = this.#shareable;
    switch (action.kind) {
      case 'send':
        this.#links.send(action.to, action.message);
        return;
      case 'connect':
        this.#links.connect(action.name);
        return;
      case 'disconnect':
        this.#links.drop(action.from);
        return;
      case 'yield':
        shareable.yield();
        return;
      case 'resume':
        shareable.resume();
        return;
      case 'hand-over':
        shareable.handOver(action.to, this.#links.processOf(action.to));
        return;
      case 'take':
        shareable.take(action.state);
        return;
      case 'begin':
        shareable.begin();
        return;
      case 'end':
        shareable.ended(action.error);
        return;
      case 'close':
        shareable.endGracefully();
        return;
    }
  }

  /** Nobody else has the socket, or nobody is told any more. Twice is allowed. */
  close(): void {
    this.#links.close();
    this.#core.shares.delete(this.#shareable);
  }
}
