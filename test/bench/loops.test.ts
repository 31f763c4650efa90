// The measuring loops over an endpoint made of memory: what they check of the payload, which slots they
// use in which order, and that they end.

import { describe, expect, it } from 'vitest';
import { PayloadError } from '../../bench/endpoint.js';
import { ReadRoundTrips, SendAnswers, SendRoundTrips } from '../../bench/loops/ping-pong.js';
import { promisedAnswers, PromisedRoundTrips } from '../../bench/loops/promised.js';
import { StreamStarter, StreamTaker } from '../../bench/loops/stream.js';
import { Payload, PayloadSequence } from '../../bench/payload.js';
import { echoing, FakeEndpoint, fromList, SLOT_BYTES } from './fake-endpoint.js';

const STOP = 0xffffffff;
const payload = (): Payload => new Payload(SLOT_BYTES, 'counter');
/** A message of a whole slot with its counter at both ends. */
const message = (counter: number): [number, ...number[]] => [
  SLOT_BYTES,
  counter,
  ...new Array<number>(SLOT_BYTES / 4 - 2).fill(0),
  counter,
];

describe('round trips by send', () => {
  it('make every one that they are told to, and one that says stop', () => {
    const endpoint = echoing();
    const trips = new SendRoundTrips([endpoint], payload());
    trips.run(5);
    trips.stop();
    expect(endpoint.counters).toEqual([0, 1, 2, 3, 4, STOP]);
    // The one for the message after the last.
    expect(endpoint.posted).toHaveLength(1);
  });

  it('go over connections in turn', () => {
    const endpoints = [echoing(), echoing(), echoing()];
    new SendRoundTrips(endpoints, payload()).run(7);
    expect(endpoints.map(({ counters }) => counters)).toEqual([
      [0, 3, 6],
      [1, 4],
      [2, 5],
    ]);
  });

  it('refuse an answer that is another one, is short, or has a torn end', () => {
    for (const wrong of [message(7), [12, 0], [SLOT_BYTES, 0, 0]] as const) {
      const endpoint = new FakeEndpoint(fromList([wrong]));
      endpoint.receiveWords.fill(9);
      const trips = new SendRoundTrips([endpoint], payload());
      expect(() => trips.run(1)).toThrow(PayloadError);
    }
  });

  it('are answered until one says stop, and no longer', () => {
    const endpoint = new FakeEndpoint(fromList([0, 1, 2, STOP, 3].map(message)));
    expect(new SendAnswers([endpoint], payload()).serve()).toBe(4);
    expect(endpoint.counters).toEqual([0, 1, 2, STOP]);
    expect(endpoint.underWayCount).toBeLessThanOrEqual(1);
  });

  it('are not answered when one is missing', () => {
    const endpoint = new FakeEndpoint(fromList([0, 2].map(message)));
    expect(() => new SendAnswers([endpoint], payload()).serve()).toThrow(PayloadError);
  });

  it('by promises are the same', async () => {
    const endpoint = echoing();
    const trips = new PromisedRoundTrips(endpoint, payload(), 'send');
    await trips.run(3);
    await trips.stop();
    expect(endpoint.counters).toEqual([0, 1, 2, STOP]);
    const answering = new FakeEndpoint(fromList([0, 1, STOP].map(message)));
    expect(await promisedAnswers(answering, payload())).toBe(3);
  });
});

it('a read that finds other memory than it should is refused', () => {
  const good = new ReadRoundTrips(new FakeEndpoint(fromList([message(0)])), payload());
  expect(() => good.run(1)).not.toThrow();
  const bad = new ReadRoundTrips(new FakeEndpoint(fromList([message(1)])), payload());
  expect(() => bad.run(1)).toThrow(PayloadError);
});

describe('a stream', () => {
  const sequence = (): PayloadSequence => new PayloadSequence([SLOT_BYTES], 'counter');
  const shape = { operation: 'send', depth: 4, postList: 2 } as const;

  it('keeps no more under way than it was told, on each connection', () => {
    const endpoints = [echoing(), echoing()];
    const starter = new StreamStarter(endpoints, sequence(), shape);
    starter.start(31);
    for (const { underWayCount } of endpoints) expect(underWayCount).toBeLessThanOrEqual(4);
    starter.startLast();
    starter.drain();
    expect(endpoints.map(({ underWayCount }) => underWayCount)).toEqual([0, 0]);
    expect(starter.count).toBe(32);
    expect(endpoints[1]?.counters.at(-1)).toBe(STOP);
  });

  it('refuses more under way than there are slots', () => {
    const make = (): StreamStarter =>
      new StreamStarter([echoing()], sequence(), { ...shape, depth: 16 });
    expect(make).toThrow(TypeError);
  });

  it('is taken until its last message, with every counter looked at', () => {
    const taken = sequence();
    const endpoint = new FakeEndpoint(fromList([0, 1, 2, STOP].map(message)));
    const taker = new StreamTaker([endpoint], taken, 3);
    expect(taker.take(2)).toBe(false);
    expect(taker.take()).toBe(true);
    expect([taker.count, taker.splitCount]).toEqual([4, 0]);
    const expected = sequence();
    for (const counter of [0, 1, 2, STOP]) expected.digest.add(counter);
    expect(taken.digest.value).toBe(expected.digest.value);
  });

  it('is put together again where a receive ends in the middle of a message', () => {
    const words = [message(0), message(1), message(STOP)].flatMap(([, ...rest]) => rest);
    const pieces = [20, 64, 60, 48].map((bytes, at, all): [number, ...number[]] => {
      const from = all.slice(0, at).reduce((sum, one) => sum + one, 0) / 4;
      return [bytes, ...words.slice(from, from + bytes / 4)];
    });
    const taker = new StreamTaker([new FakeEndpoint(fromList(pieces))], sequence(), 2);
    expect(taker.take()).toBe(true);
    expect([taker.count, taker.splitCount]).toEqual([3, 3]);
  });

  it('that lacks a message or ends early is refused', () => {
    const missing = new FakeEndpoint(fromList([0, 2].map(message)));
    expect(() => new StreamTaker([missing], sequence(), 2).take()).toThrow(PayloadError);
    const short = new FakeEndpoint(fromList([message(0)]));
    expect(() => new StreamTaker([short], sequence(), 2).take()).toThrow(/ended after 1/);
  });
});
