// A NIC in memory, for tests of what lies above one: devices on a fabric that share a process, work
// only when progress() is called, and behave the same every time. Checks keys, ranges and rights, keeps
// the order of queues, and can be told to fail. No shared memory, no threads.

import { assert } from '../../../runtime/assert.js';
import type {
  CompletionQueue,
  MemoryRegion,
  NicAttributes,
  NicDevice,
  NicEvent,
  QueuePair,
  QueuePairOptions,
  RegistrationFailure,
} from '../../../provider/nic/device.js';
import type { ConnectFailure, DisconnectReason } from '../../../provider/nic/verbs.js';
import { Access, MAX_SGE, Opcode, WcStatus } from '../../../provider/nic/verbs.js';
import type { PostedRequest, Sge } from './fake-queue-pair.js';
import { FakeCompletionQueue, FakeQueuePair } from './fake-queue-pair.js';

type NicQueuePair = FakeQueuePair<FakeNic>;

interface FakeRegion extends MemoryRegion {
  remoteKey: number;
  readonly buffer: Uint8Array;
  readonly owner: NicQueuePair;
}

interface ConnectRequest {
  readonly id: number;
  readonly from: NicQueuePair;
  readonly port: number;
  readonly address: number;
  readonly to: FakeConnectTarget;
}

interface FakeConnectTarget {
  readonly address: number;
  readonly port: number;
  readonly localPort: number;
  readonly privateData: Uint8Array;
}

export class FakeFabric {
  readonly #nics = new Map<number, FakeNic>();
  #nextRequest = 1;

  attach(address: number): FakeNic {
    const nic = new FakeNic(this, address);
    this.#nics.set(address, nic);
    return nic;
  }

  at(address: number): FakeNic | null {
    return this.#nics.get(address) ?? null;
  }

  requestId(): number {
    return this.#nextRequest++;
  }
}

export class FakeNic implements NicDevice {
  readonly attributes: NicAttributes;
  /** Everything that was ever posted, for tests that look below the provider. */
  readonly posted: PostedRequest[] = [];
  /** Nothing moves while this is set. */
  isHalted = false;
  /** 'disconnected' is reported one turn after the flushed completions. */
  reportsReasonLate = false;
  /** 'destroyed' is never reported. */
  neverLetsGo = false;
  /** The status of the next send, read or write, instead of what it would come to. */
  nextStatus: WcStatus | null = null;
  /** What registering memory comes to, instead of a region. */
  registrationFailure: RegistrationFailure | null = null;
  /** What connecting comes to, instead of asking. */
  connectFailure: ConnectFailure | null = null;
  queuePairsLeft = 1000;
  /** Registrations that there is room for. */
  regionsMax = Infinity;
  /** How often memory was registered. */
  registrations = 0;
  /** How often addressOf was asked. */
  lookups = 0;
  readonly #fabric: FakeFabric;
  readonly #queuePairs: NicQueuePair[] = [];
  readonly #regions = new Set<FakeRegion>();
  /** By address and port: listened on here, or where requests are sent on to. */
  readonly #services = new Map<string, 'here' | number | null>();
  readonly #requests = new Map<number, ConnectRequest>();
  readonly #addresses = new WeakMap<ArrayBufferLike, number>();
  #nextAddress = 2 ** 33;
  #nextKey = 0x1000;
  #nextSlot = 0;
  #events: NicEvent[] = [];
  #lateEvents: NicEvent[] = [];

  constructor(fabric: FakeFabric, address: number) {
    this.#fabric = fabric;
    this.attributes = {
      address,
      maxSge: MAX_SGE,
      maxMessageBytes: 1 << 16,
      inlineBytes: 0,
      rdmaRead: true,
      maxPrivateDataBytes: 48,
      maxQueuePairs: 1000,
    };
  }

  get regionCount(): number {
    return this.#regions.size;
  }

  get queuePairCount(): number {
    return this.#queuePairs.length;
  }

  addressOf(buffer: Uint8Array): number {
    this.lookups++;
    if (buffer.byteLength === 0) return 0;
    let base = this.#addresses.get(buffer.buffer);
    if (base === undefined) {
      base = this.#nextAddress;
      this.#nextAddress += buffer.buffer.byteLength + 4096;
      this.#addresses.set(buffer.buffer, base);
    }
    return base + buffer.byteOffset;
  }

  createCompletionQueue(): CompletionQueue {
    return new FakeCompletionQueue();
  }

  createQueuePair(options: QueuePairOptions): QueuePair | null {
    if (this.queuePairsLeft === 0) return null;
    this.queuePairsLeft--;
    const queuePair = new FakeQueuePair<FakeNic>(this, this.#nextSlot++, options);
    this.#queuePairs.push(queuePair);
    return queuePair;
  }

  registerMemory(
    queuePair: QueuePair,
    buffer: Uint8Array,
    length: number,
    access: number,
  ): MemoryRegion | RegistrationFailure {
    if (this.registrationFailure !== null) return this.registrationFailure;
    const owner = this.#queuePairs.find((one) => one === queuePair);
    if (owner === undefined || owner.state === 'destroyed') return 'invalid-queue-pair';
    if (length === 0 || length > buffer.byteLength) return 'invalid-buffer';
    if (this.#regions.size >= this.regionsMax) return 'no-resources';
    this.registrations++;
    const localKey = this.#nextKey++;
    const remoteKey = this.#nextKey++;
    const address = this.addressOf(buffer);
    const region = { address, length, access, localKey, remoteKey, buffer, owner };
    this.#regions.add(region);
    return region;
  }

  deregisterMemory(region: MemoryRegion): void {
    this.#regions.delete(region as FakeRegion);
  }

  concealMemory(region: MemoryRegion): void {
    (region as FakeRegion).remoteKey = 0;
  }

  exposeMemory(region: MemoryRegion): boolean {
    if (!this.#regions.has(region as FakeRegion)) return false;
    (region as FakeRegion).remoteKey = this.#nextKey++;
    return true;
  }

  listen(port: number, address = this.attributes.address): boolean {
    const service = `${address} ${port}`;
    if (this.#services.get(service) === 'here') return false;
    this.#services.set(service, 'here');
    return true;
  }

  unlisten(port: number, address = this.attributes.address): void {
    this.#services.delete(`${address} ${port}`);
    for (const request of this.#waitingFor(port, address)) this.reject(request.id);
  }

  redirect(port: number, to: number | null, address = this.attributes.address): void {
    this.#services.set(`${address} ${port}`, to);
    for (const request of this.#waitingFor(port, address)) {
      this.#requests.delete(request.id);
      request.from.nic.connect(request.from, request.to, to);
    }
  }

  #waitingFor(port: number, address: number): ConnectRequest[] {
    const waiting = [...this.#requests.values()];
    return waiting.filter((request) => request.port === port && request.address === address);
  }

  reject(requestId: number): void {
    const request = this.#requests.get(requestId);
    this.#requests.delete(requestId);
    if (request !== undefined) request.from.nic.#connectFailed(request.from, 'rejected');
  }

  pollEvent(): NicEvent | null {
    const event = this.#events[0];
    if (event === undefined) return null;
    if (event.type === 'destroyed' && !this.#isDrained(event.queuePair)) return null;
    this.#events.shift();
    return event;
  }

  progress(): number {
    if (this.isHalted) return 0;
    const late = this.#lateEvents.splice(0);
    this.#events.push(...late);
    let work = late.length;
    for (const queuePair of [...this.#queuePairs]) work += this.progressOf(queuePair);
    return work;
  }

  /** The host is gone without a word. */
  die(): void {
    for (const queuePair of this.#queuePairs) {
      const { peer } = queuePair;
      if (peer !== null) peer.nic.#end(peer, 'peer-died');
      queuePair.peer = null;
    }
  }

  /** Something ends every connection of this NIC. */
  endAll(reason: DisconnectReason): void {
    for (const queuePair of this.#queuePairs) {
      const { peer } = queuePair;
      this.#end(queuePair, reason);
      if (peer !== null) peer.nic.#end(peer, 'peer-died');
    }
  }

  /** It is taken out. */
  remove(): void {
    for (const queuePair of this.#queuePairs) this.#connectFailed(queuePair, 'unreachable');
    this.endAll('device-removed');
    for (const [service] of this.#services) this.#services.set(service, null);
    for (const requestId of this.requestIds) {
      const request = this.#requests.get(requestId);
      this.withdraw(requestId);
      if (request !== undefined) request.from.nic.#connectFailed(request.from, 'unreachable');
    }
    this.connectFailure = 'unreachable';
    this.#events.push({ type: 'device-removed' });
  }

  /** The requester of `requestId` changes its mind. */
  withdraw(requestId: number): void {
    const request = this.#requests.get(requestId);
    if (request === undefined) return;
    this.#requests.delete(requestId);
    this.#events.push({ type: 'request-withdrawn', port: request.port, requestId });
  }

  /** The ids of requests that nobody has answered. */
  get requestIds(): number[] {
    return [...this.#requests.keys()];
  }

  progressOf(queuePair: NicQueuePair): number {
    let work = 0;
    while (!this.isHalted && this.#step(queuePair)) work++;
    return work;
  }

  // What queue pairs ask for ---------------------------------------------------------------------

  connect(
    queuePair: NicQueuePair,
    to: FakeConnectTarget,
    /** The NIC that is asked: another one than the address is of, when that has sent it on. */
    at: number | null = to.address,
  ): void {
    const target = at === null ? null : this.#fabric.at(at);
    const service = target === null ? undefined : target.#services.get(`${to.address} ${to.port}`);
    if (this.connectFailure !== null) this.#connectFailed(queuePair, this.connectFailure);
    else if (target === null) this.#connectFailed(queuePair, 'unreachable');
    else if (service === undefined) this.#connectFailed(queuePair, 'no-listener');
    else if (service !== 'here') this.connect(queuePair, to, service);
    else {
      const requestId = this.#fabric.requestId();
      const { address, port } = to;
      target.#requests.set(requestId, { id: requestId, from: queuePair, port, address, to });
      target.#events.push({
        type: 'connect-request',
        port,
        address,
        requestId,
        remoteAddress: this.attributes.address,
        remotePort: to.localPort,
        privateData: to.privateData,
      });
    }
  }

  accept(queuePair: NicQueuePair, requestId: number, privateData: Uint8Array): void {
    const request = this.#requests.get(requestId);
    this.#requests.delete(requestId);
    if (request === undefined || request.from.state !== 'connecting') {
      this.#end(queuePair, 'peer-disconnected');
      return;
    }
    queuePair.peer = request.from;
    request.from.peer = queuePair;
    for (const end of [queuePair, request.from]) {
      end.state = 'connected';
      end.nic.#events.push({
        type: 'established',
        queuePair: end.slot,
        remoteAddress: (end === queuePair ? request.from : queuePair).nic.attributes.address,
        // Who accepts has read the request already.
        privateData: end === queuePair ? new Uint8Array(0) : privateData,
      });
    }
  }

  destroy(queuePair: NicQueuePair, intent: 'ending' | 'moving' = 'ending'): void {
    const { peer } = queuePair;
    queuePair.state = 'destroyed';
    queuePair.peer = null;
    queuePair.flush();
    for (const region of this.#regions)
      if (region.owner === queuePair) this.#regions.delete(region);
    this.#queuePairs.splice(this.#queuePairs.indexOf(queuePair), 1);
    this.queuePairsLeft++;
    this.#destroyed.push(queuePair);
    if (!this.neverLetsGo) this.#events.push({ type: 'destroyed', queuePair: queuePair.slot });
    if (peer === null) return;
    peer.nic.#end(peer, intent === 'moving' ? 'peer-moving' : 'peer-disconnected');
  }

  readonly #destroyed: NicQueuePair[] = [];

  #isDrained(slot: number): boolean {
    const queuePair = this.#destroyed.find((one) => one.slot === slot);
    return (queuePair?.sendsOutstanding ?? 0) + (queuePair?.receivesOutstanding ?? 0) === 0;
  }

  #connectFailed(queuePair: NicQueuePair, reason: ConnectFailure): void {
    if (queuePair.state !== 'connecting') return;
    queuePair.state = 'error';
    this.#events.push({ type: 'connect-failed', queuePair: queuePair.slot, reason });
  }

  #end(queuePair: NicQueuePair, reason: DisconnectReason): void {
    if (queuePair.state === 'destroyed' || queuePair.state === 'error') return;
    queuePair.state = 'error';
    queuePair.peer = null;
    queuePair.flush();
    const events = this.reportsReasonLate ? this.#lateEvents : this.#events;
    events.push({ type: 'disconnected', queuePair: queuePair.slot, reason });
  }

  /** Executes the first send of a queue pair, if it can be; whether it did. */
  #step(queuePair: NicQueuePair): boolean {
    if (queuePair.state === 'error') {
      const isIdle = queuePair.sends.length + queuePair.receives.length === 0;
      queuePair.flush();
      return !isIdle;
    }
    const [request] = queuePair.sends;
    const { peer } = queuePair;
    if (request === undefined || peer === null) return false;
    const receive = peer.receives[0];
    const waits = request.opcode === Opcode.SEND && receive === undefined;
    if (waits && this.nextStatus === null) return false;
    queuePair.sends.shift();
    const total = request.sges.reduce((sum, sge) => sum + sge.length, 0);
    const status = this.nextStatus ?? this.#execute(queuePair, peer, request, receive);
    this.nextStatus = null;
    queuePair.complete(request, request.opcode, status, status === WcStatus.SUCCESS ? total : 0);
    if (status !== WcStatus.SUCCESS) {
      peer.nic.#end(peer, 'error');
      this.#end(queuePair, 'error');
    }
    return true;
  }

  #execute(
    queuePair: NicQueuePair,
    peer: NicQueuePair,
    request: PostedRequest,
    receive: PostedRequest | undefined,
  ): WcStatus {
    const isRead = request.opcode === Opcode.RDMA_READ;
    const local = this.#spans(queuePair, request.sges, isRead ? Access.LOCAL_WRITE : 0);
    if (local === null) return WcStatus.LOC_PROT_ERR;
    const total = local.reduce((sum, span) => sum + span.length, 0);
    if (request.opcode === Opcode.SEND) return deliver(peer, receive, local, total);
    const right = isRead ? Access.REMOTE_READ : Access.REMOTE_WRITE;
    const remote = peer.nic.#remoteSpan(peer, request, total, right);
    if (remote === null) return WcStatus.REM_ACCESS_ERR;
    if (isRead) copy([remote], local);
    else copy(local, [remote]);
    return WcStatus.SUCCESS;
  }

  /** The bytes that local elements name, or null when a key does not open them. */
  spansOf(queuePair: NicQueuePair, sges: readonly Sge[], right: number): Uint8Array[] | null {
    return this.#spans(queuePair, sges, right);
  }

  #spans(queuePair: NicQueuePair, sges: readonly Sge[], right: number): Uint8Array[] | null {
    const spans: Uint8Array[] = [];
    for (const { address, length, key } of sges) {
      const region = [...this.#regions].find((one) => one.localKey === key);
      const span = region === undefined ? null : spanOf(region, queuePair, address, length, right);
      if (span === null) return null;
      spans.push(span);
    }
    return spans;
  }

  #remoteSpan(
    owner: NicQueuePair,
    request: PostedRequest,
    length: number,
    right: number,
  ): Uint8Array | null {
    const region = [...this.#regions].find((one) => one.remoteKey === request.remoteKey);
    return region === undefined
      ? null
      : spanOf(region, owner, request.remoteAddress, length, right);
  }
}

function spanOf(
  region: FakeRegion,
  owner: NicQueuePair,
  address: number,
  length: number,
  right: number,
): Uint8Array | null {
  const offset = address - region.address;
  if (region.owner !== owner || (region.access & right) !== right) return null;
  if (offset < 0 || offset + length > region.length) return null;
  if (region.buffer.byteLength < region.length) return null;
  return region.buffer.subarray(offset, offset + length);
}

function deliver(
  peer: NicQueuePair,
  receive: PostedRequest | undefined,
  from: Uint8Array[],
  total: number,
): WcStatus {
  assert(receive !== undefined, 'a send waits for a receive');
  peer.receives.shift();
  const spans = peer.nic.spansOf(peer, receive.sges, Access.LOCAL_WRITE);
  const room = receive.sges.reduce((sum, sge) => sum + sge.length, 0);
  if (spans === null || room < total) {
    const status = spans === null ? WcStatus.LOC_PROT_ERR : WcStatus.LOC_LEN_ERR;
    peer.complete(receive, Opcode.RECV, status, 0);
    return spans === null ? WcStatus.REM_OP_ERR : WcStatus.REM_INV_REQ_ERR;
  }
  copy(from, spans);
  peer.complete(receive, Opcode.RECV, WcStatus.SUCCESS, total);
  return WcStatus.SUCCESS;
}

/** Copies the bytes of one list into another, each packed. */
function copy(from: readonly Uint8Array[], to: readonly Uint8Array[]): void {
  const bytes = from.flatMap((span) => [...span]);
  let done = 0;
  for (const span of to) {
    const part = bytes.slice(done, done + span.length);
    span.set(part);
    done += part.length;
  }
}
