// A hostile host, its victim, and a bystander, on one virtual clock in one process. Every case does one
// hostile thing, legal or not: work requests with any field, slots written straight into the victim's
// ring, any word of the structures that peers can reach. What must hold is checked here; which cases run,
// and how many, is the caller's.

import { VirtualClock } from '../../../../runtime/clock.js';
import { Prng } from '../../../../runtime/prng.js';
import { segmentHeader } from '../../../../native/layout/segment.layout.js';
import type {
  CompletionQueue,
  MemoryRegion,
  NicEvent,
  QueuePair,
} from '../../../../provider/nic/device.js';
import { Slot, STATE_EXPOSED, queuePairState } from '../../../../provider/nic/layout.js';
import { ENTRY_WORDS, WIRE_SLOTS } from '../../../../provider/nic/limits.js';
import { PROCESS_SPACE } from '../../../../provider/nic/mover.js';
import {
  Access,
  MAX_SGE,
  Opcode,
  WcStatus,
  WorkCompletion,
  WorkRequest,
} from '../../../../provider/nic/verbs.js';
import { LocalEnd } from './end.js';
import { EVERYTHING, FAR, Machine, NEAR } from './pair.js';

const THIRD = 0x7f4d0003;
const PORT = 80;
const PART = 4096;
/** Guard, open to the trial connection, guard, only readable, guard, open to the bystander, guard. */
const PARTS = 7;
const GUARD = 0xc7;
const READABLE = 0x33;
/** More of them in a row than random payloads ever hold. */
const SECRET = Buffer.alloc(16, GUARD);
const TURNS_MAX = 20_000;
const STEP_NANOS = 150_000_000;
const STATE_WORDS = queuePairState.bytes / 4;
const CASES_PER_CHECK = 64;
const CASES_PER_MESSAGE = 256;

/** A block of one end. */
interface Memory {
  readonly bytes: Uint8Array;
  readonly address: number;
}

interface Link {
  readonly victim: QueuePair;
  readonly other: QueuePair;
}

export class Fuzz {
  readonly random: Prng;
  cases = 0;
  /** Trial connections that a case has ended. */
  broken = 0;
  readonly #machine: Machine;
  readonly #clock: VirtualClock;
  readonly #victim: LocalEnd;
  readonly #attacker: LocalEnd;
  readonly #third: LocalEnd;
  readonly #queues = new Map<LocalEnd, CompletionQueue>();
  readonly #memory: Memory;
  readonly #process: Memory;
  readonly #hostile: Memory;
  readonly #hostileProcess: Memory;
  readonly #request = new WorkRequest();
  readonly #completion = new WorkCompletion();
  #bystander: Link | null = null;
  #trial: Link | null = null;
  #regions: MemoryRegion[] = [];
  #hostileRegions: MemoryRegion[] = [];
  #bystanderRegion: MemoryRegion | null = null;

  private constructor(seed: number, machine: Machine, clock: VirtualClock, ends: LocalEnd[]) {
    const [victim, attacker, third] = ends;
    if (victim === undefined || attacker === undefined || third === undefined)
      throw new Error('three ends');
    this.random = new Prng(seed);
    this.#machine = machine;
    this.#clock = clock;
    this.#victim = victim;
    this.#attacker = attacker;
    this.#third = third;
    for (const end of ends) this.#queues.set(end, end.opened.nic.createCompletionQueue(256));
    this.#memory = this.#allocate(victim, true);
    this.#process = this.#allocate(victim, false);
    this.#hostile = this.#allocate(attacker, true);
    this.#hostileProcess = this.#allocate(attacker, false);
    for (const { bytes } of [this.#memory, this.#process]) this.#paint(bytes);
  }

  static async open(seed: number): Promise<Fuzz> {
    const machine = new Machine();
    const clock = new VirtualClock(1);
    const ends: LocalEnd[] = [];
    for (const address of [NEAR, FAR, THIRD])
      ends.push(await LocalEnd.open(machine.loop, machine.options(address), clock));
    const fuzz = new Fuzz(seed, machine, clock, ends);
    for (const end of ends) end.opened.nic.listen(PORT);
    fuzz.#bystander = fuzz.#connect(fuzz.#third);
    fuzz.#bystanderRegion = fuzz.#register(
      fuzz.#victim,
      fuzz.#bystander.victim,
      fuzz.#memory.bytes.subarray(5 * PART, 6 * PART),
      EVERYTHING,
    );
    return fuzz;
  }

  /** One hostile thing and what follows from it; every so often, a check. */
  step(): void {
    this.cases++;
    const trial = (this.#trial ??= this.#begin());
    const random = this.random;
    switch (random.below(8)) {
      case 0:
      case 1:
        this.#post(this.#attacker, trial.other, this.#hostileRegions);
        break;
      case 2:
        this.#post(this.#victim, trial.victim, this.#regions);
        break;
      case 3:
        this.#postReceive(trial.victim);
        break;
      case 4:
      case 5:
        this.#forgeSlot(trial);
        break;
      case 6:
        this.#litterState(trial);
        break;
      default:
        this.#litterHeader();
    }
    for (const end of [this.#attacker, this.#victim]) end.opened.nic.progress();
    this.#drain();
    if (this.cases % CASES_PER_CHECK === 0) this.check();
    if (this.cases % CASES_PER_MESSAGE === 0) this.#expectBystanderGoesOn();
  }

  /** Throws when a byte changed, or was seen, that no registration opens. */
  check(): void {
    this.#machine.loop.turn();
    for (const { bytes } of [this.#memory, this.#process]) {
      for (const part of [0, 2, 4, 6]) this.#expectFilled(bytes, part, GUARD);
      this.#expectFilled(bytes, 3, READABLE);
    }
    for (const { bytes } of [this.#hostile, this.#hostileProcess]) {
      const seen = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(SECRET);
      if (seen) throw new Error('the attacker has seen guarded bytes');
    }
    this.#expectFilled(this.#memory.bytes, 5, 0x11);
  }

  async close(): Promise<void> {
    this.check();
    this.#expectBystanderGoesOn();
    for (const end of [this.#attacker, this.#third, this.#victim]) await end.close();
    const files = this.#machine.files();
    this.#machine.close();
    if (files.length > 0) throw new Error(`left behind: ${files.join(' ')}`);
  }

  // Hostile things -------------------------------------------------------------------------------

  /** A work request with fields of which some are right. */
  #post(end: LocalEnd, queuePair: QueuePair, regions: readonly MemoryRegion[]): void {
    const random = this.random;
    const request = this.#request;
    request.opcode = random.pick([Opcode.SEND, Opcode.RDMA_WRITE, Opcode.RDMA_READ]);
    request.id = random.uint32();
    request.flags = random.below(256);
    request.sgeCount = random.chance(1, 20) ? random.below(10) : random.below(3);
    for (let sge = 0; sge < MAX_SGE; sge++) {
      const region = random.pick(regions);
      const isRight = random.chance(9, 10);
      const offset = random.below(PART);
      const length = isRight ? random.below(PART - offset + 1) : this.#length();
      const address = isRight ? region.address + offset : this.#address();
      request.setSge(sge, address, length, isRight ? region.localKey : this.#key());
    }
    const target = random.pick(end === this.#attacker ? this.#regions : this.#hostileRegions);
    const isRight = random.chance(2, 3);
    request.remoteAddress = isRight ? target.address + random.below(PART) : this.#address();
    request.remoteKey = random.chance(3, 4) ? target.remoteKey : this.#key();
    queuePair.postSend(request);
  }

  #postReceive(queuePair: QueuePair): void {
    const region = this.random.pick(this.#regions);
    this.#request.sgeCount = 1;
    this.#request.setSge(0, region.address, PART, region.localKey);
    queuePair.postReceive(this.#request);
  }

  /** A slot where the victim looks next, under the right sequence number or nearly. */
  #forgeSlot(trial: Link): void {
    const random = this.random;
    const { words } = this.#machine.loop.arena.view;
    const ring = stateWord(trial.victim) - WIRE_SLOTS * ENTRY_WORDS;
    let last = 0;
    for (let index = 1; index < WIRE_SLOTS; index++) {
      if (((this.#word(ring, index) - this.#word(ring, last)) | 0) > 0) last = index;
    }
    const slot = ring + ((last + 1) % WIRE_SLOTS) * ENTRY_WORDS;
    for (let word = 1; word < ENTRY_WORDS; word++) words[slot + word] = random.uint32() | 0;
    const references = random.chance(1, 4) ? random.below(256) : random.below(MAX_SGE + 2);
    const opcode = random.chance(1, 8) ? random.below(256) : random.between(1, 4);
    const flags = random.chance(1, 2) ? random.below(32) : random.below(3);
    words[slot + Slot.CONTROL] = opcode | (flags << 8) | (references << 16);
    words[slot + Slot.LENGTH] = this.#length() | 0;
    words[slot + Slot.REMOTE_KEY] = this.#key() | 0;
    this.#machine.loop.arena.view.store64(slot + Slot.REMOTE_ADDRESS_LOW, this.#address());
    for (let at = slot + Slot.PAYLOAD; at < slot + ENTRY_WORDS; at += 4) {
      this.#machine.loop.arena.view.store64(at, this.#reference());
      words[at + 2] = this.#length() | 0;
    }
    const off = random.chance(1, 10) ? random.pick([0, 1, -1, 64, 2 ** 31]) : 0;
    words[slot] = (this.#word(ring, last) + 1 + off) | 0;
  }

  /** What either side says of itself, and the ring that the victim writes. */
  #litterState(trial: Link): void {
    const [random, { words }] = [this.random, this.#machine.loop.arena.view];
    const side = random.pick([trial.victim, trial.other]);
    const state = stateWord(side);
    const place = random.chance(3, 4)
      ? state + random.below(STATE_WORDS)
      : state - 1 - random.below(WIRE_SLOTS * ENTRY_WORDS);
    // As good as a write through one's own mapping (docs/nic.md, "Trust"); its own list may say anything.
    if (side === trial.victim && place >= state + STATE_EXPOSED) return;
    const before = words[place] ?? 0;
    const value = random.pick([
      0,
      1,
      -1,
      before + 1,
      before - 1,
      before + 2 ** 30,
      random.uint32(),
    ]);
    words[place] = value | 0;
  }

  /** The doorbells, and whether the engine wants to be woken. */
  #litterHeader(): void {
    const { random } = this;
    const { words } = this.#machine.loop.arena.view;
    const { bytes, address } = random.pick([this.#memory, this.#hostile]);
    // Where the segment starts: addresses count from there.
    const header = (bytes.byteOffset - address) / 4;
    const first = segmentHeader.word('engineParked');
    const place = header + first + random.below(segmentHeader.bytes / 4 - first);
    words[place] = random.chance(1, 2) ? 0 : random.uint32() | 0;
  }

  #key(): number {
    const random = this.random;
    const region = random.pick([...this.#regions, ...this.#hostileRegions]);
    return random.pick([
      region.remoteKey,
      region.localKey,
      (region.remoteKey + 1) >>> 0,
      this.#bystanderRegion?.remoteKey ?? 0,
      this.#bystanderRegion?.localKey ?? 0,
      0,
      1,
      random.uint32(),
    ]);
  }

  #length(): number {
    const { random } = this;
    return random.pick([
      0,
      1,
      64,
      96,
      97,
      PART,
      PART + 1,
      2 ** 30,
      2 ** 31,
      2 ** 32 - 1,
      random.uint32(),
    ]);
  }

  /** An address in the victim's terms. */
  #address(): number {
    const random = this.random;
    const base = random.pick([this.#memory, this.#process]).address;
    return random.pick([
      base + random.below(PARTS * PART),
      base + PART - random.below(128),
      base + 2 * PART - random.below(128),
      random.below(2 ** 16),
      2 ** 31 - random.below(256),
      2 ** 32 - 1,
      PROCESS_SPACE,
      PROCESS_SPACE + random.uint32(),
      2 ** 53 - 1,
    ]);
  }

  /**
   * An address in the attacker's terms. Both live in one process here, where any pinned memory may be
   * named as one's own; so the victim's own memory is not among them (docs/nic.md, "Trust").
   */
  #reference(): number {
    const random = this.random;
    return random.pick([
      this.#hostile.address + random.below(PARTS * PART),
      this.#hostileProcess.address + random.below(PART),
      32 * 2 ** 20 - random.below(256),
      random.uint32(),
      PROCESS_SPACE + random.uint32(),
      2 ** 53 - 1,
    ]);
  }

  // Connections ----------------------------------------------------------------------------------

  #begin(): Link {
    const trial = this.#connect(this.#attacker);
    const open = (memory: Memory, part: number): Uint8Array =>
      memory.bytes.subarray(part * PART, (part + 1) * PART);
    for (const memory of [this.#memory, this.#process]) {
      this.#regions.push(
        this.#register(this.#victim, trial.victim, open(memory, 1), EVERYTHING),
        this.#register(this.#victim, trial.victim, open(memory, 3), Access.REMOTE_READ),
      );
    }
    for (const memory of [this.#hostile, this.#hostileProcess])
      this.#hostileRegions.push(
        this.#register(this.#attacker, trial.other, memory.bytes, EVERYTHING),
      );
    // A first message, so that the ring holds a sequence number to go on from.
    this.#request.sgeCount = 0;
    this.#request.opcode = Opcode.SEND;
    this.#request.flags = 0;
    trial.victim.postReceive(this.#request);
    trial.other.postSend(this.#request);
    return trial;
  }

  #connect(other: LocalEnd): Link {
    const victim = this.#create(this.#victim);
    const queuePair = this.#create(other);
    queuePair.connect(NEAR, PORT, 1, new Uint8Array(0));
    let requestId = -1;
    this.#until('a request', () => {
      const event = this.#event(this.#victim);
      if (event?.type === 'connect-request') requestId = event.requestId;
      return requestId >= 0;
    });
    victim.accept(requestId, new Uint8Array(0));
    this.#until('the connection', () => this.#event(other)?.type === 'established');
    return { victim, other: queuePair };
  }

  #create(end: LocalEnd): QueuePair {
    const completionQueue = this.#queues.get(end);
    const { nic } = end.opened;
    const made =
      completionQueue === undefined
        ? null
        : nic.createQueuePair({ completionQueue, sendDepth: 16, receiveDepth: 16 });
    if (made === null) throw new Error('no queue pair is left');
    return made;
  }

  /** Takes completions and events; a trial that ended is destroyed, and the next step begins another. */
  #drain(): void {
    for (const end of [this.#attacker, this.#victim]) this.#pollAll(end);
    let isOver = false;
    for (const end of [this.#attacker, this.#victim]) {
      for (let event = this.#event(end); event !== null; event = this.#event(end))
        isOver ||= event.type === 'disconnected';
    }
    if (isOver) this.#end();
  }

  #end(): void {
    const trial = this.#trial;
    if (trial === null) return;
    this.broken++;
    this.#trial = null;
    this.#regions = [];
    this.#hostileRegions = [];
    trial.victim.destroy();
    trial.other.destroy();
    this.#until('the release of the trial', () => {
      for (const end of [this.#attacker, this.#victim]) {
        this.#pollAll(end);
        while (this.#event(end) !== null);
      }
      return (
        this.#victim.opened.nic.queuePairCount === 1 &&
        this.#attacker.opened.nic.queuePairCount === 0
      );
    });
  }

  #event(end: LocalEnd): NicEvent | null {
    const event = end.opened.nic.pollEvent();
    const isBystander =
      event?.type === 'disconnected' && event.queuePair === this.#bystanderAt(end)?.slot;
    if (isBystander) throw new Error('the bystander has lost its connection');
    return event;
  }

  /** The bystander's queue pair of an end; none of the attacker's. */
  #bystanderAt(end: LocalEnd): QueuePair | null {
    if (this.#bystander === null || end === this.#attacker) return null;
    return end === this.#victim ? this.#bystander.victim : this.#bystander.other;
  }

  /** Takes all completions; returns how many of the bystander's succeeded. */
  #pollAll(end: LocalEnd): number {
    const queue = this.#queues.get(end);
    let good = 0;
    while (queue?.poll(this.#completion) === true) {
      const { queuePair, opcode, status } = this.#completion;
      if (queuePair !== this.#bystanderAt(end)?.slot) continue;
      if (status !== WcStatus.SUCCESS) throw new Error(`the bystander failed with ${status}`);
      if (opcode === Opcode.RECV) good++;
    }
    return good;
  }

  #expectBystanderGoesOn(): void {
    const link = this.#bystander;
    if (link === null) return;
    this.#request.sgeCount = 0;
    this.#request.opcode = Opcode.SEND;
    this.#request.flags = 0;
    link.victim.postReceive(this.#request);
    link.other.postSend(this.#request);
    let received = 0;
    this.#until('the bystander’s message', () => {
      received += this.#pollAll(this.#victim);
      this.#pollAll(this.#third);
      return received === 1;
    });
    this.#drain();
  }

  /** Runs everything until `done`; time passes when that takes long. */
  #until(what: string, done: () => boolean): void {
    for (let turn = 1; turn <= TURNS_MAX; turn++) {
      if (done()) return;
      this.#machine.loop.turn();
      if (turn % 300 === 0) this.#clock.advance(STEP_NANOS);
    }
    throw new Error(`no end of waiting for ${what}`);
  }

  // Memory ---------------------------------------------------------------------------------------

  #allocate(end: LocalEnd, isShared: boolean): Memory {
    const size = PARTS * PART;
    const bytes = isShared ? end.opened.memory.VirtualAlloc(size) : new Uint8Array(size);
    if (bytes === null) throw new Error('no memory');
    return { bytes, address: end.opened.nic.addressOf(bytes) };
  }

  #paint(bytes: Uint8Array): void {
    bytes.fill(GUARD);
    bytes.fill(0x11, PART, 2 * PART);
    bytes.fill(READABLE, 3 * PART, 4 * PART);
    bytes.fill(0x11, 5 * PART, 6 * PART);
  }

  #register(end: LocalEnd, owner: QueuePair, part: Uint8Array, access: number): MemoryRegion {
    const region = end.opened.nic.registerMemory(owner, part, part.length, access);
    if (typeof region === 'string') throw new Error(`not registered: ${region}`);
    return region;
  }

  #expectFilled(bytes: Uint8Array, part: number, value: number): void {
    const found = Buffer.from(bytes.buffer, bytes.byteOffset + part * PART, PART);
    if (found.equals(Buffer.alloc(PART, value))) return;
    throw new Error(`part ${part} was changed`);
  }

  #word(ring: number, index: number): number {
    return this.#machine.loop.arena.view.words[ring + index * ENTRY_WORDS] ?? 0;
  }
}

/** The state of a queue pair lies behind its ring, in the segment of its host. */
function stateWord(queuePair: QueuePair): number {
  return (queuePair as unknown as { readonly stateWord: number }).stateWord;
}
