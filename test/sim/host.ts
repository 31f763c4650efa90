// One simulated host: a real NIC and the reference SAN provider on the inline engine, a base provider in
// memory, the switch above them; with the hooks that disturb and watch what passes between switch and
// provider. It must not know what applications do.

import { native } from '../../native/load.js';
import type { Reactor } from '../../native/reactor.js';
import { InlinePort } from '../../provider/nic/engine-port.js';
import type { OpenedNic } from '../../provider/nic/open-nic.js';
import { openNic } from '../../provider/nic/open-nic.js';
import type { FaultRule, ProviderHook, VerifyHook } from '../../provider/hooks/index.js';
import { faults } from '../../provider/hooks/index.js';
import { createSanProvider } from '../../provider/san/provider.js';
import type { SanProviderOptions } from '../../provider/san/provider.js';
import * as spi from '../../provider/spi/index.js';
import { assert } from '../../runtime/assert.js';
import { Prng } from '../../runtime/prng.js';
import { INVALID_HANDLE_VALUE } from '../../switch/api/completion.js';
import { emptyWsaData } from '../../switch/api/startup.js';
import type { Winsock } from '../../switch/api/wsa.js';
import { createWinsock } from '../../switch/api/wsa.js';
import { Switch } from '../../switch/switch.js';
import { FakeTcp } from '../switch/fakes/fake-tcp.js';
import type { FakeTcpNetwork } from '../switch/fakes/fake-tcp.js';
import type { SimLoop } from './loop.js';
import { Group } from './loop.js';
import type { Neighbours } from './neighbours.js';
import type { SimMachine } from './machine.js';
import type { WorldPlan } from './plan.js';

const SEGMENT_BYTES = 32 * 2 ** 20;
/** Small, so that hosts are made quickly, and a long transfer takes many pieces. */
const BOUNCE_BYTES = 65_536 - 4096;
const OTHER_THRESHOLD_BYTES = 1_000;
const FIRST_ADDRESS = 0x7f4d0001;

export interface SimHostParts {
  readonly machine: SimMachine;
  readonly reactor: Reactor;
  readonly loop: SimLoop;
  readonly tcpNetwork: FakeTcpNetwork;
  readonly world: WorldPlan;
  readonly index: number;
  /** Around the provider and its faults. */
  readonly watch: ProviderHook;
  /** Around the provider, inside of its faults. */
  readonly verifier: VerifyHook | null;
  /** Other processes of the machine, to share connections with; without it there are none. */
  readonly neighbours?: Neighbours;
  /** Whether WSAStartup is called at once. */
  readonly starts: boolean;
  /** Between the switch and everything else, for mutants. */
  readonly caller?: (inner: spi.ServiceProvider) => spi.ServiceProvider;
}

export class SimHost {
  readonly group: Group;
  readonly address: string;
  readonly tcp: FakeTcp;
  readonly theSwitch: Switch;
  readonly winsock: Winsock;
  /** What goes wrong at the provider's calls, at present. */
  readonly rules: FaultRule[] = [];
  /** Calls that a rule has been carried out on. */
  readonly disturbed = new Set<string>();
  /** VirtualAlloc has nothing left. */
  isOutOfMemory = false;
  isDead = false;
  /** Something was done to it that its connections may not survive. */
  isAiling = false;
  #port = 0;
  readonly #opened: OpenedNic;
  readonly #loop: SimLoop;
  readonly #verifier: VerifyHook | null;
  #providerId = '';

  private constructor(parts: SimHostParts, opened: OpenedNic) {
    const { loop, world, index } = parts;
    this.#opened = opened;
    this.#loop = loop;
    this.#verifier = parts.verifier;
    this.group = new Group(`host ${index}`);
    this.address = spi.ipv4Text(FIRST_ADDRESS + index);
    this.tcp = new FakeTcp(parts.tcpNetwork, this.address);
    const environment = this.#environment(parts);
    const sharing = parts.neighbours?.servicesOf(environment.processId);
    this.theSwitch = new Switch({
      ...environment,
      ...(sharing === undefined ? {} : { sharing }),
      progress: loop,
      hostAddress: FIRST_ADDRESS + index,
      wakeup: () => Promise.resolve(),
    });
    const disturbing = faults({
      seed: world.seed + index,
      rules: this.rules,
      told: ({ call }) => void this.disturbed.add(call),
    });
    this.winsock = loop.as(this.group, () => {
      const own = createSanProvider(environment, sanOptionsOf(world, index));
      const { verifier, watch } = parts;
      const verified = verifier === null ? own : verifier(own, environment);
      const watched = watch(disturbing(verified, environment), environment);
      const san = parts.caller?.(watched) ?? watched;
      this.#addAgents();
      this.#providerId = san.providerId;
      return createWinsock({ theSwitch: this.theSwitch, providers: [san, this.tcp.service] });
    });
  }

  static async open(parts: SimHostParts): Promise<SimHost> {
    const { machine, world, index } = parts;
    const opened = await openNic({
      arena: machine.arena,
      native,
      reactor: parts.reactor,
      clock: parts.loop.clock,
      fabric: 'sim',
      base: machine.base,
      address: FIRST_ADDRESS + index,
      engine: 'inline',
      pin: 'off',
      segmentBytes: SEGMENT_BYTES,
      bounceBytes: BOUNCE_BYTES,
      warn: () => undefined,
      ...(world.cost === 'none' ? {} : { costModel: world.cost }),
    });
    const host = new SimHost(parts, opened);
    if (index === 0 && world.once !== 'none' && world.once !== 'WSPCleanup') {
      host.failOnce(world.once, spi.WSAENETDOWN);
    }
    if (parts.starts) assert(host.start() === 0, 'the switch starts');
    return host;
  }

  /** WSAStartup. */
  start(): number {
    return this.as(() => this.winsock.WSAStartup(0x0202, emptyWsaData()));
  }

  /** Runs something of this host. */
  as<T>(run: () => T): T {
    return this.#loop.as(this.group, run);
  }

  get isStill(): boolean {
    return this.isDead || this.group.stillUntil > this.#loop.clock.now();
  }

  /** The next such call at the provider fails. */
  failOnce(call: string, error: number): void {
    this.rules.push({ call, chance: [1, 1], times: 1, kind: 'fail', error });
  }

  allocate(bytes: number): Uint8Array | null {
    return this.isOutOfMemory ? null : this.#opened.memory.VirtualAlloc(bytes);
  }

  free(memory: Uint8Array): void {
    if (this.isDead) return;
    this.theSwitch.releaseMemory(memory);
    this.#verifier?.memoryFreed(memory);
    this.#opened.memory.VirtualFree(memory);
  }

  /** Has the host's completion port tell of the socket's operations. */
  associate(socket: number, key: number): void {
    const { winsock } = this;
    if (this.#port === 0) {
      this.#port = winsock.CreateIoCompletionPort(INVALID_HANDLE_VALUE, 0, 0, 0);
    }
    const port = winsock.CreateIoCompletionPort(socket, this.#port, key, 0);
    assert(port === this.#port, 'a socket is associated once');
  }

  /** Takes what the port has. Returns how much. */
  takeCompletions(take: (key: number, overlapped: spi.WSAOVERLAPPED) => void): number {
    if (this.#port === 0) return 0;
    const key = spi.ref(0);
    const overlapped = spi.ref<spi.WSAOVERLAPPED | null>(null);
    for (let count = 0; ; count++) {
      overlapped.value = null;
      this.winsock.GetQueuedCompletionStatus(this.#port, spi.ref(0), key, overlapped, 0);
      if (overlapped.value === null) return count;
      take(key.value, overlapped.value);
    }
  }

  closePort(): void {
    if (this.#port !== 0) this.winsock.CloseHandle(this.#port);
    this.#port = 0;
  }

  /** The link of one queue pair is lost; of all, with null. */
  loseLink(slot: number | null): void {
    this.#opened.nic.port.command({ type: 'fail', slot });
  }

  /** The NIC is gone, for good. */
  takeNicOut(): void {
    this.#opened.nic.port.command({ type: 'remove' });
  }

  /** The SAN provider is in no use any more but for what is connected. */
  removeProvider(): void {
    this.theSwitch.removeProvider(this.#providerId);
  }

  /** As if its process were killed: nobody is told anything. */
  die(): void {
    this.isDead = true;
    this.#loop.drop(this.group);
    const { port } = this.#opened.nic;
    assert(port instanceof InlinePort, 'simulations run on the inline engine');
    port.abandon();
    this.#opened.abandon();
    this.tcp.die();
  }

  /** What is left of a host whose sockets are closed and whose switch has stopped. */
  leftovers(): string[] {
    const { core } = this.theSwitch;
    const { nic, memory } = this.#opened;
    const counts = {
      connections: core.connections.size,
      handles: core.handles.count,
      requests: core.requests.outstanding,
      'lent memory': core.memory.lentCount,
      sockets: core.sockets.count,
      'TCP sockets': this.tcp.sockets.size,
      'queue pairs': nic.queuePairCount,
      registrations: nic.registrationCount,
      'memory blocks': memory.blockCount,
    };
    return Object.entries(counts)
      .filter(([, count]) => count !== 0)
      .map(([what, count]) => `${count} ${what} of ${this.group.name}`);
  }

  async close(): Promise<void> {
    if (this.isDead) return;
    this.#loop.drop(this.group);
    await this.#opened.close();
  }

  #environment(parts: SimHostParts): spi.ProviderEnvironment<OpenedNic['nic']> {
    const { loop, world, index, neighbours } = parts;
    const { memory, nic } = this.#opened;
    const silent = (): void => undefined;
    return {
      clock: loop.clock,
      random: new Prng(world.seed * 16 + index),
      progress: loop,
      memory: {
        VirtualAlloc: (bytes) => this.allocate(bytes),
        VirtualFree: (block) => {
          this.#verifier?.memoryFreed(block);
          return memory.VirtualFree(block);
        },
        addressOf: (buffer) => memory.addressOf(buffer),
      },
      logger: { debug: silent, info: silent, warn: silent, error: silent },
      profile: spi.PROFILES[world.profile],
      nic,
      sockets: null,
      ...(neighbours === undefined ? {} : { handover: neighbours.servicesOf(index + 1).handover }),
      processId: index + 1,
    };
  }

  #addAgents(): void {
    const { nic } = this.#opened;
    let turns = 0;
    // As the host's own: drives the NIC where no provider does, and has its deadlines seen.
    this.#loop.add({
      role: 'nic',
      doWork: () => {
        const work = nic.turns === turns ? nic.progress() : 0;
        turns = nic.turns;
        return work;
      },
      deadline: () => nic.port.deadline(),
    });
    this.#loop.add(this.tcp);
  }
}

/** What the provider of one host is like. */
function sanOptionsOf(world: WorldPlan, index: number): SanProviderOptions {
  const isOther = world.unequal && index % 2 === 1;
  const completions = { pending: 'immediate', immediate: 'pending' } as const;
  return {
    completion: isOther ? completions[world.completion] : world.completion,
    rdmaRead: world.read !== isOther,
    rdmaThresholdBytes: isOther ? OTHER_THRESHOLD_BYTES : world.threshold,
    ...(world.cache === isOther ? { registrationCache: false as const } : {}),
  };
}
