// The queues of the NIC in memory: what was posted, and what became of it. What a request does is the
// device's business (fake-nic.ts).

import { assert } from '../../../runtime/assert.js';
import type {
  CompletionQueue,
  NicAttributes,
  QueuePair,
  QueuePairOptions,
} from '../../../provider/nic/device.js';
import type { WorkCompletion } from '../../../provider/nic/verbs.js';
import { Arrival, Opcode, PostResult, WcStatus, WorkRequest } from '../../../provider/nic/verbs.js';

const DEFAULT_DEPTH = 64;

export interface Sge {
  readonly address: number;
  readonly length: number;
  readonly key: number;
}

/** A work request as it was posted. */
export interface PostedRequest {
  readonly id: number;
  readonly opcode: number;
  readonly flags: number;
  readonly sges: readonly Sge[];
  readonly remoteAddress: number;
  readonly remoteKey: number;
}

interface Completion {
  readonly id: number;
  readonly opcode: number;
  readonly status: number;
  readonly byteLength: number;
  readonly queuePair: FakeQueuePair<FakeQueuePairHost>;
}

/** What a queue pair asks of its device. */
export interface FakeQueuePairHost {
  readonly attributes: NicAttributes;
  readonly posted: PostedRequest[];
  connect(
    queuePair: FakeQueuePair<FakeQueuePairHost>,
    to: {
      readonly address: number;
      readonly port: number;
      readonly localPort: number;
      readonly privateData: Uint8Array;
    },
  ): void;
  accept(
    queuePair: FakeQueuePair<FakeQueuePairHost>,
    requestId: number,
    privateData: Uint8Array,
  ): void;
  destroy(queuePair: FakeQueuePair<FakeQueuePairHost>, intent: 'ending' | 'moving'): void;
  progressOf(queuePair: FakeQueuePair<FakeQueuePairHost>): number;
}

export class FakeCompletionQueue implements CompletionQueue {
  readonly #completions: Completion[] = [];

  push(completion: Completion): void {
    this.#completions.push(completion);
  }

  poll(into: WorkCompletion): boolean {
    const completion = this.#completions.shift();
    if (completion === undefined) return false;
    const { queuePair } = completion;
    if (completion.opcode === Opcode.RECV) queuePair.receivesOutstanding--;
    else queuePair.sendsOutstanding--;
    into.id = completion.id;
    into.queuePair = queuePair.slot;
    into.opcode = completion.opcode;
    into.status = completion.status;
    into.byteLength = completion.byteLength;
    return true;
  }
}

export class FakeQueuePair<Nic extends FakeQueuePairHost> implements QueuePair {
  state: 'idle' | 'connecting' | 'connected' | 'error' | 'destroyed' = 'idle';
  sendsOutstanding = 0;
  receivesOutstanding = 0;
  peer: FakeQueuePair<Nic> | null = null;
  readonly number: number;
  readonly sends: PostedRequest[] = [];
  readonly receives: PostedRequest[] = [];

  constructor(
    readonly nic: Nic,
    readonly slot: number,
    readonly options: QueuePairOptions,
  ) {
    this.number = slot + 1;
  }

  postSend(request: WorkRequest): PostResult {
    if (this.state === 'idle' || this.state === 'connecting') return PostResult.BAD_STATE;
    if (this.state === 'destroyed') return PostResult.BAD_STATE;
    if (this.sendsOutstanding >= (this.options.sendDepth ?? DEFAULT_DEPTH)) {
      return PostResult.QUEUE_FULL;
    }
    const result = this.#post(request, request.opcode, this.sends);
    if (result === PostResult.OK) this.sendsOutstanding++;
    return result;
  }

  injectWrite(): boolean {
    return false;
  }

  injectRead(): boolean {
    return false;
  }

  inject(): boolean {
    return false;
  }

  takeArrival(): Arrival {
    return Arrival.OTHER;
  }

  postReceive(request: WorkRequest): PostResult {
    if (this.state === 'destroyed') return PostResult.BAD_STATE;
    if (this.receivesOutstanding >= (this.options.receiveDepth ?? DEFAULT_DEPTH)) {
      return PostResult.QUEUE_FULL;
    }
    const result = this.#post(request, Opcode.RECV, this.receives);
    if (result === PostResult.OK) this.receivesOutstanding++;
    return result;
  }

  postReceiveAt(id: number, address: number, length: number, localKey: number): PostResult {
    const request = new WorkRequest();
    request.id = id;
    request.sgeCount = 1;
    request.setSge(0, address, length, localKey);
    return this.postReceive(request);
  }

  progress(): number {
    return this.nic.progressOf(this);
  }

  connect(address: number, port: number, localPort: number, privateData: Uint8Array): void {
    assert(this.state === 'idle', 'a queue pair connects once');
    this.state = 'connecting';
    this.nic.connect(this, { address, port, localPort, privateData });
  }

  accept(requestId: number, privateData: Uint8Array): void {
    assert(this.state === 'idle', 'a queue pair accepts once');
    this.nic.accept(this, requestId, privateData);
  }

  destroy(intent: 'ending' | 'moving' = 'ending'): void {
    if (this.state !== 'destroyed') this.nic.destroy(this, intent);
  }

  complete(request: PostedRequest, opcode: number, status: number, byteLength: number): void {
    const { completionQueue } = this.options;
    assert(completionQueue instanceof FakeCompletionQueue, 'the completion queue is of this NIC');
    completionQueue.push({ id: request.id, opcode, status, byteLength, queuePair: this });
  }

  /** Everything that is posted ends flushed, in order. */
  flush(): void {
    for (const send of this.sends.splice(0)) {
      this.complete(send, send.opcode, WcStatus.WR_FLUSH_ERR, 0);
    }
    for (const receive of this.receives.splice(0)) {
      this.complete(receive, Opcode.RECV, WcStatus.WR_FLUSH_ERR, 0);
    }
  }

  #post(request: WorkRequest, opcode: number, queue: PostedRequest[]): PostResult {
    const sges: Sge[] = [];
    let total = 0;
    for (let index = 0; index < request.sgeCount; index++) {
      const length = request.lengths[index] ?? 0;
      total += length;
      const address = request.addresses[index] ?? 0;
      sges.push({ address, length, key: request.keys[index] ?? 0 });
    }
    if (total > this.nic.attributes.maxMessageBytes) return PostResult.TOO_LONG;
    const { id, flags, remoteAddress, remoteKey } = request;
    const posted = { id, opcode, flags, sges, remoteAddress, remoteKey };
    queue.push(posted);
    this.nic.posted.push(posted);
    return PostResult.OK;
  }
}
