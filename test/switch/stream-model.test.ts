// Random applications above the fake provider, under all profiles, against the model of a byte stream.
// A failing run prints fast-check's seed and path, which replay it:
// STREAM_SEED=… STREAM_PATH=… npx vitest run test/switch/stream-model.test.ts

import { expect, it } from 'vitest';
import { checkStreams, PROFILES } from './fakes/stream-property.js';

it.each(PROFILES)(
  'the stream of random applications is the model’s, profile %s [ARCH-08 XFER-03 XFER-14 XFER-15 XFER-16 APP-01 APP-02 APP-03 W12.2 W12.4]',
  (profile) => {
    expect(() => {
      checkStreams(profile, 50, 31);
    }).not.toThrow();
  },
  60_000,
);
