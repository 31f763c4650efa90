// Who else was there while something was measured: time that a thread was ready and did not run, time the
// hypervisor took, switches that nobody asked for, time of other processes. Read from /proc; what the
// kernel does not tell counts as nothing. It must not know what was measured.

import { closeSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { now } from './machine.js';

/** What disturbed one side during one sample. */
export interface Disturbance {
  readonly elapsedNanos: number;
  /** Ready to run and not running. */
  readonly waitedNanos: number;
  /** Taken from the pinned cores by the hypervisor; resolution 10 ms. */
  readonly stolenNanos: number;
  readonly involuntarySwitches: number;
  /** Time of processes that take no part, on any core; resolution 10 ms. 0 where nobody looks for it. */
  readonly foreignNanos?: number;
}

/** The share of a sample that may be lost before it counts as disturbed. */
export const LOST_SHARE_MAX = 0.01;
/** A reading of stolen time is exact to a tick; less than two of them says nothing. */
const STOLEN_NANOS_MIN = 20e6;
/** Time of others is the difference of several readings, each exact to a tick. */
const FOREIGN_NANOS_MIN = 40e6;
/** Who sleeps leaves a core free for others most of the time. */
const FOREIGN_SHARE_MAX = 0.1;
/** Switches per second of a spinning, pinned thread from which on it had company. */
const SWITCHES_PER_SECOND_MAX = 100;
/** And not for two or three of them in a short sample. */
const SWITCHES_MIN = 4;
const NANOS_PER_TICK = 10e6;

/** Begins with its construction. Belongs to the thread that made it. */
export class NoiseWatch {
  readonly #begin = now();
  readonly #waited = waitedNanos();
  readonly #stolen = stolenNanos();
  readonly #switches = involuntarySwitches();

  end(): Disturbance {
    return {
      elapsedNanos: now() - this.#begin,
      waitedNanos: waitedNanos() - this.#waited,
      stolenNanos: stolenNanos() - this.#stolen,
      involuntarySwitches: involuntarySwitches() - this.#switches,
    };
  }
}

/** Whether a side lost a noticeable part of the sample to somebody else. */
export function isDisturbed(side: Disturbance): boolean {
  const { elapsedNanos, waitedNanos, stolenNanos, involuntarySwitches, foreignNanos = 0 } = side;
  const switchesPerSecond = involuntarySwitches / (elapsedNanos / 1e9);
  return (
    waitedNanos > elapsedNanos * LOST_SHARE_MAX ||
    (stolenNanos >= STOLEN_NANOS_MIN && stolenNanos > elapsedNanos * LOST_SHARE_MAX) ||
    (foreignNanos >= FOREIGN_NANOS_MIN && foreignNanos > elapsedNanos * FOREIGN_SHARE_MAX) ||
    (involuntarySwitches >= SWITCHES_MIN && switchesPerSecond > SWITCHES_PER_SECOND_MAX)
  );
}

/** How long some threads were ready and did not run: cheap enough to be asked every millisecond. */
export interface Waits {
  /** Of all of them together, in nanoseconds, since they began. */
  total(): number;
  close(): void;
}

/** By the names of `threadName`, of this process or of others of the same user. */
export class ThreadWaits implements Waits {
  readonly #files: readonly number[];
  /** What each of them said last: a thread that has ended says nothing any more. */
  readonly #last: Float64Array;
  readonly #bytes = new Uint8Array(96);

  constructor(threads: readonly string[]) {
    this.#files = threads.flatMap((thread) => {
      // A name that another terminal has sent leads nowhere else.
      if (!/^\d+\/task\/\d+$/.test(thread)) return [];
      try {
        return [openSync(`/proc/${thread}/schedstat`, 'r')];
      } catch {
        return [];
      }
    });
    this.#last = new Float64Array(this.#files.length);
  }

  total(): number {
    let sum = 0;
    for (let at = 0; at < this.#files.length; at++) sum += this.#read(at);
    return sum;
  }

  close(): void {
    for (const file of this.#files) closeSync(file);
  }

  /** The second of three numbers. */
  #read(which: number): number {
    const bytes = this.#bytes;
    let length: number;
    try {
      length = readSync(this.#files[which] ?? -1, bytes, 0, bytes.length, 0);
    } catch {
      return this.#last[which] ?? 0;
    }
    let at = bytes.indexOf(SPACE) + 1;
    let value = 0;
    for (; at < length && bytes[at] !== SPACE; at++) value = 10 * value + (bytes[at] ?? 0) - ZERO;
    this.#last[which] = value;
    return value;
  }
}

const SPACE = 0x20;
const ZERO = 0x30;

/** The calling thread, as the whole machine knows it: process/task/thread. */
export function threadName(): string {
  try {
    return readlinkSync('/proc/thread-self');
  } catch {
    return '';
  }
}

/** Processor time of everybody but the processes of some threads. Begins with its construction. */
export class Neighbours {
  readonly #processes: readonly string[];
  readonly #begin: number;

  constructor(threads: readonly string[]) {
    this.#processes = [...new Set(threads.map((thread) => thread.split('/')[0] ?? ''))];
    this.#begin = this.#foreign();
  }

  end(): number {
    return Math.max(0, this.#foreign() - this.#begin);
  }

  #foreign(): number {
    const own = this.#processes.reduce((sum, process) => sum + processNanos(process), 0);
    // User, nice, system: interrupts are nobody's.
    const busy = statFields().slice(1, 4);
    return busy.reduce((sum, ticks) => sum + Number(ticks) * NANOS_PER_TICK, 0) - own;
  }
}

/** The 14th and 15th field of /proc/PID/stat, counted from behind the name, which may hold anything. */
function processNanos(process: string): number {
  const text = readText(`/proc/${process}/stat`);
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * NANOS_PER_TICK;
}

/** How often the scheduler took the core away from this thread so far. */
export function involuntarySwitches(): number {
  const status = readText('/proc/thread-self/status');
  return Number(/^nonvoluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1] ?? 0);
}

/** /proc/thread-self/schedstat: time on a core, time waiting for one, slices. */
function waitedNanos(): number {
  return Number(readText('/proc/thread-self/schedstat').split(' ')[1] ?? 0);
}

/** The eighth figure of the first line of /proc/stat, over all cores. */
function stolenNanos(): number {
  return Number(statFields()[8] ?? 0) * NANOS_PER_TICK;
}

/** In ticks, over all cores, the name before them. */
function statFields(): string[] {
  return (readText('/proc/stat').split('\n')[0] ?? '').trim().split(/\s+/);
}

/** Where the kernel does not tell, nothing is known. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
