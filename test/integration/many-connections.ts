// Many connections between two whole hosts of one thread: one after the other, and all at once. Counts
// and measures; what the figures should be is said by the tests. Throws when anything goes wrong.

import type { Host } from '../../index.js';
import { connect, must } from './fixture.js';

export interface Place {
  readonly a: Host;
  readonly b: Host;
  readonly listener: number;
  readonly port: number;
}

export interface Connected {
  readonly atA: number;
  readonly atB: number;
}

const message = Buffer.alloc(64, 'm');
const answer = Buffer.alloc(64);

export function connectOne({ a, b, listener, port }: Place): Connected {
  const atA = connect(a, b.address, port);
  return { atA, atB: must(b.winsock, 'accept', b.winsock.accept(listener, null, null)) };
}

/** 64 bytes from A to B and back. */
export function echo({ a, b }: Place, { atA, atB }: Connected): void {
  carry(a, atA, b, atB);
  carry(b, atB, a, atA);
}

function carry(from: Host, source: number, to: Host, target: number): void {
  must(from.winsock, 'send', from.winsock.send(source, message, message.length, 0));
  const count = must(to.winsock, 'recv', to.winsock.recv(target, answer, answer.length, 0));
  if (count !== message.length) throw new Error(`${count} bytes came back`);
}

export function closeBoth({ a, b }: Place, { atA, atB }: Connected): void {
  must(a.winsock, 'closesocket', a.winsock.closesocket(atA));
  must(b.winsock, 'closesocket', b.winsock.closesocket(atB));
}

/** Lets everything move that can. */
export function settle({ a }: Place): void {
  for (let idle = 0; idle < 50; ) idle = a.progress() > 0 ? 0 : idle + 1;
}

/** Opens, uses and closes `count` connections, one after the other. */
export function churn(place: Place, count: number): void {
  for (let index = 0; index < count; index++) {
    const connected = connectOne(place);
    echo(place, connected);
    closeBoth(place, connected);
    settle(place);
  }
}

/** Nanoseconds of processor time of the whole process that `act` takes, for each of `count`. */
export function cpuNanos(count: number, act: () => void): number {
  const before = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / count;
}

/** Bytes on the heap and outside of it that are in use, once collecting finds nothing more. */
export async function memoryInUse(): Promise<number> {
  let least = Infinity;
  for (let vain = 0; vain < 5; vain++) {
    global.gc?.();
    // What was outside of the heap is let go of by tasks of its own.
    await new Promise((resolve) => setImmediate(resolve));
    const { heapUsed, external } = process.memoryUsage();
    if (heapUsed + external < least) vain = 0;
    least = Math.min(least, heapUsed + external);
  }
  return least;
}
