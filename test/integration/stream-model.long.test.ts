// The long form of the model-based stream tests, above fake providers and on whole hosts.
// STREAM_RUNS sets how many plans each combination gets.

import { describe, expect, it } from 'vitest';
import { checkStreams, PROFILES } from '../switch/fakes/stream-property.js';
import { checkRealStreams, MASKS } from './real-streams.js';

const RUNS = Number(process.env['STREAM_RUNS'] ?? 1_000);

describe.each(PROFILES)('profile %s', (profile) => {
  it('above fake providers with any habits', () => {
    expect(() => {
      checkStreams(profile, RUNS, 33);
    }).not.toThrow();
  }, 600_000);

  it.each(MASKS)(
    'on whole hosts, %o',
    async (capabilities) => {
      await expect(
        checkRealStreams(profile, capabilities, Math.ceil(RUNS / 10), 34),
      ).resolves.toBeUndefined();
    },
    600_000,
  );
});
