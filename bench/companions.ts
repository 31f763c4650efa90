// What stands beside a test in the same run: the floors of this machine, Node's own ways between two
// processes or threads, and other people's benchmarks, as far as they are installed.

import type { FloorPlan } from './floors.js';
import {
  FUTEX_FLOOR,
  measureCopy,
  measureFloor,
  measureReach,
  SPIN_FLOOR,
  SPIN_STEADINESS,
} from './floors.js';
import { measurePortLatency, measurePortStream } from './peers/message-port.js';
import type { ToolFigures } from './peers/parsers.js';
import type { Tool } from './peers/tools.js';
import { findProgram, runTool, toolIterations, TOOLS } from './peers/tools.js';
import type { FloorMemory } from './machine.js';
import type { CasePlan } from './plan.js';
import type { BenchRequest, Described, Partner } from './run.js';
import { measureTcpLatency, measureTcpStream } from './tcp.js';

interface Companions {
  readonly floors: readonly Described[];
  readonly peers: readonly Described[];
}

/** What wakes a sleeper for every message is two orders of magnitude slower: fewer by as much. */
const SLOW_ROUNDS = 2_000;
const STREAM_BYTES = 64 << 20;
const STREAM_COUNT_MAX = 20_000;

/** What peers are called on the command line. */
export const PEER_NAMES = [
  'tcp',
  'unix',
  'port',
  'ucx',
  'libfabric',
  'sockperf',
  'iperf3',
] as const;

/** Once per size of the plans. */
export function companionsOf(
  partner: Partner,
  { test, floors, peers }: BenchRequest,
  plans: readonly CasePlan[],
): Companions {
  const sizes = [...new Map(plans.map((plan) => [plan.bytes, plan])).values()];
  const isWanted = ({ name }: Described): boolean =>
    peers === 'all' || peers.includes(name.split('.')[0] ?? '');
  return {
    floors: floors ? floorsOf(partner, test, sizes) : [],
    peers: [...nodePeers(partner, test, sizes), ...toolPeers(test, sizes)].filter(isWanted),
  };
}

const LATENCY = { unit: 'ns', better: 'less' } as const;
const BANDWIDTH = { unit: 'GB/s', better: 'more' } as const;

function floorsOf(
  partner: Partner,
  test: BenchRequest['test'],
  plans: readonly CasePlan[],
): Described[] {
  const memory = partner.floors;
  if (memory === undefined) return [];
  if (test === 'lat' || test === 'scale') {
    const floor = (plan: FloorPlan, title: string): Described => ({
      name: `floor.${plan.kind}`,
      title,
      origin: 'floor',
      ...LATENCY,
      // A sleeper's wake-up depends on more than the machine.
      ...(plan.kind === 'spin' ? { steady: SPIN_STEADINESS } : {}),
      run: () => measureFloor({ start: partner.start.bind(partner), floors: memory }, plan),
    });
    return [
      floor(SPIN_FLOOR, 'floor: C++ spinning on two words'),
      floor(FUTEX_FLOOR, 'floor: C++ sleeping on futexes'),
    ];
  }
  if (test !== 'bw' && test !== 'mixed') return [];
  return plans.flatMap((plan) => copyFloors(partner, memory, plan));
}

function copyFloors(partner: Partner, floors: FloorMemory, plan: CasePlan): Described[] {
  const { bytes, slotCount, memory } = plan;
  const copy: Described = {
    name: `floor.copy.${bytes}`,
    title: `floor: memmove ${bytes} B over ${slotCount} buffers`,
    origin: 'floor',
    ...BANDWIDTH,
    steady: { better: 'more' },
    bytes,
    run: async () => measureCopy(floors, bytes, slotCount),
  };
  if (memory === 'virtual') return [copy];
  const reach: Described = {
    ...copy,
    name: `floor.reach.${bytes}`,
    title: `floor: process_vm_readv ${bytes} B over ${slotCount} buffers`,
    run: () => measureReach(partner, bytes, slotCount),
  };
  return [copy, reach];
}

function nodePeers(
  partner: Partner,
  test: BenchRequest['test'],
  plans: readonly CasePlan[],
): Described[] {
  return plans.flatMap(({ bytes, pins }) => {
    const count = Math.max(16, Math.min(STREAM_COUNT_MAX, Math.floor(STREAM_BYTES / bytes)));
    const peer = (
      name: string,
      title: string,
      latency: Described['run'],
      stream: Described['run'],
    ): Described[] => {
      const about = { title: `${title}, ${bytes} B`, origin: 'peer', bytes } as const;
      if (test === 'lat')
        return [{ name: `${name}.latency.${bytes}`, ...about, ...LATENCY, run: latency }];
      if (test !== 'bw') return [];
      return [{ name: `${name}.stream.${bytes}`, ...about, ...BANDWIDTH, run: stream }];
    };
    const net = (transport: 'tcp' | 'unix', title: string): Described[] =>
      peer(
        transport,
        title,
        () => measureTcpLatency(partner, { bytes, rounds: SLOW_ROUNDS, transport, pins }),
        () => measureTcpStream(partner, { bytes, count, transport, pins }),
      );
    return [
      ...net('tcp', 'kernel TCP: node:net'),
      ...net('unix', 'UNIX socket: node:net'),
      ...peer(
        'port',
        'MessagePort to a thread',
        () => measurePortLatency(bytes, SLOW_ROUNDS),
        () => measurePortStream(bytes, count),
      ),
    ];
  });
}

function toolPeers(test: BenchRequest['test'], plans: readonly CasePlan[]): Described[] {
  const fitting = TOOLS.filter((tool) => tool.test === test);
  return plans.flatMap(({ bytes }) => fitting.map((tool) => toolPeer(tool, bytes)));
}

function toolPeer(tool: Tool, bytes: number): Described {
  const isHere = findProgram(tool.program) !== null;
  const shape =
    tool.test === 'lat'
      ? LATENCY
      : tool.test === 'bw'
        ? BANDWIDTH
        : ({ unit: '/s', better: 'more' } as const);
  return {
    name: `${tool.name}.${bytes}`,
    title: `${tool.title}, ${bytes} B`,
    origin: 'peer',
    ...shape,
    bytes,
    ...(isHere ? {} : { absent: `${tool.program} is not installed` }),
    run: async () => {
      const iterations = toolIterations(tool.test, bytes);
      return { value: figureOf(tool, await runTool(tool, { bytes, iterations })) };
    },
  };
}

function figureOf(tool: Tool, figures: ToolFigures): number {
  const { latencyNanos, bytesPerNano, messagesPerSecond } = figures;
  const figure = { lat: latencyNanos, bw: bytesPerNano, rate: messagesPerSecond }[tool.test];
  if (figure === undefined) throw new TypeError(`${tool.program} says nothing of ${tool.test}`);
  return figure;
}
