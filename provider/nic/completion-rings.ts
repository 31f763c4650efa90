// The completion queues of one engine, by index: their rings, their events, and the time of those.

import { assert } from '../../runtime/assert.js';
import type { Clock, Nanos } from '../../runtime/clock.js';
import type { SharedView } from '../../native/shared-view.js';
import type { EngineCommand, EngineEvent } from './commands.js';
import { CompletionEvents } from './completion-events.js';
import { CompletionRing } from './completion-ring.js';
import { CQ_ARMED } from './layout.js';

type Command<T extends EngineCommand['type']> = Extract<EngineCommand, { readonly type: T }>;

export class CompletionRings {
  readonly #rings: { readonly ring: CompletionRing; readonly control: number }[] = [];
  readonly #view: SharedView;
  readonly #private: number;
  readonly #clock: Clock;
  readonly #report: (event: EngineEvent) => void;
  /** Whether expire() may ever have something to do. */
  hasEvents = false;

  /** `base` is the word index of the private segment. */
  constructor(options: {
    view: SharedView;
    base: number;
    clock: Clock;
    report: (event: EngineEvent) => void;
  }) {
    this.#view = options.view;
    this.#private = options.base;
    this.#clock = options.clock;
    this.#report = options.report;
  }

  get count(): number {
    return this.#rings.length;
  }

  create(command: Command<'create-completion-queue'>): void {
    const control = this.#private + command.control / 4;
    const at = this.#private + command.ring / 4;
    const ring = new CompletionRing(this.#view, at, control, command.depth);
    this.#rings[command.index] = { ring, control };
  }

  at(index: number): CompletionRing {
    return this.#entry(index).ring;
  }

  enableEvents(index: number): void {
    const { ring, control } = this.#entry(index);
    this.hasEvents = true;
    ring.events ??= new CompletionEvents(this.#view, control + CQ_ARMED, this.#clock, () => {
      this.#report({ type: 'completion-event', completionQueue: index });
    });
  }

  moderate(command: Command<'moderate-completion-queue'>): void {
    this.at(command.index).events?.moderate(command.countMin, command.periodMax);
  }

  expire(now: Nanos): void {
    if (!this.hasEvents) return;
    for (const { ring } of this.#rings) ring.events?.expire(now);
  }

  /** When moderation reports what it has held; Infinity for never. */
  nextDue(): Nanos {
    let earliest = Infinity;
    if (!this.hasEvents) return earliest;
    for (const { ring } of this.#rings)
      earliest = Math.min(earliest, ring.events?.dueAt ?? Infinity);
    return earliest;
  }

  #entry(index: number): { readonly ring: CompletionRing; readonly control: number } {
    const entry = this.#rings[index];
    assert(entry !== undefined, 'the completion queue exists');
    return entry;
  }
}
