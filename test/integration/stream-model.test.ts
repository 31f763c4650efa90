// Random applications on whole hosts against the model of a byte stream, under all profiles and pairs of
// capabilities. Replay: STREAM_SEED=… STREAM_PATH=… npx vitest run test/integration/stream-model.test.ts

import { describe, expect, it } from 'vitest';
import { PROFILES } from '../switch/fakes/stream-property.js';
import { checkRealStreams, MASKS } from './real-streams.js';

describe.each(PROFILES)('profile %s', (profile) => {
  it.each(MASKS)(
    'the stream of random applications is the model’s, %o [ARCH-08 XFER-09 XFER-10 XFER-11 XFER-15 APP-03]',
    async (capabilities) => {
      await expect(checkRealStreams(profile, capabilities, 5, 32)).resolves.toBeUndefined();
    },
    30_000,
  );
});
