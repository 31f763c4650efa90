// Connection manager frames: what NICs tell each other outside the rings. One frame is 128 bytes and
// goes through the receiver's wake pipe, whose writes are atomic; so frames of many senders never mix,
// and a frame wakes a sleeper by itself. A reader believes nothing: see parseFrames.
//
//   word 0  magic "WCM1"      word 8   generation of the sender's segment (64 bits)
//        1  type | checksum << 8  10   process id of the sender
//        2  source address        11   queue pair number
//        3  target address        12   queue pair slot
//        4  source | target port  13   ring offset in the sender's segment
//        5  source comm id        14   state offset in the sender's segment
//        6  target comm id        15   first sequence number of that ring
//        7  reason, or address   16   probe address (64 bits)
//                                 18   flags, 19 private data length, 20 … 31 private data
//
// Word 7 of a REQ is the address that the request was for, when another NIC has sent it on; 0 otherwise.

import { MAX_PRIVATE_DATA } from './limits.js';
import type { WireEndpoint } from './layout.js';

const FRAME_WORDS = 32;
export const FRAME_BYTES = FRAME_WORDS * 4;
const MAGIC = 0x314d4357;
const PRIVATE_DATA_WORD = 20;

/** Message types, after the InfiniBand communication manager. */
export const FrameType = {
  /** Connection request. */
  REQ: 1,
  /** Reply: accepted. */
  REP: 2,
  /** Ready to use: the reply arrived. */
  RTU: 3,
  /** Rejected, with a reason. */
  REJ: 4,
  /** Disconnection request: the sender touches the receiver's memory no more. */
  DREQ: 5,
  /** Disconnection reply: nor does the other side. */
  DREP: 6,
  /** Nothing but a wake-up. */
  WAKE: 7,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const RejectReason = {
  NO_LISTENER: 1,
  REJECTED: 2,
  NO_RESOURCES: 3,
  NO_CONSUMER: 4,
  /** Ask the NIC whose address is in the private data, as with InfiniBand's port redirection. */
  REDIRECTED: 5,
} as const;

export const FrameFlag = {
  /** The sender can read and write memory of the receiver's process directly. */
  REACHES_YOU: 1,
  /** The sender limits retries: a SEND to it is complete only when acknowledged. */
  ACKNOWLEDGE_SENDS: 2,
} as const;

export interface Frame {
  type: FrameType;
  sourceAddress: number;
  targetAddress: number;
  sourcePort: number;
  targetPort: number;
  sourceComm: number;
  targetComm: number;
  /** Of a REJ or DREQ. Of a REQ: the address it is for, if that is not the target's. */
  reason: number;
  generation: number;
  processId: number;
  endpoint: WireEndpoint;
  /** An address in the sender's process that holds its generation. */
  probeAddress: number;
  flags: number;
  privateData: Uint8Array;
}

const TYPES = new Set<number>(Object.values(FrameType));
const TWO_32 = 2 ** 32;

// One frame at a time is written or read, in these: connections come and go too often for a buffer of
// each frame's own.
const words = new Uint32Array(FRAME_WORDS);
const wordBytes = new Uint8Array(words.buffer);
const NO_DATA = new Uint8Array(0);

/** The 128 bytes of a frame, in a buffer that is valid until the next frame is written or read. */
export function writeFrame(frame: Frame): Uint8Array {
  const { endpoint, generation, probeAddress, privateData } = frame;
  words[0] = MAGIC;
  words[1] = frame.type;
  words[2] = frame.sourceAddress;
  words[3] = frame.targetAddress;
  words[4] = (frame.sourcePort << 16) | frame.targetPort;
  words[5] = frame.sourceComm;
  words[6] = frame.targetComm;
  words[7] = frame.reason;
  words[8] = generation % TWO_32;
  words[9] = Math.floor(generation / TWO_32);
  words[10] = frame.processId;
  words[11] = endpoint.queuePair;
  words[12] = endpoint.slot;
  words[13] = endpoint.ring;
  words[14] = endpoint.state;
  words[15] = endpoint.sequence;
  words[16] = probeAddress % TWO_32;
  words[17] = Math.floor(probeAddress / TWO_32);
  words[18] = frame.flags;
  const length = Math.min(privateData.length, MAX_PRIVATE_DATA);
  words[19] = length;
  words.fill(0, PRIVATE_DATA_WORD);
  const start = PRIVATE_DATA_WORD * 4;
  for (let at = 0; at < length; at++) wordBytes[start + at] = privateData[at] as number;
  words[1] = frame.type | (checksum() << 8);
  return wordBytes;
}

/** The same in a buffer of its own. */
export function emitFrame(frame: Frame): Uint8Array {
  return writeFrame(frame).slice();
}

/** The frame in the 128 bytes from `at` on, or null when they are not one. */
export function parseFrame(bytes: Uint8Array, at = 0): Frame | null {
  if (bytes.length - at < FRAME_BYTES) return null;
  if (bytes[at] !== (MAGIC & 0xff)) return null; // Cheap, for streams of garbage.
  for (let index = 0; index < FRAME_BYTES; index++) wordBytes[index] = bytes[at + index] as number;
  const type = word(1) & 0xff;
  const length = word(19);
  if (word(0) !== MAGIC || !TYPES.has(type) || length > MAX_PRIVATE_DATA) return null;
  if (word(1) >>> 8 !== checksum()) return null;
  const start = PRIVATE_DATA_WORD * 4;
  return {
    type: type as FrameType,
    sourceAddress: word(2),
    targetAddress: word(3),
    sourcePort: word(4) >>> 16,
    targetPort: word(4) & 0xffff,
    sourceComm: word(5),
    targetComm: word(6),
    reason: word(7),
    generation: word(9) * TWO_32 + word(8),
    processId: word(10),
    endpoint: {
      queuePair: word(11),
      slot: word(12),
      ring: word(13),
      state: word(14),
      sequence: word(15),
    },
    probeAddress: word(17) * TWO_32 + word(16),
    flags: word(18),
    privateData: length === 0 ? NO_DATA : wordBytes.slice(start, start + length),
  };
}

function word(index: number): number {
  return words[index] as number;
}

/** The private data of a REJ that redirects to the NIC at `address`. */
export function redirection(address: number): Uint8Array {
  return new Uint8Array([address >>> 24, address >>> 16, address >>> 8, address]);
}

/** Where a REJ redirects to; null when it does not say. */
export function redirectedTo({ privateData }: Frame): number | null {
  if (privateData.length !== 4) return null;
  return privateData.reduce((address, byte) => address * 256 + byte, 0);
}

/**
 * 24 bits over everything in `words` but the checksum itself (FNV-1a). The head of one frame and the tail of the
 * next must not pass for a frame, or a writer of half a frame would cost somebody else theirs.
 */
function checksum(): number {
  let sum = 0x811c9dc5;
  for (let index = 0; index < FRAME_WORDS; index++) {
    sum = Math.imul(sum ^ (index === 1 ? word(1) & 0xff : word(index)), 0x01000193);
    sum ^= sum >>> 15;
  }
  return sum >>> 8;
}

/**
 * Cuts a stream of bytes into frames. What is not a frame is passed over byte by byte until one
 * begins: a writer of garbage costs itself its frame, and nobody else theirs.
 */
export class FrameReader {
  #held: Uint8Array = NO_DATA;
  /** Bytes that belonged to no frame. */
  garbageBytes = 0;

  /** Takes the first `length` bytes. Every frame is handed to `handle`, which may not come back here. */
  push(bytes: Uint8Array, handle: (frame: Frame) => void, length: number = bytes.length): void {
    const held = this.#held;
    // Mostly whole frames come, which are read where they are.
    if (held.length === 0) {
      this.#held = this.#cut(bytes, length, handle);
      return;
    }
    const all = new Uint8Array(held.length + length);
    all.set(held);
    all.set(bytes.subarray(0, length), held.length);
    this.#held = this.#cut(all, all.length, handle);
  }

  /** Returns a copy of what is left. */
  #cut(bytes: Uint8Array, length: number, handle: (frame: Frame) => void): Uint8Array {
    let at = 0;
    while (length - at >= FRAME_BYTES) {
      const frame = parseFrame(bytes, at);
      if (frame === null) {
        at += 1;
        this.garbageBytes += 1;
        continue;
      }
      at += FRAME_BYTES;
      handle(frame);
    }
    return at === length ? NO_DATA : bytes.slice(at, length);
  }
}

/** A frame that says nothing: its arrival is the message. */
export function wakeFrame(address: number): Frame {
  return {
    type: FrameType.WAKE,
    sourceAddress: address,
    targetAddress: 0,
    sourcePort: 0,
    targetPort: 0,
    sourceComm: 0,
    targetComm: 0,
    reason: 0,
    generation: 0,
    processId: process.pid,
    endpoint: { queuePair: 0, slot: 0, ring: 0, state: 0, sequence: 0 },
    probeAddress: 0,
    flags: 0,
    privateData: new Uint8Array(0),
  };
}
