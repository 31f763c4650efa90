// The codec of session messages: one statement of every offset, parse and emit side by side. It
// checks what a message says about itself; what it says about the session (sequence, credits,
// slots) is checked by whoever keeps that state. Source: docs/session-protocol.md "Message layout".

import { assert } from '../../runtime/assert.js';
import {
  ANNOUNCE_BYTES,
  DESCRIPTOR_BYTES_MAX,
  HEADER_BYTES,
  MESSAGE_BYTES_MIN,
  NEGOTIATION_BYTES_MAX,
  TARGET_BYTES,
  TRANSFER_BYTES_MAX,
  TRANSFER_SLOTS_MAX,
} from './limits.js';

export const PROTOCOL_MAGIC = 0x5344_5357; // "WSDS"
export const PROTOCOL_VERSION = 3;
/** The oldest that is still spoken with: it knows no suspension. */
const PROTOCOL_VERSION_MIN = 2;

export const MessageType = {
  hello: 1,
  welcome: 2,
  data: 3,
  announce: 4,
  fin: 5,
  target: 6,
  written: 7,
  done: 8,
  finAck: 9,
  bye: 10,
  update: 11,
  suspend: 12,
  suspended: 13,
  resume: 14,
  renew: 15,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/** In DATA: the last byte of the payload is urgent. */
export const FLAG_URGENT = 1;
/** In FIN: the stream ends here unfinished; see the guide, "Cut". */
export const FLAG_CUT = 1;

// Word indices of the header and of the fields after it.
const WORD_KIND = 0;
const WORD_SEQUENCE = 1;
const WORD_GRANTED = 2;
const WORD_WINDOW = 3;
const WORD_PAYLOAD = 4;
const WORD_BODY = HEADER_BYTES / 4;
const NEGOTIATION_BYTES = 40;
export const HELLO_BYTES = HEADER_BYTES + NEGOTIATION_BYTES;
assert(
  HELLO_BYTES <= NEGOTIATION_BYTES_MAX,
  'SESS-05: a negotiation message has at most 256 bytes',
);

// Which header fields a type uses; all others must be 0.
const USES_FLAGS = 1;
const USES_TRANSFER = 2;
const USES_PULL = 4;
const USES_PAYLOAD = 8;
const USES: readonly number[] = [
  0, // no type 0
  0, // hello
  0, // welcome
  USES_FLAGS | USES_PAYLOAD, // data
  USES_TRANSFER | USES_PAYLOAD, // announce
  USES_FLAGS, // fin
  USES_TRANSFER | USES_PULL, // target
  USES_PULL, // written
  USES_TRANSFER, // done
  0, // finAck
  0, // bye
  0, // update
  0, // suspend
  0, // suspended
  0, // resume
  USES_TRANSFER, // renew
];

// Words are read and written in the machine's order, and the wire is little-endian.
assert(
  new Uint8Array(new Int32Array([1]).buffer)[0] === 1,
  'the session needs a little-endian machine',
);

const CAPABILITY_READ = 1;
const CAPABILITY_SUSPEND = 2;

/** One half of a negotiation. */
export interface Negotiation {
  version: number;
  receiveCount: number;
  messageBytes: number;
  windowBytes: number;
  thresholdBytes: number;
  rdmaBytesMax: number;
  transferSlots: number;
  rdmaRead: boolean;
  /** The side's provider lets the other side move to another process. */
  suspends: boolean;
}

/** A parsed message; one object per session, overwritten by every parse. */
export class Message {
  type: MessageType = MessageType.update;
  flags = 0;
  transfer = 0;
  pull = 0;
  sequence = 0;
  granted = 0;
  window = 0;
  payloadLength = 0;
  payloadOffset = 0;
  /** announce, renew. */
  rest = 0;
  /** target. */
  offset = 0;
  length = 0;
  /** announce, renew, target. */
  descriptorOffset = 0;
  descriptorLength = 0;
  /** hello, welcome. */
  readonly negotiation: Negotiation = {
    version: 0,
    receiveCount: 0,
    messageBytes: 0,
    windowBytes: 0,
    thresholdBytes: 0,
    rdmaBytesMax: 0,
    transferSlots: 0,
    rdmaRead: false,
    suspends: false,
  };
}

/**
 * Parses the message of `length` bytes that starts at `words[0]`. Returns '' or what is wrong with
 * it.
 */
export function parse(words: Int32Array, length: number, message: Message): string {
  if (length < HEADER_BYTES || length > words.length * 4) return 'length outside header and buffer';
  const kind = words[WORD_KIND] as number;
  const type = kind & 0xff;
  const payloadLength = words[WORD_PAYLOAD] as number;
  message.type = type as MessageType;
  message.flags = (kind >>> 8) & 0xff;
  message.transfer = (kind >>> 16) & 0xff;
  message.pull = kind >>> 24;
  message.sequence = words[WORD_SEQUENCE] as number;
  message.granted = words[WORD_GRANTED] as number;
  message.window = words[WORD_WINDOW] as number;
  message.payloadLength = payloadLength;
  if (type === MessageType.data) {
    message.payloadOffset = HEADER_BYTES;
    if (kind >>> 9 !== 0) return 'reserved bits set';
    return payloadLength > 0 && payloadLength === length - HEADER_BYTES
      ? ''
      : 'wrong payload length';
  }
  if (type === 0 || type >= USES.length) return 'unknown type';
  const uses = USES[type] as number;
  if (message.flags > ((uses & USES_FLAGS) === 0 ? 0 : 1)) return 'reserved flags set';
  if (message.transfer >= ((uses & USES_TRANSFER) === 0 ? 1 : TRANSFER_SLOTS_MAX))
    return 'bad transfer';
  if (message.pull >= ((uses & USES_PULL) === 0 ? 1 : TRANSFER_SLOTS_MAX)) return 'bad pull';
  if ((uses & USES_PAYLOAD) === 0 && payloadLength !== 0) return 'payload where none may be';
  if (payloadLength < 0 || payloadLength > length) return 'wrong payload length';
  switch (message.type) {
    case MessageType.announce:
    case MessageType.renew:
      return parseAnnounce(words, length, message);
    case MessageType.target:
      return parseTarget(words, length, message);
    case MessageType.hello:
    case MessageType.welcome:
      return parseNegotiation(words, length, message.negotiation);
    default:
      return length === HEADER_BYTES ? '' : 'wrong length';
  }
}

/** The words of a header, for the short ways. */
export const HeaderWord = {
  KIND: WORD_KIND,
  SEQUENCE: WORD_SEQUENCE,
  GRANTED: WORD_GRANTED,
  WINDOW: WORD_WINDOW,
  PAYLOAD: WORD_PAYLOAD,
} as const;

function parseAnnounce(words: Int32Array, length: number, message: Message): string {
  if (length < HEADER_BYTES + ANNOUNCE_BYTES) return 'short announcement';
  message.rest = words[WORD_BODY] as number;
  message.descriptorLength = words[WORD_BODY + 1] as number;
  message.descriptorOffset = HEADER_BYTES + ANNOUNCE_BYTES;
  if (message.rest <= 0 || message.rest > TRANSFER_BYTES_MAX) return 'rest out of range';
  const descriptorLength = message.descriptorLength;
  if (descriptorLength < 0 || descriptorLength > DESCRIPTOR_BYTES_MAX)
    return 'bad descriptor length';
  message.payloadOffset = message.descriptorOffset + descriptorLength;
  return message.payloadOffset + message.payloadLength === length ? '' : 'wrong length';
}

function parseTarget(words: Int32Array, length: number, message: Message): string {
  if (length < HEADER_BYTES + TARGET_BYTES) return 'short target';
  message.offset = words[WORD_BODY] as number;
  message.length = words[WORD_BODY + 1] as number;
  message.descriptorLength = words[WORD_BODY + 2] as number;
  message.descriptorOffset = HEADER_BYTES + TARGET_BYTES;
  if (message.offset < 0 || message.length <= 0) return 'target out of range';
  const descriptorLength = message.descriptorLength;
  if (descriptorLength <= 0 || descriptorLength > DESCRIPTOR_BYTES_MAX)
    return 'bad descriptor length';
  return message.descriptorOffset + descriptorLength === length ? '' : 'wrong length';
}

const within = (value: number, low: number, high: number): boolean => value >= low && value <= high;

function parseNegotiation(words: Int32Array, length: number, half: Negotiation): string {
  if (length !== HELLO_BYTES) return 'wrong length';
  if (words[WORD_BODY] !== PROTOCOL_MAGIC) return 'not this protocol';
  half.version = words[WORD_BODY + 1] as number;
  if (!within(half.version, PROTOCOL_VERSION_MIN, PROTOCOL_VERSION)) return 'another version';
  half.receiveCount = words[WORD_BODY + 2] as number;
  half.messageBytes = words[WORD_BODY + 3] as number;
  half.windowBytes = words[WORD_BODY + 4] as number;
  half.thresholdBytes = words[WORD_BODY + 5] as number;
  half.rdmaBytesMax = (words[WORD_BODY + 6] as number) >>> 0;
  half.transferSlots = words[WORD_BODY + 7] as number;
  const capability = words[WORD_BODY + 8] as number;
  half.rdmaRead = (capability & CAPABILITY_READ) !== 0;
  half.suspends = (capability & CAPABILITY_SUSPEND) !== 0;
  if (!within(half.receiveCount, 4, 4096)) return 'receives out of range';
  if (!within(half.messageBytes, MESSAGE_BYTES_MIN, 2 ** 24)) return 'message size out of range';
  if (!within(half.windowBytes, MESSAGE_BYTES_MIN, 2 ** 30)) return 'window out of range';
  if (!within(half.thresholdBytes, 1, 2 ** 30)) return 'threshold out of range';
  if (half.rdmaBytesMax === 0) return 'RDMA size out of range';
  if (!within(half.transferSlots, 1, TRANSFER_SLOTS_MAX)) return 'slots out of range';
  if (!within(capability, 0, half.version === PROTOCOL_VERSION ? 3 : 1))
    return 'unknown capability';
  return words[WORD_BODY + 9] === 0 ? '' : 'reserved word set';
}

/** The first word of a message. */
export function kindWord(type: MessageType, flags: number, transfer: number, pull: number): number {
  return type | (flags << 8) | (transfer << 16) | (pull << 24);
}

/** Writes everything of the header but the counters. */
export function emitHeader(words: Int32Array, kind: number, payloadLength: number): void {
  words[WORD_KIND] = kind;
  words[WORD_PAYLOAD] = payloadLength;
}

/** Writes the counters: the last thing before a message leaves. */
export function emitCounters(
  words: Int32Array,
  sequence: number,
  granted: number,
  window: number,
): void {
  words[WORD_SEQUENCE] = sequence;
  words[WORD_GRANTED] = granted;
  words[WORD_WINDOW] = window;
}

/** Writes the fields of an announcement, or of its renewal. Returns the offset of its descriptor. */
export function emitAnnounce(words: Int32Array, rest: number, descriptorLength: number): number {
  words[WORD_BODY] = rest;
  words[WORD_BODY + 1] = descriptorLength;
  return HEADER_BYTES + ANNOUNCE_BYTES;
}

/** Writes the fields of a target. Returns the offset of its descriptor. */
export function emitTarget(
  words: Int32Array,
  part: { readonly offset: number; readonly length: number },
  descriptorLength: number,
): number {
  words[WORD_BODY] = part.offset;
  words[WORD_BODY + 1] = part.length;
  words[WORD_BODY + 2] = descriptorLength;
  return HEADER_BYTES + TARGET_BYTES;
}

/** Writes one half of the negotiation. Returns the length of the message. */
export function emitNegotiation(words: Int32Array, half: Negotiation): number {
  words[WORD_BODY] = PROTOCOL_MAGIC;
  words[WORD_BODY + 1] = half.version;
  words[WORD_BODY + 2] = half.receiveCount;
  words[WORD_BODY + 3] = half.messageBytes;
  words[WORD_BODY + 4] = half.windowBytes;
  words[WORD_BODY + 5] = half.thresholdBytes;
  words[WORD_BODY + 6] = half.rdmaBytesMax;
  words[WORD_BODY + 7] = half.transferSlots;
  const suspends = half.suspends && half.version === PROTOCOL_VERSION;
  words[WORD_BODY + 8] =
    (half.rdmaRead ? CAPABILITY_READ : 0) | (suspends ? CAPABILITY_SUSPEND : 0);
  words[WORD_BODY + 9] = 0;
  return HELLO_BYTES;
}
