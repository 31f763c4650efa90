// Carries many small messages and says what stays behind on the JavaScript heap. Both ends are in this
// thread; started with --expose-gc.

import {
  acceptOne,
  AppEndpoint,
  connectTo,
  listenOn,
  openApp,
} from '../../../bench/endpoint-app.js';
import { ProviderEndpoint } from '../../../bench/endpoint-provider.js';
import type { Endpoint } from '../../../bench/endpoint.js';
import { SLOT_COUNT } from '../../../bench/endpoint.js';
import { openRawPair } from './raw-pair.js';
import { plan, say } from './talk.js';

const MESSAGE_BYTES = 64;
const WARM_UP = 40_000;
/** So few that nothing is collected in between. */
const SAMPLE = 2_000;
/** The compiler and the profiler of the runtime allocate, too, in some of them. */
const SAMPLES = 8;

const ROUND = 20_000;
const ROUNDS_MAX = 60;

const given = plan() as {
  fabric: string;
  path: 'provider' | 'switch';
  /** How many at least; then as many as it takes until a round left nothing behind. */
  messages: number;
  /** Growth in bytes of a round that counts as nothing. */
  roundBytesMax: number;
};
const ends = await (given.path === 'provider' ? providerEnds() : switchEnds());
carry(WARM_UP);
const sampled = Array.from({ length: SAMPLES }, () => {
  const before = heapUsed();
  carry(SAMPLE);
  return process.memoryUsage().heapUsed - before;
});
// The runtime learns and forgets code now and then; a leak would show in every round.
const grown: number[] = [];
for (let last = heapUsed(); grown.length < ROUNDS_MAX; ) {
  carry(ROUND);
  const used = heapUsed();
  grown.push(used - last);
  last = used;
  const isEnough = grown.length * ROUND >= given.messages;
  if (isEnough && Math.min(...grown.map(Math.abs)) <= given.roundBytesMax) break;
}
for (const end of ends) await end.close();
say({ grown, messagesPerRound: ROUND, allocatedPerMessage: Math.min(...sampled) / SAMPLE });

function heapUsed(): number {
  // What a collection finalizes is gone after the next.
  for (let round = 0; round < 3; round++) globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function carry(messages: number): void {
  const [a, b] = ends;
  for (let message = 0; message < messages; message++) {
    const slot = message % SLOT_COUNT;
    b.postReceive(slot, MESSAGE_BYTES);
    a.startSend(slot, MESSAGE_BYTES);
    if (b.awaitReceive(slot) !== MESSAGE_BYTES) throw new Error('a message was cut');
    a.awaitSend(slot);
  }
}

async function providerEnds(): Promise<readonly [Endpoint, Endpoint]> {
  const [a, b] = await openRawPair({ fabric: given.fabric, engine: 'inline' });
  const options = { slotBytes: 4_096, mode: 'sleep' } as const;
  return [
    new ProviderEndpoint(a.raw, a.socket, options),
    new ProviderEndpoint(b.raw, b.socket, options),
  ];
}

async function switchEnds(): Promise<readonly [Endpoint, Endpoint]> {
  const { fabric } = given;
  const a = await openApp({ fabric, address: '127.77.0.1', engine: 'inline' });
  const b = await openApp({ fabric, address: '127.77.0.2', engine: 'inline' });
  const { listener, port } = listenOn(b);
  const atA = connectTo(a, b.address, port);
  const atB = await acceptOne(b, listener, new AbortController().signal);
  const options = { slotBytes: 4_096, mode: 'sleep' } as const;
  return [new AppEndpoint(a, atA, options), new AppEndpoint(b, atB, options)];
}
