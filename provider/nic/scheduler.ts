// Which queue pairs get a turn: the polled ones, and those whose doorbell was rung. A step visits no
// other, however many there are. The ready map lies where every peer can write, so it is a hint: a
// stray bit costs a look, and what lost its bit is found by rescue().

import type { Nanos } from '../../runtime/clock.js';
import type { NativeBinding } from '../../native/binding.js';
import { READY_SUMMARY_WORDS, segmentHeader } from '../../native/layout/segment.layout.js';
import type { SharedView } from '../../native/shared-view.js';
import type { EngineQueuePair } from './engine-queue-pair.js';
import { QueuePairState } from './engine-queue-pair.js';
import { HotList } from './hot-list.js';
import { RINGS_BEFORE_HOT, STEPS_PER_SWEEP, TURN_BUDGET } from './limits.js';

const SUMMARY = segmentHeader.word('readySummary');
const READY = segmentHeader.word('readyMap');

export interface SchedulerHost {
  readonly view: SharedView;
  readonly native: NativeBinding;
  /** Word index of the host's segment header. */
  readonly header: number;
  /** By slot. */
  readonly queuePairs: readonly (EngineQueuePair | undefined)[];
  /** Gives a queue pair a turn: returns the work done, 0 unless its state is RTS. */
  turn(queuePair: EngineQueuePair): number;
  /** Completes what was posted to a queue pair whose connection is over. */
  flush(queuePair: EngineQueuePair): void;
}

export class Scheduler {
  readonly #host: SchedulerHost;
  readonly #view: SharedView;
  readonly #header: number;
  readonly #hot: HotList;
  readonly #turn: (queuePair: EngineQueuePair) => number;
  #steps = 0;
  #sweeps = 0;

  constructor(host: SchedulerHost) {
    this.#host = host;
    this.#view = host.view;
    this.#header = host.header;
    this.#turn = (qp) => host.turn(qp);
    this.#hot = new HotList(host.view, host.native, this.#turn);
  }

  /** One turn for everyone who may have something to do. Returns the work done. */
  step(): number {
    let work = 0;
    const hot = this.#hot.members;
    for (let index = 0; index < hot.length; index++)
      work += this.#host.turn(hot[index] as EngineQueuePair);
    const words = this.#view.words;
    for (let index = 0; index < READY_SUMMARY_WORDS; index++) {
      if (words[this.#header + SUMMARY + index] !== 0) work += this.#takeReady(index);
    }
    if (++this.#steps === STEPS_PER_SWEEP) this.#sweep();
    return work;
  }

  /** The queue pair is busy by itself: polls it while it has a place among the polled ones. */
  offer(qp: EngineQueuePair): void {
    this.#hot.offer(qp);
  }

  /** After a turn or a posting outside step(): nobody rings for what was left behind. */
  follow(qp: EngineQueuePair, work: number): void {
    if (qp.hot || qp.state !== QueuePairState.RTS) return;
    if (work >= TURN_BUDGET || !qp.isQuiet) this.#hot.add(qp);
  }

  remove(qp: EngineQueuePair): void {
    this.#hot.remove(qp);
  }

  arm(): void {
    this.#hot.arm();
  }

  disarm(): void {
    this.#hot.disarm();
  }

  nextDue(): Nanos {
    return this.#hot.nextDue();
  }

  /**
   * A turn for everyone else. A healthy fabric does not need it; without it, whoever clears bits of
   * the ready map would stop connections that are not theirs.
   */
  rescue(): number {
    let work = 0;
    for (const qp of this.#host.queuePairs) {
      if (qp === undefined || qp.hot) continue;
      work += this.#visit(qp);
    }
    return work;
  }

  /** Takes the queue pairs whose bits are set in the words that summary word `index` stands for. */
  #takeReady(index: number): number {
    let work = 0;
    let summary = this.#view.exchange(this.#header + SUMMARY + index, 0);
    while (summary !== 0) {
      const word = index * 32 + lowestBit(summary);
      summary &= summary - 1;
      let ready = this.#view.exchange(this.#header + READY + word, 0);
      while (ready !== 0) {
        const qp = this.#host.queuePairs[word * 32 + lowestBit(ready)];
        ready &= ready - 1;
        if (qp !== undefined && !qp.hot) work += this.#visit(qp);
      }
    }
    return work;
  }

  #visit(qp: EngineQueuePair): number {
    if (qp.state === QueuePairState.ERR) {
      this.#host.flush(qp);
      return 1;
    }
    const work = this.#host.turn(qp);
    if (qp.sweep !== this.#sweeps) {
      qp.sweep = this.#sweeps;
      qp.rings = 0;
    }
    if (work > 0 && ++qp.rings >= RINGS_BEFORE_HOT && qp.state === QueuePairState.RTS) {
      this.#hot.offer(qp);
    }
    this.follow(qp, work);
    return work;
  }

  #sweep(): void {
    this.#steps = 0;
    this.#sweeps = (this.#sweeps + 1) | 0;
    this.#hot.shed();
  }
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}
