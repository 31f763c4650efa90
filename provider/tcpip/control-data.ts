// Control data of messages between Windows and the kernel: what a sender may say (where the message
// leaves from) and what a receiver is told. Its bytes come from applications, so nothing in them is
// trusted. It must not know calls or queues. Sources: W2.9, W2.14, W6.6, W8.3.5, W8.3.6; ip(7), ipv6(7).

import { CMSG_SPACE, readControlMessages, writeControlMessage } from '../spi/control-message.js';
import type { ControlMessage } from '../spi/control-message.js';
import * as wsa from '../spi/errors.js';
import { sockaddrFamily } from '../spi/sockaddr.js';
import * as ws from '../spi/winsock2.js';
import { readUint32, writeUint32 } from './bytes.js';
import { isMapped, isMappedAddress } from './naming.js';
import { LINUX } from './translate.js';

const INT_BYTES = 4;
const IPV6_BYTES = 16;

/** in_pktinfo: address, interface. The kernel's: interface, local address, header's address. */
const PACKET_INFO = { bytes: 8, address: 0, interface: 4 } as const;
const KERNEL_PACKET_INFO = { bytes: 12, interface: 0, local: 4, address: 8 } as const;
/** in6_pktinfo is the same on both sides: address, interface. */
const PACKET_INFO6 = { bytes: 20, interface: 16 } as const;

// Sending -------------------------------------------------------------------------------------------

/** Where a message leaves from, as an application or the provider chose it. */
export interface Source {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly interfaceIndex: number;
}

/** Whether a destination is IPv4, by its own family or mapped into IPv6. [W6.6] */
export function isIpv4Destination(name: Uint8Array): boolean {
  return sockaddrFamily(name) === ws.AF_INET || isMapped(name);
}

/**
 * The source that control data chooses, for a destination that is IPv4 (or mapped) or not; null: none.
 * WSAEINVAL when the data is malformed or speaks of the other family. Other objects may be present.
 */
export function readSource(control: ws.WSABUF, isIpv4: boolean): Source | null | number {
  if (control.buf === null || control.len === 0) return null;
  if (control.len > control.buf.length) return wsa.WSAEFAULT;
  const messages = readControlMessages(control.buf, control.len);
  if (messages === null) return wsa.WSAEINVAL;
  let source: Source | null = null;
  for (const { level, type, data } of messages) {
    const is4 = level === ws.IPPROTO_IP && type === ws.IP_PKTINFO;
    const is6 = level === ws.IPPROTO_IPV6 && type === ws.IPV6_PKTINFO;
    if (!is4 && !is6) continue;
    const layout = is4 ? PACKET_INFO : PACKET_INFO6;
    if (is4 !== isIpv4 || source !== null || data.length < layout.bytes) return wsa.WSAEINVAL;
    source = {
      address: data.slice(0, layout.interface),
      interfaceIndex: readUint32(data, layout.interface),
    };
  }
  return source;
}

/** The kernel's control data that has a message leave from `source`. */
export function writeSource(source: Source): Uint8Array {
  const { address, interfaceIndex } = source;
  const is4 = address.length === INT_BYTES;
  const data = new Uint8Array(is4 ? KERNEL_PACKET_INFO.bytes : PACKET_INFO6.bytes);
  data.set(address, is4 ? KERNEL_PACKET_INFO.local : 0);
  const at = is4 ? KERNEL_PACKET_INFO.interface : PACKET_INFO6.interface;
  writeUint32(data, interfaceIndex, at);
  const control = new Uint8Array(CMSG_SPACE(data.length));
  const level = is4 ? LINUX.IPPROTO_IP : LINUX.IPPROTO_IPV6;
  const type = is4 ? LINUX.IP_PKTINFO : LINUX.IPV6_PKTINFO;
  writeControlMessage(control, 0, { level, type, data });
  return control;
}

// Receiving -----------------------------------------------------------------------------------------

/** What a receiver is told of one message. */
export interface Received {
  /** What the application asked for, in Windows' form. */
  readonly messages: readonly ControlMessage[];
  /** MSG_BCAST, MSG_MCAST. */
  readonly flags: number;
}

/** Numbers of one name on both sides; the kernel gives some of them as one byte. */
const NUMBERS: ReadonlyMap<number, readonly [level: number, type: number]> = new Map([
  [key(LINUX.IPPROTO_IP, LINUX.IP_TTL), [ws.IPPROTO_IP, ws.IP_TTL]],
  [key(LINUX.IPPROTO_IP, LINUX.IP_TOS), [ws.IPPROTO_IP, ws.IP_TOS]],
  [key(LINUX.IPPROTO_IPV6, LINUX.IPV6_HOPLIMIT), [ws.IPPROTO_IPV6, ws.IPV6_HOPLIMIT]],
  [key(LINUX.IPPROTO_IPV6, LINUX.IPV6_TCLASS), [ws.IPPROTO_IPV6, ws.IPV6_TCLASS]],
]);

function key(level: number, type: number): number {
  return level * 256 + type;
}

/** Reads the kernel's control data. The headers have the same layout on both sides. */
export function readReceived(
  control: Uint8Array,
  length: number,
  wantsPacketInfo: boolean,
): Received {
  const messages: ControlMessage[] = [];
  let flags = 0;
  for (const { level, type, data } of readControlMessages(control, length) ?? []) {
    const number = NUMBERS.get(key(level, type));
    if (number !== undefined) {
      messages.push({ level: number[0], type: number[1], data: widened(data) });
    } else if (level === LINUX.IPPROTO_IP && type === LINUX.IP_PKTINFO) {
      flags |= castOf(data);
      if (wantsPacketInfo) messages.push(packetInfoOf(data));
    } else if (level === LINUX.IPPROTO_IPV6 && type === LINUX.IPV6_PKTINFO) {
      // Of an IPv4 message to a dual-stack socket the kernel tells in both forms.
      if (isMappedAddress(data)) continue;
      flags |= castOf6(data);
      if (wantsPacketInfo) messages.push({ level, type: ws.IPV6_PKTINFO, data });
    }
  }
  return { messages, flags };
}

/**
 * Writes whole control messages while there is room, and the bytes used into Control.len. False: not
 * all of them fit. [W8.3.3, W8.3.5]
 */
export function giveControl(control: ws.WSABUF, messages: readonly ControlMessage[]): boolean {
  const room = control.buf?.subarray(0, Math.min(control.len, control.buf.length));
  let used = 0;
  let isWhole = true;
  for (const message of messages) {
    const end = room === undefined ? null : writeControlMessage(room, used, message);
    if (end === null) isWhole = false;
    else used = end;
  }
  control.len = used;
  return isWhole;
}

function widened(data: Uint8Array): Uint8Array {
  const wide = new Uint8Array(INT_BYTES);
  wide.set(data.subarray(0, INT_BYTES));
  return wide;
}

function packetInfoOf(data: Uint8Array): ControlMessage {
  const info = new Uint8Array(PACKET_INFO.bytes);
  const { address, bytes, interface: at } = KERNEL_PACKET_INFO;
  info.set(data.subarray(address, bytes), PACKET_INFO.address);
  info.set(data.subarray(at, at + INT_BYTES), PACKET_INFO.interface);
  return { level: ws.IPPROTO_IP, type: ws.IP_PKTINFO, data: info };
}

const MULTICAST_FIRST = 224;
const MULTICAST_LAST = 239;
const MULTICAST6 = 0xff;

/** A broadcast came to an address that is not the local one it is answered from. */
function castOf(data: Uint8Array): number {
  const { address, local } = KERNEL_PACKET_INFO;
  const first = data[address] ?? 0;
  if (first >= MULTICAST_FIRST && first <= MULTICAST_LAST) return ws.MSG_MCAST;
  const localAddress = readUint32(data, local);
  const isBroadcast = localAddress !== 0 && localAddress !== readUint32(data, address);
  return isBroadcast ? ws.MSG_BCAST : 0;
}

function castOf6(data: Uint8Array): number {
  return data.length >= IPV6_BYTES && data[0] === MULTICAST6 ? ws.MSG_MCAST : 0;
}
