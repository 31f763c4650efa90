// Model-based runs: random sends, receives, reads and shutdowns on both ends, under random limits,
// capabilities and transport timing, against the simplest model of a byte stream: what was sent, in
// order. Ends when both streams have been read to their end and the connection has closed.
// A failing run prints fast-check's seed and path, which replay it.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  RequestFlag,
  RequestState,
  type SessionLimits,
  type SessionRequest,
} from '../../../switch/session/session.js';
import { type End, type EndOptions, ownBytes, pattern, smallLimits } from './end.js';
import { Pair } from './pair.js';

const RUNS = Number(process.env['SESSION_RUNS'] ?? 300);

const limits: fc.Arbitrary<SessionLimits> = fc.record({
  receiveCount: fc.integer({ min: 4, max: 14 }),
  firstReceiveCount: fc.constant(4),
  sendCount: fc.integer({ min: 1, max: 6 }),
  firstSendCount: fc.constant(1),
  messageBytes: fc.constantFrom(256, 260, 512, 1024),
  thresholdBytes: fc.constantFrom(1, 50, 300, 2000),
  initialBytes: fc.constantFrom(0, 1, 16, 200, 5000),
  windowBytes: fc.constantFrom(1024, 1025, 4096),
  stagingBytes: fc.constantFrom(1, 100, 5000),
  rdmaBytesMax: fc.constantFrom(64, 1000, 0xffff_ffff),
  transferSlots: fc.integer({ min: 1, max: 5 }),
  negotiationNanosMax: fc.constant(smallLimits.negotiationNanosMax),
  closeNanosMax: fc.constant(smallLimits.closeNanosMax),
  drainNanosMax: fc.constant(smallLimits.drainNanosMax),
  cancelNanosMax: fc.constant(smallLimits.cancelNanosMax),
  suspendNanosMax: fc.constant(smallLimits.suspendNanosMax),
  resumeNanosMax: fc.constant(smallLimits.resumeNanosMax),
});

const endOptions: fc.Arbitrary<EndOptions> = fc.record({
  limits,
  rdmaRead: fc.boolean(),
  registrationFailureEvery: fc.constantFrom(0, 0, 1, 3),
  lendsReceives: fc.constantFrom(true, true, false),
});

const length = fc.oneof(fc.integer({ min: 0, max: 80 }), fc.integer({ min: 0, max: 6000 }));
const side = fc.constantFrom<'a' | 'b'>('a', 'b');
const cuts = fc
  .array(fc.integer({ min: 0, max: 3000 }), { maxLength: 3 })
  .map((all) => all.sort((x, y) => x - y));

type Step =
  | { kind: 'send'; side: 'a' | 'b'; length: number; flags: number; cuts: number[] }
  | { kind: 'receive'; side: 'a' | 'b'; length: number; flags: number; cuts: number[] }
  | { kind: 'read'; side: 'a' | 'b'; length: number; peek: boolean }
  | { kind: 'shutdown'; side: 'a' | 'b' }
  | { kind: 'run'; steps: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      side,
      length,
      flags: fc.constantFrom(0, 0, 0, 0, RequestFlag.urgent, RequestFlag.byMessage),
      cuts,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('receive' as const),
      side,
      length,
      flags: fc.constantFrom(0, 0, RequestFlag.waitAll),
      cuts,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('read' as const), side, length, peek: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('shutdown' as const), side }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('run' as const),
      steps: fc.integer({ min: 1, max: 40 }),
    }),
  },
);

/** What one end has sent and read, as the application knows it. */
class Application {
  readonly sends: SessionRequest[] = [];
  /** Receives and reads in the order in which they took from the stream. */
  readonly taken: (SessionRequest | Uint8Array)[] = [];
  private seed = 0;
  private hasShutdown = false;

  constructor(readonly end: End) {}

  send(length: number, flags: number, cuts: number[]): void {
    if (this.hasShutdown) return;
    this.seed++;
    this.sends.push(
      this.end.send(
        pattern(length, this.seed + (this.end.name === 'acceptor' ? 1000 : 0)),
        flags,
        ...cuts,
      ),
    );
  }

  receive(length: number, flags: number, cuts: number[]): SessionRequest {
    const request = this.end.receive(length, flags, ...cuts);
    this.taken.push(request);
    return request;
  }

  read(length: number, peek: boolean): void {
    if (peek) {
      // What a peek shows is what is read next.
      const seen = Buffer.from(this.end.read(length, true));
      const posted = this.taken.some((one) => 'state' in one && one.state === RequestState.queued);
      if (posted || seen.length === 0) return;
      const got = this.end.read(seen.length);
      this.taken.push(got.slice());
      expect(seen.equals(got)).toBe(true);
      return;
    }
    this.taken.push(this.end.read(length).slice());
  }

  shutdown(): void {
    this.hasShutdown = true;
    this.end.act((session, now) => session.shutdownSend(now));
  }

  get sent(): Buffer {
    return Buffer.concat(this.sends.map(ownBytes));
  }

  get received(): Buffer {
    return Buffer.concat(this.taken.map((one) => ('state' in one ? ownBytes(one) : one)));
  }

  /** Posts receives until the end of the stream has been seen. */
  readToEnd(): void {
    for (let posted = 0; posted < 20_000; posted++) {
      const request = this.receive(1500, 0, []);
      this.end.pair.drive();
      expect(request.state, `${this.end.name} hangs`).toBe(RequestState.finished);
      expect(request.error).toBe(0);
      if (request.bytes === 0) return;
    }
    throw new Error('a stream without an end');
  }
}

function run(
  seed: number,
  options: { a: EndOptions; b: EndOptions },
  steps: readonly Step[],
): void {
  const pair = new Pair({ seed, ...options });
  // The model has one stream: urgent bytes stay in it. What is apart is urgent.test.ts.
  for (const end of [pair.a, pair.b]) end.session.oobInline = true;
  const applications = { a: new Application(pair.a), b: new Application(pair.b) };
  pair.connect();
  for (const one of steps) {
    switch (one.kind) {
      case 'send':
        applications[one.side].send(one.length, one.flags, one.cuts);
        break;
      case 'receive':
        applications[one.side].receive(one.length, one.flags, one.cuts);
        break;
      case 'read':
        applications[one.side].read(one.length, one.peek);
        break;
      case 'shutdown':
        applications[one.side].shutdown();
        break;
      case 'run':
        for (let count = 0; count < one.steps; count++) pair.step();
        break;
    }
  }
  pair.drive();
  applications.a.shutdown();
  applications.b.shutdown();
  applications.a.readToEnd();
  applications.b.readToEnd();
  pair.drive();
  for (const [from, to] of [
    [applications.a, applications.b],
    [applications.b, applications.a],
  ] as const) {
    expect(from.sends.every((send) => send.state === RequestState.finished)).toBe(true);
    expect(from.sends.every((send) => send.error === 0 || send.error === 10055)).toBe(true);
    expect(to.received.equals(from.sent), `stream of ${from.end.name}`).toBe(true);
    const requests = from.sends.length + from.taken.filter((one) => 'state' in one).length;
    expect(from.end.completed.length).toBe(requests);
    expect([from.end.session.isOver, from.end.session.error, from.end.session.fault]).toEqual([
      true,
      0,
      '',
    ]);
  }
  pair.expectClean();
}

it('two byte streams arrive whole and in order whatever the limits, capabilities and timing, within credits, and end gracefully [XFER-03 XFER-06 XFER-15 XFER-16 SHUT-01 SHUT-02 SESS-04]', {
  timeout: 120_000,
}, () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.record({ a: endOptions, b: endOptions }),
      fc.array(step, { maxLength: 60 }),
      run,
    ),
    {
      numRuns: RUNS,
      seed: Number(process.env['SESSION_SEED'] ?? 20),
      interruptAfterTimeLimit: 60_000,
      markInterruptAsFailure: true,
    },
  );
});
