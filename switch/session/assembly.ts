// What a session is made of, and how its parts know each other: made once, with the session. Decides
// nothing afterwards. Source: docs/session-protocol.md; wsd-spec XFER-04.

import { assert } from '../../runtime/assert.js';
import { Closing } from './close.js';
import { SessionCore } from './core.js';
import { Exchange } from './exchange.js';
import { Inbound } from './inbound.js';
import { checkLimits, type SessionLimits } from './limits.js';
import { Outbound } from './outbound.js';
import { Pulls } from './pulls.js';
import { ShortWay } from './short-way.js';
import { Sources } from './sources.js';
import { Suspension } from './suspension.js';

export interface SessionOptions {
  readonly role: 'connector' | 'acceptor';
  readonly limits: SessionLimits;
  /** The own provider has WSPRdmaRead. */
  readonly rdmaRead: boolean;
  /** The own provider lets a connection move from process to process. [DUP-11, DUP-15] */
  readonly suspends?: boolean;
  /**
   * limits.sendCount buffers of limits.messageBytes, at multiples of 4; registered by the shell. Those
   * behind limits.firstSendCount need not be there before lendSends() has been called.
   */
  readonly sendBuffers: readonly Uint8Array[];
  /** wordsOf each of them: they outlive a session, which need not make them anew. */
  readonly sendWords: readonly Int32Array[];
  /**
   * limits.receiveCount buffers of limits.messageBytes, at multiples of 4; registered by the shell.
   * Those behind limits.firstReceiveCount need not be there before lendReceives() has been called.
   */
  readonly receiveBuffers: readonly Uint8Array[];
  readonly receiveWords: readonly Int32Array[];
  /**
   * Gives the staging buffer, registered (local) by the shell: limits.stagingBytes, or less where there
   * is no more. Called once, when large data is first wanted by somebody who only reads, or into memory
   * that cannot be registered.
   */
  readonly lendStaging: () => Uint8Array;
  /**
   * Gives the rest of the send buffers. Called once, when more are first needed. False when there is no
   * memory for them: the session then goes on with those it has.
   */
  readonly lendSends: () => boolean;
  /**
   * Gives the rest of the receive buffers. Called once, when the peer turns out to have more to say than a
   * few messages. False when there is no memory for them: the session then goes on with those it has.
   */
  readonly lendReceives: () => boolean;
}

export interface Assembly {
  readonly core: SessionCore;
  readonly sources: Sources;
  readonly pulls: Pulls;
  readonly outbound: Outbound;
  readonly inbound: Inbound;
  readonly closing: Closing;
  readonly exchange: Exchange;
  readonly shortWay: ShortWay;
  readonly suspension: Suspension;
}

/** Throws AssertionError when limits or memory do not fit each other. */
export function assemble(options: SessionOptions): Assembly {
  const { limits } = options;
  checkLimits(limits);
  assert(
    options.receiveBuffers.length >= limits.firstReceiveCount &&
      options.receiveWords.length >= limits.firstReceiveCount,
    'as many receive buffers as receives',
  );
  const core = new SessionCore(limits, options.rdmaRead, options.suspends ?? false, options);
  const sources = new Sources(core);
  const pulls = new Pulls(core);
  const outbound = new Outbound(core, sources);
  const inbound = new Inbound(core, pulls);
  sources.onEnded = (request) => {
    outbound.sourceEnded(request);
  };
  sources.onRegistrationFailed = (request) => {
    outbound.registrationFailed(request);
  };
  const parts = { outbound, inbound, sources, pulls };
  const isConnector = options.role === 'connector';
  const closing = new Closing(core, isConnector, parts);
  const suspension = new Suspension(core, isConnector, parts);
  const exchange = new Exchange(core, isConnector, parts, closing, suspension);
  const shortWay = new ShortWay(core, { outbound, inbound, exchange }, options);
  return { core, sources, pulls, outbound, inbound, closing, exchange, shortWay, suspension };
}
