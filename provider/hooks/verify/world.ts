// What a verifier knows: the sockets of every provider it is put around, which of them are connected with
// which, and the violations found. One world is shared by all hosts of one verifier, so that what one
// side sends can be held against what the other receives. Sources: COMP-07, UPC-04, CONN-03.

import { Journal } from './journal.js';
import type { Place, StopCode, Violation } from './stops.js';
import { STOPS, VerifierStop } from './stops.js';
import { Exposures, SocketMemory } from './memory.js';
import { MessageOrder } from './messages.js';
import type { Operation } from './operation.js';

/** What a verifier knows of one socket of one provider. */
export class SocketShadow {
  readonly memory = new SocketMemory();
  readonly pending = new Set<Operation>();
  /** Messages to the peer, and receives for those of the peer. */
  readonly outgoing = new MessageOrder();
  receives = 0;
  /** The other end, when a verifier of this process sees that too. */
  peer: SocketShadow | null = null;
  /** Bound to, as "ip:port"; empty before. */
  localName = '';
  isClosed = false;
  /** Handed over by WSPDuplicateSocket: its receives end empty. [DUP-11] */
  isHandedOver = false;
  /** Completion upcalls for it that have not returned. */
  upcallDepth = 0;

  constructor(
    readonly descriptor: number,
    readonly handle: number,
  ) {}
}

/** Operations in progress at once on one socket; RDMA transfers count as sends. [IMPL-01] */
export interface QueueDepth {
  readonly sends: number;
  readonly receives: number;
}

export interface WorldOptions {
  /** Look at every byte of a message instead of evenly spread ones. */
  readonly fullPayload: boolean;
  /** Codes that are not reported. */
  readonly tolerate: ReadonlySet<StopCode>;
  /** What one socket may have in progress. */
  readonly depth: QueueDepth;
  /** What to do with a violation besides keeping it; may throw. */
  readonly onViolation: (violation: Violation) => void;
}

/** Violations of one code that are kept: who breaks the contract does so again and again. */
const KEPT_MAX = 10;

export class World {
  readonly violations: Violation[] = [];
  readonly exposures = new Exposures<SocketShadow>();
  readonly hosts = new Set<HostShadow>();
  /** Connecting sockets by "local > remote", until the other end accepts. */
  readonly connecting = new Map<string, SocketShadow>();
  /** Counts events, so that before and after can be told. */
  time = 0;

  constructor(readonly options: WorldOptions) {}

  /** Memory goes: remembered in every registration that it is under. */
  memoryFreed(memory: Uint8Array): void {
    const freed = new Error('freed here');
    for (const host of this.hosts) {
      for (const socket of host.sockets.values()) socket.memory.free(memory, freed);
    }
    this.exposures.free(memory, freed);
  }
}

/** What a verifier knows of one provider. */
export class HostShadow {
  readonly journal = new Journal();
  /** Open sockets by descriptor. */
  readonly sockets = new Map<number, SocketShadow>();
  /** Descriptors that were closed and not given out again. */
  readonly closed = new Set<number>();
  /** Sockets by the switch's handle, until it is given back. */
  readonly byHandle = new Map<number, SocketShadow | null>();
  readonly givenBack = new Set<number>();
  /** The latest operation of each of the caller's structures. */
  readonly operations = new WeakMap<object, Operation>();
  /** Handles that were made inside the running WSPSocket or WSPAccept. */
  newHandles: number[] | null = null;
  isCleaningUp = false;
  upcallDepth = 0;
  starts = 0;

  constructor(readonly world: World) {
    world.hosts.add(this);
  }

  /** Reports a violation. Throws VerifierStop when the verifier is told to stop. */
  stop(code: StopCode, detail: string, places: readonly Place[] = []): void {
    const { options, violations } = this.world;
    if (options.tolerate.has(code)) return;
    const { party, clauses } = STOPS[code];
    const stack = new Error(code).stack ?? '';
    const events = this.journal.lines();
    const violation = { code, party, clauses, detail, stack, places, events };
    const known = violations.filter((one) => one.code === code).length;
    if (known < KEPT_MAX) violations.push(violation);
    options.onViolation(violation);
  }

  /** The open socket with this descriptor, or null. */
  socket(descriptor: number): SocketShadow | null {
    return this.sockets.get(descriptor) ?? null;
  }
}

/** Stops the run at once: the violation is thrown through whoever broke the contract. */
export function throwStop(violation: Violation): never {
  throw new VerifierStop(violation);
}
