// What goes from one controller of a connection to the next, and what a duplicate is told beforehand: as
// bytes, JSON first and unread data behind it. Nothing in it is believed unchecked. Knows no channels.
// Source: docs/duplication.md, "Control"; DUP-06, DUP-12, DUP-13.

import { AssertionError } from '../../runtime/assert.js';
import type { SessionLimits } from '../session/limits.js';
import { checkLimits, defaultSessionLimits } from '../session/limits.js';
import type { SessionState } from '../session/state.js';
import { isCount, isName, objectOf } from './messages.js';

const VERSION = 1;
const NEWLINE = 10;
const AGREED = ['messageBytes', 'smallBytes', 'thresholdBytes', 'rdmaBytesMax', 'transferSlots'];

/** What the application has set, wherever it is used. */
export interface SharedOptions {
  readonly sendTimeoutMs: number;
  readonly receiveTimeoutMs: number;
  readonly lingerOn: boolean;
  readonly lingerSeconds: number;
  readonly oobInline: boolean;
  readonly sendShut: boolean;
  readonly receiveShut: boolean;
  /** Level, name and value as hexadecimal text of each option that was set. */
  readonly options: readonly (readonly [number, number, string])[];
}

/** Control of a connection, on its way. */
export interface ControlState {
  /** What names the connection at the provider, in the target process. [DUP-11] */
  readonly reserved: number;
  readonly role: 'connector' | 'acceptor';
  readonly limits: SessionLimits;
  readonly session: SessionState;
  readonly options: SharedOptions;
}

/** What is left for the process that a duplicate is for; see SharingServices.handover. */
export interface DuplicateRecord {
  /** Whoever made the duplicate, who knows who has control. */
  readonly channel: string;
  readonly providerId: string;
  /** Under which TCP/IP left its part of the socket; 0 when it left none. */
  readonly tcpReserved: number;
  readonly localName: string;
  readonly peerName: string;
  readonly options: SharedOptions;
}

export function encodeRecord(record: DuplicateRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ version: VERSION, ...record }));
}

export function decodeRecord(bytes: Uint8Array): DuplicateRecord | null {
  const found = objectOf(bytes);
  if (found === null || found['version'] !== VERSION) return null;
  const { channel, providerId, tcpReserved, localName, peerName, options } = found;
  const isGood =
    isName(channel) &&
    typeof providerId === 'string' &&
    isCount(tcpReserved) &&
    typeof localName === 'string' &&
    typeof peerName === 'string' &&
    areOptions(options);
  return isGood ? (found as unknown as DuplicateRecord) : null;
}

export function encodeState(state: ControlState): Uint8Array {
  const { inbound } = state.session;
  const { stored, staged } = inbound;
  const head = {
    version: VERSION,
    ...state,
    session: {
      ...state.session,
      inbound: { ...inbound, stored: stored.length, staged: staged.length },
    },
  };
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), stored, staged]);
}

/** null for anything but a state of this version that a session can go on from. */
export function decodeState(bytes: Uint8Array): ControlState | null {
  const end = bytes.indexOf(NEWLINE);
  const head = end < 0 ? null : objectOf(bytes.subarray(0, end));
  if (head === null || head['version'] !== VERSION) return null;
  const { reserved, role, limits, options } = head;
  const session = sessionOf(head['session'], bytes.subarray(end + 1));
  const isRole = role === 'connector' || role === 'acceptor';
  if (session === null || !isRole || !isCount(reserved)) return null;
  if (!areLimits(limits) || !areOptions(options) || !fits(session, limits)) return null;
  return { reserved, role, limits, session, options };
}

function sessionOf(value: unknown, data: Uint8Array): SessionState | null {
  if (!isObject(value)) return null;
  const { agreed, credits, announcements, inbound, outbound, closing } = value;
  const isGood =
    hasNumbers(agreed, AGREED) &&
    isObject(outbound) &&
    isObject(closing) &&
    isObject(inbound) &&
    areIntegers(credits) &&
    Array.isArray(announcements) &&
    announcements.every((one) =>
      hasNumbers(one, ['transfer', 'rest', 'assigned', 'ended', 'storedBefore']),
    );
  if (!isGood) return null;
  const { stored, staged, waiting, urgent, marks } = inbound;
  if (!isCount(stored) || !isCount(staged) || stored + staged !== data.length) return null;
  if (![waiting, urgent, marks].every(areIntegers)) return null;
  return {
    ...(value as unknown as SessionState),
    inbound: {
      ...(inbound as unknown as SessionState['inbound']),
      stored: data.subarray(0, stored),
      staged: data.subarray(stored),
    },
  };
}

/** Numbers that index something are within it. */
function fits(session: SessionState, limits: SessionLimits): boolean {
  const { agreed, announcements, inbound } = session;
  const isSlot = (slot: number): boolean => slot >= 0 && slot < agreed.transferSlots;
  return (
    agreed.transferSlots <= limits.transferSlots &&
    agreed.messageBytes <= limits.messageBytes &&
    inbound.stored.length <= limits.windowBytes &&
    inbound.staged.length <= limits.stagingBytes &&
    inbound.waiting.every(isSlot) &&
    inbound.waiting.length <= agreed.transferSlots &&
    announcements.every(({ transfer }) => isSlot(transfer))
  );
}

function areLimits(value: unknown): value is SessionLimits {
  if (!hasNumbers(value, Object.keys(defaultSessionLimits))) return false;
  try {
    checkLimits(value as unknown as SessionLimits);
    return true;
  } catch (thrown) {
    if (thrown instanceof AssertionError) return false;
    throw thrown;
  }
}

function areOptions(value: unknown): value is SharedOptions {
  const isGood =
    hasNumbers(value, ['sendTimeoutMs', 'receiveTimeoutMs', 'lingerSeconds']) &&
    ['lingerOn', 'oobInline', 'sendShut', 'receiveShut'].every(
      (name) => typeof value[name] === 'boolean',
    );
  if (!isGood || !Array.isArray(value['options'])) return false;
  return value['options'].every((option) => {
    if (!Array.isArray(option)) return false;
    const [level, name, bytes] = option as unknown[];
    return Number.isInteger(level) && Number.isInteger(name) && typeof bytes === 'string';
  });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function areIntegers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((one) => Number.isInteger(one));
}

function hasNumbers(
  value: unknown,
  names: readonly string[],
): value is Readonly<Record<string, unknown>> {
  return isObject(value) && names.every((name) => Number.isInteger(value[name]));
}
