// The codec: what is emitted is parsed again, field by field, at the offsets of the guide.

import { describe, expect, it } from 'vitest';
import {
  emitAnnounce,
  emitCounters,
  emitHeader,
  emitNegotiation,
  emitTarget,
  kindWord,
  Message,
  MessageType,
  parse,
  PROTOCOL_VERSION,
} from '../../../switch/session/messages.js';

function buffer(): { words: Int32Array; bytes: Uint8Array } {
  const words = new Int32Array(64);
  return { words, bytes: new Uint8Array(words.buffer) };
}

describe('messages', () => {
  it('the header of a small message has 20 bytes, little-endian [XFER-02]', () => {
    const { words, bytes } = buffer();
    emitHeader(words, kindWord(MessageType.data, 1, 0, 0), 3);
    emitCounters(words, 0x01020304, -2, 7);
    const expected = [3, 1, 0, 0, 4, 3, 2, 1, 0xfe, 0xff, 0xff, 0xff, 7, 0, 0, 0, 3, 0, 0, 0];
    expect([...bytes.subarray(0, 20)]).toEqual(expected);
    const message = new Message();
    expect(parse(words, 23, message)).toBe('');
    expect(message).toMatchObject({ type: 3, flags: 1, sequence: 0x01020304, granted: -2 });
    expect(message).toMatchObject({ window: 7, payloadLength: 3, payloadOffset: 20 });
  });

  it('an announcement carries its descriptor byte for byte before the data [XFER-08 REGRDMA-02]', () => {
    const { words, bytes } = buffer();
    const at = emitAnnounce(words, 1000, 13);
    bytes.set(new Uint8Array(13).fill(0xab), at);
    emitHeader(words, kindWord(MessageType.announce, 0, 5, 0), 6);
    const message = new Message();
    expect(parse(words, 28 + 13 + 6, message)).toBe('');
    expect(message).toMatchObject({ transfer: 5, rest: 1000, descriptorLength: 13 });
    expect(message).toMatchObject({ descriptorOffset: at, payloadOffset: at + 13 });
    expect(parse(words, 28 + 13 + 7, message)).not.toBe('');
  });

  it('a target says which part of which transfer goes where [XFER-10]', () => {
    const { words } = buffer();
    emitTarget(words, { offset: 9, length: 90 }, 8);
    emitHeader(words, kindWord(MessageType.target, 0, 3, 15), 0);
    const message = new Message();
    expect(parse(words, 32 + 8, message)).toBe('');
    expect(message).toMatchObject({ transfer: 3, pull: 15, offset: 9, length: 90 });
  });

  it('the negotiation carries the count of posted receives in less than 256 bytes [SESS-02 SESS-05]', () => {
    const { words } = buffer();
    const half = {
      version: PROTOCOL_VERSION,
      receiveCount: 12,
      messageBytes: 4160,
      windowBytes: 65_536,
      thresholdBytes: 4096,
      rdmaBytesMax: 0xffff_ffff,
      transferSlots: 8,
      rdmaRead: true,
      suspends: true,
    };
    const length = emitNegotiation(words, half);
    emitHeader(words, kindWord(MessageType.hello, 0, 0, 0), 0);
    const message = new Message();
    expect([length <= 256, parse(words, length, message)]).toEqual([true, '']);
    expect(message.negotiation).toEqual(half);
  });
});
