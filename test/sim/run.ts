// One simulated run: makes the world of a plan, carries its steps out, lets everything end, and says what
// the checkers found. It must not choose anything: the plan and its seed have.

import type { VerifyHook } from '../../provider/hooks/index.js';
import { verify } from '../../provider/hooks/index.js';
import type { ServiceProvider } from '../../provider/spi/index.js';
import { Prng } from '../../runtime/prng.js';
import { FakeTcpNetwork } from '../switch/fakes/fake-tcp.js';
import { SimHost } from './host.js';
import { SimLoop, StuckError } from './loop.js';
import type { SimMachine } from './machine.js';
import type { Plan } from './plan.js';
import { printStep } from './plan.js';
import { Finding } from './end.js';
import { Watch } from './watch.js';
import { SimWorld } from './world.js';

export interface RunOptions {
  readonly keepsText?: boolean;
  /** Put between every switch and its provider, for mutants. */
  readonly caller?: (inner: ServiceProvider) => ServiceProvider;
}

export interface RunResult {
  /** What is wrong; null when nothing is. */
  readonly failure: string | null;
  readonly digest: string;
  readonly text: string;
  readonly spiCalls: number;
  /** Calls between switch and provider that were disturbed. */
  readonly disturbed: ReadonlySet<string>;
  /** Nanoseconds of virtual time. */
  readonly elapsed: number;
}

/** Runs a plan on a machine that nothing else uses meanwhile. */
export async function runPlan(
  machine: SimMachine,
  plan: Plan,
  options: RunOptions = {},
): Promise<RunResult> {
  const { world: worldPlan, steps } = plan;
  const loop = new SimLoop(new Prng(worldPlan.seed ^ 0x5eed));
  const start = loop.clock.now();
  const reactor = machine.reactor();
  const watch = new Watch(loop.clock, options.keepsText === true);
  loop.addSystem({ role: 'reactor', doWork: () => reactor.poll(0) });
  const verifier = worldPlan.verify ? makeVerifier() : null;
  const tcpNetwork = new FakeTcpNetwork();
  const hosts: SimHost[] = [];
  let failure: string | null = null;
  try {
    for (let index = 0; index < worldPlan.hosts; index++) {
      const shared = { machine, reactor, loop, tcpNetwork, world: worldPlan, verifier };
      const { caller } = options;
      const own = { index, watch: watch.hook(index), starts: true };
      const parts = { ...shared, ...own, ...(caller === undefined ? {} : { caller }) };
      hosts.push(await SimHost.open(parts));
    }
    const world = new SimWorld(hosts, loop, watch, worldPlan);
    for (const step of steps) {
      watch.note(printStep(step));
      world.carryOut(step);
    }
    world.end();
    for (const host of hosts) await host.close();
    const left = machine.sweep();
    if (left.length > 0) throw new Finding(`files are left: ${left.join(' ')}`);
  } catch (thrown) {
    failure = sentenceOf(thrown);
    await abandon(hosts);
    machine.sweep();
  }
  reactor.close();
  const { digest, text, spiCalls } = watch;
  const disturbed = new Set(hosts.flatMap((host) => [...host.disturbed]));
  return { failure, digest, text, spiCalls, disturbed, elapsed: loop.clock.now() - start };
}

function makeVerifier(): VerifyHook {
  return verify({
    onViolation: ({ party, code, detail }) => {
      throw new Finding(`the verifier stops the ${party}: ${code} ${detail}`);
    },
  });
}

/** What was found, or what was thrown by whatever broke, with the place. */
function sentenceOf(thrown: unknown): string {
  if (thrown instanceof Finding || thrown instanceof StuckError) return thrown.message;
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}

async function abandon(hosts: readonly SimHost[]): Promise<void> {
  for (const host of hosts) {
    try {
      await host.close();
    } catch {
      // Whatever broke may have broken this, too; its files are swept.
    }
  }
}
