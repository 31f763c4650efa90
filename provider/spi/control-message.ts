// Control messages of WSASendMsg and WSARecvMsg: a sequence of { length, level, type, data } in the
// x64 layout, each header 8-byte aligned. Bytes come from callers, so reading them never throws.
// Sources: W2.13, W2.14, W6.6, W8.3.

import { cmsghdr } from './layout.js';

/** The alignment of control-message headers and data. */
export const CMSG_ALIGNMENT = 8;

/** cmsg_len of a control message with `dataBytes` of data: header and data, no padding. [W2.14] */
export function CMSG_LEN(dataBytes: number): number {
  return cmsghdr.bytes + dataBytes;
}

/** What a control message with `dataBytes` of data takes in a buffer, padding included. [W2.14] */
export function CMSG_SPACE(dataBytes: number): number {
  return cmsghdr.bytes + Math.ceil(dataBytes / CMSG_ALIGNMENT) * CMSG_ALIGNMENT;
}

export interface ControlMessage {
  /** Such as IPPROTO_IP. */
  readonly level: number;
  /** Such as IP_PKTINFO. */
  readonly type: number;
  /** Read: a view of the control buffer, which stays the caller's. */
  readonly data: Uint8Array;
}

/**
 * Writes `message` at `offset` of a control buffer, padding zeroed. Returns the offset behind it,
 * or null, with nothing written, when it does not fit.
 */
export function writeControlMessage(
  control: Uint8Array,
  offset: number,
  message: ControlMessage,
): number | null {
  const end = offset + CMSG_SPACE(message.data.length);
  if (end > control.length) return null;
  const view = new DataView(control.buffer, control.byteOffset, control.byteLength);
  control.fill(0, offset, end);
  view.setBigUint64(offset + cmsghdr.offsets.cmsg_len, BigInt(CMSG_LEN(message.data.length)), true);
  view.setInt32(offset + cmsghdr.offsets.cmsg_level, message.level, true);
  view.setInt32(offset + cmsghdr.offsets.cmsg_type, message.type, true);
  control.set(message.data, offset + cmsghdr.bytes);
  return end;
}

/** The messages in the first `length` of a control buffer; null when one leads outside of them. */
export function readControlMessages(
  control: Uint8Array,
  length: number = control.length,
): ControlMessage[] | null {
  const available = Math.min(length, control.length);
  const view = new DataView(control.buffer, control.byteOffset, control.byteLength);
  const messages: ControlMessage[] = [];
  for (let offset = 0; offset + cmsghdr.bytes <= available; ) {
    const size = Number(view.getBigUint64(offset + cmsghdr.offsets.cmsg_len, true));
    if (size < cmsghdr.bytes || offset + size > available) return null;
    messages.push({
      level: view.getInt32(offset + cmsghdr.offsets.cmsg_level, true),
      type: view.getInt32(offset + cmsghdr.offsets.cmsg_type, true),
      data: control.subarray(offset + cmsghdr.bytes, offset + size),
    });
    offset += CMSG_SPACE(size - cmsghdr.bytes);
  }
  return messages;
}
