// The sending half of connection management: writes frames as their connection stands, and tries again
// what a full pipe did not take. Decides nothing. Source: docs/nic.md.

import { assert } from '../../runtime/assert.js';
import type { Frame } from './cm-frame.js';
import { FrameFlag, FrameType, RejectReason, writeFrame } from './cm-frame.js';
import type { ConnectionHost } from './connection-host.js';
import type { Connection } from './connection-table.js';
import type { WireEndpoint } from './layout.js';
import type { PeerHost } from './peer-host.js';

const NO_ENDPOINT: WireEndpoint = { queuePair: 0, slot: 0, ring: 0, state: 0, sequence: 0 };
export const NO_DATA = new Uint8Array(0);

/** What a frame says beyond what its connection does. */
export interface FrameFields {
  readonly port?: number;
  readonly localPort?: number;
  readonly privateData?: Uint8Array;
  readonly reason?: number;
}

export class FrameSender {
  readonly #host: ConnectionHost;
  readonly #congested = new Set<PeerHost>();

  constructor(host: ConnectionHost) {
    this.#host = host;
  }

  /** Whether frames wait for a full pipe. */
  get isCongested(): boolean {
    return this.#congested.size > 0;
  }

  /** Asks, or asks again where it was sent on to. */
  request(connection: Connection): void {
    const { peer, request, service } = connection;
    assert(request !== null, 'this side asks');
    const { localPort, privateData } = request;
    const reason = service.address === peer.address ? 0 : service.address;
    this.send(connection, FrameType.REQ, { port: service.port, localPort, privateData, reason });
  }

  send(connection: Connection, type: FrameType, fields: FrameFields = {}): void {
    const frame = this.#frame(type, connection.id, connection.remoteId, connection.peer);
    frame.targetPort = fields.port ?? 0;
    frame.sourcePort = fields.localPort ?? 0;
    frame.reason = fields.reason ?? 0;
    frame.privateData = fields.privateData ?? NO_DATA;
    if (connection.reachesPeer) frame.flags |= FrameFlag.REACHES_YOU;
    const qp = connection.queuePair;
    if (qp !== null) frame.endpoint = this.#host.endpointOf(qp);
    if (qp?.limitsRetries === true) frame.flags |= FrameFlag.ACKNOWLEDGE_SENDS;
    this.#sendTo(connection.peer, frame);
  }

  /** Answers a frame about a connection that is not known here. */
  answer(peer: PeerHost, frame: Frame, type: FrameType): void {
    this.#sendTo(peer, this.#frame(type, frame.targetComm, frame.sourceComm, peer));
  }

  /** Refuses a request of a host that cannot be mapped here: it would wait for an answer in vain. */
  refuseUnmapped({ sourceAddress, sourceComm }: Frame): void {
    const frame = this.#frame(FrameType.REJ, 0, sourceComm, { address: sourceAddress });
    frame.reason = RejectReason.NO_CONSUMER;
    this.#host.writeUnmapped(sourceAddress, writeFrame(frame));
  }

  retry(): void {
    for (const peer of this.#congested) {
      peer.retry();
      if (!peer.isCongested) this.#congested.delete(peer);
    }
  }

  forget(peer: PeerHost): void {
    this.#congested.delete(peer);
  }

  #sendTo(peer: PeerHost, frame: Frame): void {
    peer.send(frame);
    if (peer.isCongested) this.#congested.add(peer);
  }

  #frame(
    type: FrameType,
    sourceComm: number,
    targetComm: number,
    peer: { address: number },
  ): Frame {
    return {
      type,
      sourceAddress: this.#host.address,
      targetAddress: peer.address,
      sourcePort: 0,
      targetPort: 0,
      sourceComm,
      targetComm,
      reason: 0,
      generation: this.#host.generation,
      processId: this.#host.processId,
      endpoint: NO_ENDPOINT,
      probeAddress: this.#host.probeAddress,
      flags: 0,
      privateData: NO_DATA,
    };
  }
}
