// Opens the NIC of one host: claims the address on the fabric, makes the segments, starts the engine.

import { unlinkSync } from 'node:fs';
import { assert } from '../../runtime/assert.js';
import { microseconds } from '../../runtime/clock.js';
import type { Clock } from '../../runtime/clock.js';
import type { Arena } from '../../native/arena.js';
import type { NativeBinding } from '../../native/binding.js';
import { errno, SystemError } from '../../native/errors.js';
import { FabricDirectory, sweepFabrics } from '../../native/fabric-directory.js';
import type { ClaimedHost } from '../../native/fabric-directory.js';
import { registerForBarriers } from '../../native/futex.js';
import { PARKED_NO, segmentHeader } from '../../native/layout/segment.layout.js';
import type { Reactor } from '../../native/reactor.js';
import { Segment } from '../../native/segment.js';
import { PeerPipe } from '../../native/wake-pipe.js';
import { addressText } from './address.js';
import { emitFrame, wakeFrame } from './cm-frame.js';
import type { EngineEvent } from './commands.js';
import type { CostModel, CostModelName } from './cost-model.js';
import { COST_MODELS } from './cost-model.js';
import { NicEngine } from './engine.js';
import type { EnginePort } from './engine-port.js';
import { InlinePort } from './engine-port.js';
import { HostMemory } from './host-memory.js';
import type { PinPolicy } from './host-memory.js';
import { BOUNCE_BYTES, PROBE_BYTES } from './limits.js';
import { Nic } from './nic.js';
import { ringDoorbell } from './peer-host.js';
import { WorkerPort } from './worker-port.js';

/** Address space of a host's public segment: rings, and everything VirtualAlloc can give. */
export const DEFAULT_SEGMENT_BYTES = 128 * 1024 * 1024;
/** How long a worker engine spins without work before it sleeps. */
const DEFAULT_WORKER_SPIN = microseconds(50);

const PARKED = segmentHeader.word('engineParked');

/** Queues of every queue pair and the completion queues; memory is committed as they are made. */
const PRIVATE_SEGMENT_BYTES = 72 * 1024 * 1024;

export interface OpenNicOptions {
  readonly arena: Arena;
  readonly native: NativeBinding;
  readonly reactor: Reactor;
  readonly clock: Clock;
  readonly fabric: string;
  /** IPv4 in host byte order. */
  readonly address: number;
  readonly engine: 'inline' | 'worker';
  readonly pin: PinPolicy;
  readonly segmentBytes?: number;
  /** Of the bounce buffer, which is committed at once. Default: BOUNCE_BYTES. */
  readonly bounceBytes?: number;
  /** How long a worker engine spins without work before it sleeps. */
  readonly spinNanos?: number;
  /** What the link and the NIC cost: a preset's name, or figures. Default: nothing. */
  readonly costModel?: CostModelName | CostModel;
  /** Where fabrics live; the default is the system's shared memory. */
  readonly base?: string;
  readonly warn: (message: string) => void;
}

export interface OpenedNic {
  readonly nic: Nic;
  readonly memory: HostMemory;
  /** Ends the engine and removes the host from the fabric. Safe to call twice. */
  close(): Promise<void>;
  /** Removes the host's files at once, without waiting for anything: for the end of the process. */
  abandon(): void;
}

/**
 * Throws SystemError: EADDRINUSE when a living host has the address, ENOSPC when shared memory is
 * full, EACCES for a fabric of another user; FabricNameError. Leaves nothing behind when it fails.
 */
export async function openNic(options: OpenNicOptions): Promise<OpenedNic> {
  const directory = new FabricDirectory(options.fabric, baseOf(options));
  // What killed processes left on any fabric would otherwise stay until somebody uses its name again.
  sweepFabrics(baseOf(options));
  const claimed = directory.claim(addressText(options.address), {
    arena: options.arena,
    bytes: options.segmentBytes ?? DEFAULT_SEGMENT_BYTES,
  });
  let privateSegment: Segment | null = null;
  try {
    privateSegment = createPrivateSegment(claimed, options);
    return await startNic(options, directory, claimed, privateSegment);
  } catch (thrown) {
    privateSegment?.close();
    claimed.release();
    throw thrown;
  }
}

async function startNic(
  options: OpenNicOptions,
  directory: FabricDirectory,
  claimed: ClaimedHost,
  privateSegment: Segment,
): Promise<OpenedNic> {
  const { arena, native } = options;
  const memory = new HostMemory({
    arena,
    segment: claimed.segment,
    native,
    policy: options.pin,
    warn: options.warn,
  });
  const port = await startEngine(options, directory, claimed, privateSegment);
  const nic = new Nic({
    arena,
    publicSegment: claimed.segment,
    privateSegment,
    memory,
    port,
    costs: costsOf(options),
  });
  let isOpen = true;
  const abandon = (): void => {
    if (!isOpen) return;
    isOpen = false;
    nic.releaseAll();
    memory.close();
    privateSegment.close();
    claimed.release();
  };
  const close = async (): Promise<void> => {
    if (isOpen) await port.close();
    abandon();
  };
  return { nic, memory, close, abandon };
}

function startEngine(
  options: OpenNicOptions,
  directory: FabricDirectory,
  claimed: ClaimedHost,
  privateSegment: Segment,
): Promise<EnginePort> {
  const { segment } = claimed;
  const bounceBytes = options.bounceBytes ?? BOUNCE_BYTES;
  const block = segment.allocate(bounceBytes + PROBE_BYTES, options.native.pageSize());
  if (block === null) throw new SystemError(errno.ENOSPC, 'fallocate', 'the memory of a NIC');
  const bounce = { address: block, bytes: bounceBytes };
  if (options.engine === 'worker') return startWorker(options, claimed, privateSegment, bounce);
  const events: EngineEvent[] = [];
  const engine = new NicEngine({
    arena: options.arena,
    native: options.native,
    directory,
    clock: options.clock,
    reactor: options.reactor,
    pipe: claimed.pipe,
    publicSegment: segment,
    privateSegment,
    bounce,
    hasBarrier: registerForBarriers(),
    isApart: false,
    costs: costsOf(options),
    report: (event) => {
      events.push(event);
    },
  });
  return Promise.resolve(new InlinePort(engine, events));
}

async function startWorker(
  options: OpenNicOptions,
  claimed: ClaimedHost,
  privateSegment: Segment,
  bounce: { readonly address: number; readonly bytes: number },
): Promise<EnginePort> {
  registerForBarriers();
  const { segment, pipe } = claimed;
  const { view } = options.arena;
  const ownPipe = PeerPipe.open(pipe.path);
  assert(ownPipe !== null, 'the host owns its pipe');
  const wake = emitFrame(wakeFrame(segment.address));
  const wakeEngine = (): void => {
    ownPipe.write(wake);
  };
  const header = segment.word(0);
  const port = await WorkerPort.start({
    arena: options.arena,
    reactor: options.reactor,
    publicSegment: segment,
    privateSegment,
    fabric: options.fabric,
    base: options.base ?? null,
    pipePath: pipe.path,
    bounce,
    spinNanos: options.spinNanos ?? DEFAULT_WORKER_SPIN,
    costs: costsOf(options),
    ringOwnDoorbell: (slot) => {
      ringDoorbell(view, header, slot);
      if (view.loadAcquire(header + PARKED) !== PARKED_NO) wakeEngine();
    },
    wakeEngine,
    ended: () => {
      ownPipe.close();
    },
  });
  unlinkSync(privateSegment.path);
  return port;
}

/** Its file is gone as soon as nobody has to open it any more; no peer ever sees it. */
function createPrivateSegment(claimed: ClaimedHost, options: OpenNicOptions): Segment {
  const { segment } = claimed;
  const path = segment.path.replace(/segment$/, 'private');
  const created = Segment.create(options.arena, path, {
    bytes: PRIVATE_SEGMENT_BYTES,
    address: segment.address,
    generation: segment.generation,
  });
  if (options.engine === 'inline') unlinkSync(path);
  return created;
}

function costsOf({ costModel }: OpenNicOptions): CostModel | null {
  if (costModel === undefined) return null;
  return typeof costModel === 'string' ? COST_MODELS[costModel] : costModel;
}

function baseOf(options: OpenNicOptions): { base?: string } {
  return options.base === undefined ? {} : { base: options.base };
}
