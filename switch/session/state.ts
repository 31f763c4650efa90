// What a session is when it is quiet: all that the next controller needs to go on with the stream as
// if it had been its own from the start. Plain data; how it travels is not known here.
// Source: docs/session-protocol.md "Suspension"; DUP-12, DUP-13.

import { assert } from '../../runtime/assert.js';
import type { Assembly } from './assembly.js';
import type { Agreement } from './core.js';

export interface AnnouncementState {
  readonly transfer: number;
  readonly rest: number;
  readonly assigned: number;
  readonly ended: number;
  readonly storedBefore: number;
}

export interface ArrivedState {
  /** Bytes that nobody has read, and how many were ever stored. */
  readonly stored: Uint8Array;
  readonly storedTotal: number;
  /** Bytes before all of these. */
  readonly staged: Uint8Array;
  /** Transfers with bytes that no receive has asked for, in the order of the stream. */
  readonly waiting: readonly number[];
  readonly marks: readonly number[];
}

export interface InboundState extends ArrivedState {
  readonly urgent: readonly number[];
  readonly discarding: boolean;
  readonly refusal: number;
  readonly finReceived: boolean;
  readonly isCut: boolean;
}

export interface OutboundState {
  readonly finWanted: boolean;
  readonly finSent: boolean;
  readonly isCut: boolean;
  readonly cutSent: boolean;
}

export interface ClosingState {
  readonly finAckAsked: boolean;
  readonly finAckSent: boolean;
  readonly finAckReceived: boolean;
  readonly byeAsked: boolean;
  readonly cutReceived: boolean;
}

export interface SessionState {
  readonly agreed: Readonly<Agreement>;
  readonly credits: readonly number[];
  readonly doneMask: number;
  readonly finAckWanted: boolean;
  readonly byeWanted: boolean;
  readonly announcements: readonly AnnouncementState[];
  readonly inbound: InboundState;
  readonly outbound: OutboundState;
  readonly closing: ClosingState;
}

/** The state of a quiet session. */
export function saveState(parts: Assembly): SessionState {
  const { core, pulls, inbound, outbound, closing, suspension } = parts;
  assert(suspension.isQuiet, 'only a quiet session has a state that can be told');
  return {
    agreed: { ...core.agreed },
    credits: core.credits.save(),
    doneMask: core.doneMask,
    finAckWanted: core.finAckWanted,
    byeWanted: core.byeWanted,
    announcements: pulls.save(),
    inbound: inbound.save(),
    outbound: outbound.save(),
    closing: closing.save(),
  };
}

/** Makes a new session, of the same limits, what the old one was. False: there is no memory for it. */
export function loadState(parts: Assembly, state: SessionState): boolean {
  const { core, pulls, inbound, outbound, closing, suspension } = parts;
  assert(!core.established, 'a state goes into a new session');
  Object.assign(core.agreed, state.agreed);
  core.credits.load(state.credits);
  core.doneMask = state.doneMask;
  core.finAckWanted = state.finAckWanted;
  core.byeWanted = state.byeWanted;
  core.established = true;
  pulls.load(state.announcements);
  if (!inbound.load(state.inbound)) return false;
  outbound.load(state.outbound);
  closing.load(state.closing);
  suspension.load();
  return true;
}
