// The process in which a provider meets the kit, and what it says to the process that watches over it. A
// provider may hang it, throw, or end it: whoever watches knows which case it was.

import type { ProviderSource } from '../index.js';
import { sanProvider } from '../index.js';
import type { Violation } from '../provider/hooks/index.js';
import { sentenceOf, trace, verify } from '../provider/hooks/index.js';
import type { ProfileName } from '../provider/spi/index.js';
import type { CaseResult } from '../test/conformance/index.js';
import { ALL_CASES, caseId, runCases } from '../test/conformance/index.js';
import type { Observers } from './conformance-fixture.js';
import { environmentFixture } from './conformance-fixture.js';

/** What the child is told to do. Plain data. */
export interface ConformancePlan {
  /** For import(); null is the reference provider. */
  readonly module: string | null;
  readonly engine: 'inline' | 'worker';
  readonly profile: ProfileName;
  readonly seed: number;
  readonly verify: boolean;
  /** See FixtureOptions. */
  readonly patience: number;
  readonly expectedFailures: Readonly<Record<string, string>>;
  /** By id, in this order. */
  readonly cases: readonly string[];
}

/** What the child says. Plain data. */
export type ChildMessage =
  | { readonly type: 'up' }
  | { readonly type: 'ready'; readonly provider: string }
  | { readonly type: 'cannot-load'; readonly why: string }
  | { readonly type: 'start'; readonly id: string }
  | { readonly type: 'result'; readonly result: CaseResult }
  | { readonly type: 'end' };

/** Waits for the plan, carries it out, and ends when everything is said. */
export async function conformanceChild(): Promise<void> {
  process.on('disconnect', () => process.exit(1));
  const plan = await new Promise<ConformancePlan>((resolve) => {
    process.once('message', (message) => resolve(message as ConformancePlan));
  });
  await say({ type: 'up' });
  // What a provider leaves unhandled fails the case that runs: the process ends, and is missed.
  const chosen = new Set(plan.cases);
  const cases = ALL_CASES.filter((one) => chosen.has(caseId(one)));
  try {
    const source = plan.module ?? (sanProvider satisfies ProviderSource);
    const fixture = await environmentFixture({
      ...plan,
      source,
      ...(plan.verify ? { observe: verifying() } : {}),
    });
    await say({ type: 'ready', provider: fixture.name });
    const options = { seed: plan.seed, onStart: (id: string) => void say({ type: 'start', id }) };
    for await (const result of runCases(fixture, cases, options)) {
      await say({ type: 'result', result });
    }
    await say({ type: 'end' });
  } catch (thrown) {
    await say({ type: 'cannot-load', why: reasonOf(thrown) });
  }
}

/** A trace and a verifier of all sides. The kit breaks the caller's rules on purpose. */
function verifying(): () => Observers {
  const found: string[] = [];
  const onViolation = (violation: Violation): void => {
    if (violation.party === 'provider') found.push(sentenceOf(violation));
  };
  const verifier = verify({ onViolation, fullPayload: true });
  return () => {
    const tracer = trace();
    return {
      hooks: [verifier, tracer],
      history: tracer.lines,
      forgetHistory: tracer.clear,
      violations: () => found.splice(0),
    };
  };
}

function say(message: ChildMessage): Promise<void> {
  return new Promise((resolve) => {
    process.send?.(message, () => resolve());
  });
}

function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return `${thrown.name}: ${thrown.message.split('\n')[0] ?? ''}`;
}
