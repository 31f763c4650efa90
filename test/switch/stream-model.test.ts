// Random applications above the fake provider, under all profiles, against the model of a byte stream.
// A failing run prints fast-check's seed and path, which replay it:
// STREAM_SEED=… STREAM_PATH=… npx vitest run test/switch/stream-model.test.ts

import { expect, it } from 'vitest';
import { checkStream, checkStreams, PROFILES } from './fakes/stream-property.js';

it.each(PROFILES)(
  'the stream of random applications is the model’s, profile %s [ARCH-08 XFER-03 XFER-14 XFER-15 XFER-16 APP-01 APP-02 APP-03 W12.2 W12.4]',
  (profile) => {
    expect(() => {
      checkStreams(profile, 50, 31);
    }).not.toThrow();
  },
  60_000,
);

it('a nonblocking send counts on no buffers that its provider will not register, and so waits for none [W4.6]', () => {
  // Two regions can be registered, of send and of receive buffers: there is no third for more of the former.
  const a = { lazy: true, threshold: 300, registrationsMax: 2 };
  const steps = [
    { kind: 'sendNow', side: 'b', length: 1 },
    { kind: 'sendNow', side: 'a', length: 4090 },
  ] as const;
  expect(() => {
    checkStream('documented', { a, b: { threshold: 300 } }, { steps, abrupt: null });
  }).not.toThrow();
});
