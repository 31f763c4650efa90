// The property that random applications above two fake providers see the model's byte stream: providers
// with any habits that the contract allows, at both ends. Test and long test choose how often.

import fc from 'fast-check';
import type { ProfileName } from '../../../provider/spi/index.js';
import type { Plan } from '../../integration/stream-model.js';
import { plans, runPlan, withSingleBuffers } from '../../integration/stream-model.js';
import type { FakeSanOptions } from './fake-san.js';
import { connectPair, World } from './world.js';

export const PROFILES: readonly ProfileName[] = ['documented', 'windows', 'real-switch', 'hostile'];

const provider: fc.Arbitrary<Partial<FakeSanOptions>> = fc.record({
  rdmaRead: fc.boolean(),
  inline: fc.boolean(),
  reversed: fc.boolean(),
  lazy: fc.boolean(),
  nested: fc.boolean(),
  shuffled: fc.boolean(),
  abortsLate: fc.boolean(),
  late: fc.constantFrom(0, 0, 3),
  threshold: fc.constantFrom(300, 4_096, 16_384),
  maxMessageSize: fc.constantFrom(null, 512),
  maxRdmaSize: fc.constantFrom(null, 5_000),
  registrationsMax: fc.constantFrom(Infinity, Infinity, 3, 2),
});

/** Throws with fast-check's seed and path, which STREAM_SEED and STREAM_PATH hand back. */
export function checkStreams(profile: ProfileName, runs: number, seed: number): void {
  fc.assert(
    fc.property(provider, provider, plans, (a, b, plan) => {
      checkStream(profile, { a, b }, plan);
    }),
    parametersOf(runs, seed),
  );
}

/** What every property over streams is run with. */
export function parametersOf(runs: number, seed: number): fc.Parameters<unknown> {
  const path = process.env['STREAM_PATH'];
  return {
    numRuns: runs,
    seed: Number(process.env['STREAM_SEED'] ?? seed),
    ...(path === undefined ? {} : { path }),
  };
}

/** One plan above two providers with these habits. Throws when an application sees anything else than the model. */
export function checkStream(
  profile: ProfileName,
  options: { readonly a: Partial<FakeSanOptions>; readonly b: Partial<FakeSanOptions> },
  plan: Plan,
): void {
  const world = new World({ profile, ...options });
  const { client, server } = connectPair(world);
  const ends = {
    a: { winsock: world.a.winsock, socket: client },
    b: { winsock: world.b.winsock, socket: server },
    turn: () => world.progress.poll(),
  };
  const { a, b } = options;
  const isScarce = a.registrationsMax !== Infinity || b.registrationsMax !== Infinity;
  runPlan(ends, isScarce ? withSingleBuffers(plan) : plan);
  world.close();
}
