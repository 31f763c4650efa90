// What connections cost: set-up, 10,000 one after the other, 1,000 at once. Prints its figures.

import { expect, it } from 'vitest';
import { A, B, closeClean, listen, newFabric, open } from './fixture.js';
import type { Connected, Place } from './many-connections.js';
import { churn, closeBoth, connectOne, cpuNanos, echo, memoryInUse } from './many-connections.js';
import { descriptorCount } from './descriptors.js';

async function openPlace(segmentBytes: number): Promise<Place> {
  const fabric = newFabric();
  const a = await open({ fabric, address: A, engine: 'inline', segmentBytes });
  const b = await open({ fabric, address: B, engine: 'inline', segmentBytes });
  const { listener, port } = listen(b);
  return { a, b, listener, port };
}

async function closePlace(place: Place): Promise<void> {
  place.b.winsock.closesocket(place.listener);
  await closeClean(place.a, place.b);
}

const MIB = 2 ** 20;

it('10,000 connections one after the other leave neither memory nor handles behind', async () => {
  const place = await openPlace(64 * MIB);
  churn(place, 1_000);
  const usage = [place.a.usage(), place.b.usage()];
  const descriptors = descriptorCount();
  const rounds: { nanos: number; grown: number }[] = [];
  for (let round = 0; round < 3; round++) {
    const before = await memoryInUse();
    const nanos = cpuNanos(3_000, () => {
      churn(place, 3_000);
    });
    rounds.push({ nanos, grown: (await memoryInUse()) - before });
  }
  const nanos = Math.min(...rounds.map((round) => round.nanos));
  const grown = rounds.map((round) => round.grown);
  console.log(
    `open, echo 64 B, close: ${(nanos / 1000).toFixed(0)} µs of CPU, both sides; ` +
      `memory grown by ${grown.join(', ')} B in 3,000 each`,
  );
  // Compiled code comes and goes as well; what connections leave would be in every round.
  expect(Math.min(...grown)).toBeLessThan(3_000 * 50);
  expect(descriptorCount()).toBe(descriptors);
  expect([place.a.usage(), place.b.usage()]).toEqual(usage);
  await closePlace(place);
});

it('1,000 connections at once cost a message about what one does', async () => {
  const place = await openPlace(256 * MIB);
  const rounds = 10_000;
  const measure = (all: readonly Connected[]): number =>
    cpuNanos(2 * rounds, () => {
      for (let round = 0; round < rounds; round++) {
        echo(place, all[round % all.length] as Connected);
      }
    });
  const all = [connectOne(place)];
  for (let warm = 0; warm < 3; warm++) measure(all);
  const one = measure(all);
  const setUp = cpuNanos(999, () => {
    while (all.length < 1_000) all.push(connectOne(place));
  });
  measure(all);
  const each = measure(all);
  console.log(
    `set-up: ${(setUp / 1000).toFixed(0)} µs of CPU, both sides; a message of 64 B: ` +
      `${one.toFixed(0)} ns with one connection, ${each.toFixed(0)} ns with 1,000 ` +
      `(${(each / one).toFixed(2)})`,
  );
  for (const connected of all) closeBoth(place, connected);
  await closePlace(place);
});
