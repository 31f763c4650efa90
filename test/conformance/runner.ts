// Runs cases against a fixture and says of each how it ended. Pairs are made when they are needed, kept
// while cases pass, and replaced after one that failed, so that no case pays for another. Every case
// is also held to what holds for all: nothing left over, no misuse of an upcall. It must not print.

import type { ProviderCapabilities } from '../../provider/spi/index.js';
import { Prng } from '../../runtime/prng.js';
import type { ConformanceCase } from './case.js';
import { CaseContext, PortSource } from './case.js';
import { ConformanceFailure, expectThat, NotSupported } from './check.js';
import type { ConformanceHost, ConformancePair, ProviderFixture } from './fixture.js';
import type { Side } from './side.js';

export type Verdict =
  | 'pass'
  | 'fail'
  /** The provider does not have what the case is about, and says so. */
  | 'unsupported'
  /** It fails, as the fixture has said, with the reason. */
  | 'expected-failure'
  /** It passes although the fixture says that it fails: take it off the list. */
  | 'unexpected-pass';

/** How one case ended. Plain data: it travels between processes. */
export interface CaseResult {
  readonly id: string;
  readonly group: string;
  readonly title: string;
  readonly clauses: readonly string[];
  readonly verdict: Verdict;
  /** Why it is not supported, why it was expected to fail; or empty. */
  readonly reason: string;
  readonly expected: string;
  readonly actual: string;
  /** The last calls and upcalls of both sides before it failed. */
  readonly history: readonly string[];
}

export interface RunOptions {
  /** The same seed, the same bytes and choices. */
  readonly seed: number;
  /** Told before a case begins: a case that never ends is known by it. */
  readonly onStart?: (id: string) => void;
}

/** The name of a case everywhere: on the command line, in reports, in expectedFailures. */
export function caseId(one: ConformanceCase): string {
  return `${one.group}/${one.name}`;
}

/** What is put down for a case that did not end by itself. */
export function lostResult(one: ConformanceCase, actual: string): CaseResult {
  return resultOf(one, { verdict: 'fail', expected: 'an end', actual });
}

/** Runs the cases one after the other. Never throws for what a provider does. */
export async function* runCases(
  fixture: ProviderFixture,
  cases: readonly ConformanceCase[],
  options: RunOptions,
): AsyncGenerator<CaseResult> {
  const pairs = new PairKeeper(fixture);
  try {
    for (const one of cases) {
      options.onStart?.(caseId(one));
      yield withExpectation(fixture, await runOne(pairs, fixture, one, options.seed));
    }
  } finally {
    await pairs.drop();
  }
}

/** At most one pair, made when somebody asks. */
class PairKeeper {
  #pair: ConformancePair | null = null;
  ports = new PortSource();

  constructor(private readonly fixture: ProviderFixture) {}

  async take(): Promise<ConformancePair> {
    this.#pair ??= await this.fixture.makePair();
    return this.#pair;
  }

  async drop(): Promise<void> {
    const pair = this.#pair;
    this.#pair = null;
    this.ports = new PortSource();
    await pair?.stop();
  }
}

async function runOne(
  pairs: PairKeeper,
  fixture: ProviderFixture,
  one: ConformanceCase,
  seed: number,
): Promise<CaseResult> {
  const missing = one.unless?.(fixture.capabilities, fixture.profile) ?? null;
  if (missing !== null) return resultOf(one, { verdict: 'unsupported', reason: missing });
  let pair: ConformancePair;
  try {
    pair = await pairs.take();
  } catch (thrown) {
    return failureOf(one, thrown, []);
  }
  const random = new Prng(seed ^ hash(caseId(one)));
  try {
    attempt(pair, () => new CaseContext(pair, fixture, random, pairs.ports), one);
    return resultOf(one, { verdict: 'pass' });
  } catch (thrown) {
    if (thrown instanceof NotSupported) {
      return resultOf(one, { verdict: 'unsupported', reason: thrown.message });
    }
    const history = hostsOf(pair).flatMap(([name, host]) => label(name, host.history()));
    const stopped = await stopQuietly(pairs);
    return failureOf(one, thrown, [...history, ...stopped]);
  }
}

/** One case from start to end on both sides; throws what is wrong. */
function attempt(pair: ConformancePair, begin: () => CaseContext, one: ConformanceCase): void {
  for (const [, host] of hostsOf(pair)) {
    host.violations();
    host.forgetHistory?.();
  }
  const context = begin();
  try {
    one.run(context);
  } catch (thrown) {
    if (thrown instanceof NotSupported) finish(pair, context);
    else abandon(context);
    throw thrown;
  }
  try {
    finish(pair, context);
  } catch (thrown) {
    abandon(context);
    throw thrown;
  }
}

/** Ends what can be ended after a failure, which is what is to be told: not what fails now. */
function abandon({ sides }: CaseContext): void {
  for (const side of sides) {
    try {
      side.end();
    } catch {
      // It failed already.
    }
  }
}

/** Ends both sides, and holds them to what holds for every case. [CLEANUP-02, CLOSE-03] */
function finish(pair: ConformancePair, context: CaseContext): void {
  const { sides } = context;
  for (const side of sides) side.end();
  const isOver = (side: Side): boolean => side.upcalls.openHandles.size === 0;
  const left = (): string[] => sides.flatMap((side) => leftovers(side));
  pair.drive(() => sides.every(isOver));
  for (const side of sides) {
    for (const memory of side.allocated) side.host.memory.VirtualFree(memory);
    const open = side.upcalls.openHandles.size;
    expectThat(open === 0, 'after WSPCleanup', 'every handle given back', `${open} are open`);
  }
  pair.drive(() => left().length === 0);
  expectThat(left().length === 0, 'after WSPCleanup', 'nothing in use', left().join(', '));
  for (const side of sides) {
    const problems = [...side.upcalls.problems, ...side.host.violations()];
    expectThat(problems.length === 0, 'throughout', 'the contract kept', problems.join('; '));
  }
}

function leftovers(side: Side): string[] {
  return Object.entries(side.host.usage()).flatMap(([what, count]) =>
    count === 0 ? [] : [`${count} ${what}`],
  );
}

/** A provider that failed may fail to stop as well; what it says then is worth reading. */
async function stopQuietly(pairs: PairKeeper): Promise<string[]> {
  try {
    await pairs.drop();
    return [];
  } catch (thrown) {
    return [`stopping the pair: ${textOf(thrown)}`];
  }
}

function withExpectation(fixture: ProviderFixture, result: CaseResult): CaseResult {
  const reason = fixture.expectedFailures[result.id];
  if (reason === undefined) return result;
  if (result.verdict === 'fail') return { ...result, verdict: 'expected-failure', reason };
  return result.verdict === 'pass' ? { ...result, verdict: 'unexpected-pass', reason } : result;
}

function failureOf(one: ConformanceCase, thrown: unknown, history: readonly string[]): CaseResult {
  const isFailure = thrown instanceof ConformanceFailure;
  const expected = isFailure ? thrown.expected : 'no exception';
  const actual = isFailure ? thrown.actual : textOf(thrown);
  return resultOf(one, { verdict: 'fail', expected, actual, history });
}

function resultOf(
  one: ConformanceCase,
  parts: Pick<CaseResult, 'verdict'> & Partial<CaseResult>,
): CaseResult {
  const { group, title, clauses } = one;
  const empty = { reason: '', expected: '', actual: '', history: [] };
  return { id: caseId(one), group, title, clauses, ...empty, ...parts };
}

function textOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return `something thrown: ${String(thrown)}`;
  const place =
    thrown.stack
      ?.split('\n')
      .find((line) => line.includes(' at '))
      ?.trim() ?? '';
  return `${thrown.name}: ${thrown.message} ${place}`.trim();
}

function hostsOf({ a, b, target }: ConformancePair): [string, ConformanceHost][] {
  return [
    ['a', a],
    ['b', b],
    ...(target === undefined ? [] : [['target', target] as [string, ConformanceHost]]),
  ];
}

function label(side: string, lines: readonly string[]): string[] {
  return lines.map((line) => `${side}: ${line}`);
}

/** FNV-1a: cases draw from seeds of their own, so that choosing some changes none. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value >>> 0;
}

/** What the capabilities of two sources disagree in. */
export function capabilityDifferences(
  declared: ProviderCapabilities,
  found: ProviderCapabilities,
): string[] {
  const names = Object.keys(declared) as (keyof ProviderCapabilities)[];
  return names
    .filter((name) => declared[name] !== found[name])
    .map((name) => `${name} is ${String(found[name])}, not ${String(declared[name])}`);
}
