// Measures 64-byte ping-pongs between two processes over the kernel's TCP and UDP: the base provider
// alone, the whole stack, plain Node, and as the floor two C++ threads with blocking sockets. All take
// short turns, each right after a turn of the floor; the median of the ratios of such pairs counts.
// Everything twice: with both sides on one core, and with a core for each, since a wake-up of another core
// costs more than all the rest. The CPU time is this process's share of a round trip. Not a test: its
// numbers depend on the machine.
//
//   npx tsx scripts/measure-sockets.ts [turns [name]]     name: only the ways that have it in theirs

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { native } from '../native/load.js';
import { SOCK_DGRAM, SOCK_STREAM } from '../provider/spi/index.js';
import * as node from './ping-pong/node.js';
import * as provider from './ping-pong/provider.js';
import * as stack from './ping-pong/stack.js';
import { BYTES, median } from './ping-pong/way.js';
import type { Cost, Way } from './ping-pong/way.js';

const TRIPS = 1000;
const WARM_UP_TURNS = 5;

interface Kind {
  readonly name: string;
  readonly type: number;
  echo(fabric: string): Promise<void>;
  open(fabric: string, port: number, tell: (port: number) => void): Promise<Way>;
}

const KINDS: readonly Kind[] = [
  { type: SOCK_STREAM, transport: 'tcp', plain: 'node:net' },
  { type: SOCK_DGRAM, transport: 'udp', plain: 'node:dgram' },
].flatMap(({ type, transport, plain }): Kind[] => [
  {
    name: `provider ${transport}`,
    type,
    echo: () => provider.echo(type),
    open: (_fabric, port, tell) => provider.open(type, port, tell),
  },
  ...(['blocking', 'overlapped'] as const).map((calls) => ({
    name: `stack ${transport}, ${calls}`,
    type,
    echo: (fabric: string) => stack.echo(type, calls, fabric),
    open: (fabric: string, port: number, tell: (port: number) => void) =>
      stack.open(type, calls, fabric, port, tell),
  })),
  {
    name: `${plain}, ${transport}`,
    type,
    echo: () => node.echo(type),
    open: (_fabric, port, tell) => node.open(type, port, tell),
  },
]);

const thisFile = fileURLToPath(import.meta.url);

/** The cores of the near and of the far side. */
type Place = readonly [near: number, far: number];

function start(role: string, kind: Kind, place: Place, fabric = ''): ChildProcess {
  const args = [role, kind.name, place.join(), fabric];
  return fork(thisFile, args, { execArgv: ['--import', 'tsx'] });
}

/** Both sides on one core, and a core for each where there are two. */
function places(): readonly Place[] {
  const [first = 0, second] = native.affinity();
  const together: Place = [first, first];
  return second === undefined ? [together] : [together, [first, second]];
}

interface Turn extends Cost {
  readonly cpu: number;
}

/** The near end of a kind, a process of its own: a turn for every message, until there are no more. */
async function serveTurns(kind: Kind, place: Place): Promise<void> {
  const fabric = `ping-pong-${process.pid}`;
  const echo = start('echo', kind, place, fabric);
  const ended = once(echo, 'exit');
  const [port] = (await once(echo, 'message')) as [number];
  const ready = once(echo, 'message');
  const way = await kind.open(fabric, port, (own) => echo.send(own));
  await ready;
  for (let turn = 0; turn < WARM_UP_TURNS; turn++) await way.run(TRIPS);
  process.on('message', () => {
    void (async () => {
      const before = process.cpuUsage();
      const cost = await way.run(TRIPS);
      process.send?.({ ...cost, cpu: cpuNanos(before) } satisfies Turn);
    })();
  });
  process.send?.('ready');
  await once(process, 'disconnect');
  way.close();
  if (echo.connected) echo.disconnect();
  await ended;
  process.exit(0);
}

/** A kind with its two processes running, and what its turns have shown. */
class Candidate {
  readonly kind: Kind;
  readonly ratios: number[] = [];
  readonly medians: number[] = [];
  readonly cpu: number[] = [];
  best = Infinity;
  readonly #near: ChildProcess;

  constructor(kind: Kind, place: Place) {
    this.kind = kind;
    this.#near = start('near', kind, place);
  }

  async ready(): Promise<void> {
    await once(this.#near, 'message');
  }

  async turn(floorNanos: number): Promise<void> {
    const answer = once(this.#near, 'message');
    this.#near.send('turn');
    const [{ median: nanos, best, cpu }] = (await answer) as [Turn];
    this.cpu.push(cpu);
    this.medians.push(nanos);
    this.ratios.push(nanos / floorNanos);
    this.best = Math.min(this.best, best);
  }

  async stop(): Promise<void> {
    const ended = once(this.#near, 'exit');
    this.#near.disconnect();
    await ended;
  }
}

/** This process's time per trip, in nanoseconds. */
function cpuNanos(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / TRIPS;
}

interface Line {
  readonly name: string;
  readonly nanos: readonly number[];
  readonly best: number;
  readonly ratio: number;
  readonly cpu: number;
}

function report({ name, nanos, best, ratio, cpu }: Line): void {
  const micros = (value: number): string => (value / 1000).toFixed(1).padStart(5);
  console.log(
    `${name.padEnd(22)}${micros(median(nanos))} us, best ${micros(best)} us, ` +
      `cpu ${micros(cpu)} us, ${ratio.toFixed(2)} x the floor`,
  );
}

async function measure(turns: number, name: string, place: Place): Promise<void> {
  const kinds = KINDS.filter((kind) => kind.name.includes(name));
  const candidates: Candidate[] = [];
  for (const kind of kinds) {
    const candidate = new Candidate(kind, place);
    await candidate.ready();
    candidates.push(candidate);
  }
  const floors = new Map<number, number[]>([
    [SOCK_STREAM, []],
    [SOCK_DGRAM, []],
  ]);
  const floorCpu: number[] = [];
  const everywhere = native.affinity();
  pin([...new Set(place)]);
  for (let turn = 0; turn < turns; turn++) {
    for (const candidate of candidates) {
      const { type } = candidate.kind;
      const before = process.cpuUsage();
      const floor = native.socketPingPong(type, BYTES, TRIPS);
      // Both ends are threads of this process.
      floorCpu.push(cpuNanos(before) / 2);
      floors.get(type)?.push(floor);
      await candidate.turn(floor);
    }
  }
  for (const [type, nanos] of floors) {
    if (nanos.length === 0) continue;
    const name = type === SOCK_STREAM ? 'floor tcp' : 'floor udp';
    report({ name, nanos, best: Math.min(...nanos), ratio: 1, cpu: median(floorCpu) });
    for (const { kind, medians, best, ratios, cpu } of candidates) {
      if (kind.type !== type) continue;
      const ratio = median(ratios);
      report({ name: kind.name, nanos: medians, best, ratio, cpu: median(cpu) });
    }
  }
  for (const candidate of candidates) await candidate.stop();
  pin(everywhere);
}

function pin(cores: readonly number[]): void {
  if (native.setAffinity(cores) < 0) throw new Error('this process may not choose its cores');
}

const [role = '30', name = '', cores = '0,0', fabric = ''] = process.argv.slice(2);
const kind = KINDS.find((candidate) => candidate.name === name);
const [nearCore = 0, farCore = 0] = cores.split(',').map(Number);
if (role === 'echo') {
  pin([farCore]);
  await kind?.echo(fabric);
} else if (role === 'near' && kind !== undefined) {
  pin([nearCore]);
  await serveTurns(kind, [nearCore, farCore]);
} else {
  for (const place of places()) {
    console.log(new Set(place).size === 1 ? 'both sides on one core' : 'a core for each side');
    await measure(Number(role), name, place);
  }
}
