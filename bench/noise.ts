// Who else was there while something was measured: time this thread was ready and did not run, time the
// hypervisor took, switches that nobody asked for, time of others on our cores. Read from /proc, twice per
// sample. It must not know what was measured.

import { readFileSync } from 'node:fs';
import { now } from './machine.js';

/** What disturbed one side during one sample. */
export interface Disturbance {
  readonly elapsedNanos: number;
  /** Ready to run and not running. */
  readonly waitedNanos: number;
  /** Taken from the pinned cores by the hypervisor; resolution 10 ms. */
  readonly stolenNanos: number;
  readonly involuntarySwitches: number;
}

/** The share of a sample that may be lost before it counts as disturbed. */
const LOST_SHARE_MAX = 0.01;
/** A reading of stolen time is exact to a tick; less than two of them says nothing. */
const STOLEN_NANOS_MIN = 20e6;
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
  const { elapsedNanos, waitedNanos, stolenNanos, involuntarySwitches } = side;
  const switchesPerSecond = involuntarySwitches / (elapsedNanos / 1e9);
  return (
    waitedNanos > elapsedNanos * LOST_SHARE_MAX ||
    (stolenNanos >= STOLEN_NANOS_MIN && stolenNanos > elapsedNanos * LOST_SHARE_MAX) ||
    (involuntarySwitches >= SWITCHES_MIN && switchesPerSecond > SWITCHES_PER_SECOND_MAX)
  );
}

/** How often the scheduler took the core away from this process so far. */
export function involuntarySwitches(): number {
  return process.resourceUsage().involuntaryContextSwitches;
}

/** /proc/thread-self/schedstat: time on a core, time waiting for one, slices. */
function waitedNanos(): number {
  return Number(readText('/proc/thread-self/schedstat').split(' ')[1] ?? 0);
}

/** The eighth figure of the first line of /proc/stat, in ticks, over all cores. */
function stolenNanos(): number {
  const line = readText('/proc/stat').split('\n')[0] ?? '';
  return Number(line.trim().split(/\s+/)[8] ?? 0) * NANOS_PER_TICK;
}

/** Where the kernel does not tell, nothing is known. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
