// SOCKET_ADDRESS_LIST, the output of SIO_ADDRESS_LIST_QUERY, in the x64 layout: a count, an array
// of SOCKET_ADDRESS, then the addresses themselves, each 8-byte aligned. In C lpSockaddr is a
// pointer; in this contract it is the byte offset of the address inside the same buffer, which
// travels as well. Reading never throws. Sources: IOC-02, IOCTL-04, W2.13, W11.7.

import { WSAEFAULT } from './errors.js';
import { socketAddress, socketAddressList } from './layout.js';
import type { Endpoint } from './sockaddr.js';
import { parseSockaddr } from './sockaddr.js';
import type { Ref } from './winsock2.js';
import { SOCKET_ERROR } from './winsock2.js';

const ENTRIES_OFFSET = socketAddressList.offsets.Address;
const ENTRY_BYTES = socketAddress.bytes;

/** Bytes that a list of these sockaddrs takes. */
export function addressListLength(sockaddrs: readonly Uint8Array[]): number {
  const addresses = sockaddrs.reduce((sum, one) => sum + align8(one.length), 0);
  return ENTRIES_OFFSET + ENTRY_BYTES * sockaddrs.length + addresses;
}

/**
 * Writes a list into `output`. Returns its length, or null, with nothing written, if it does not
 * fit.
 */
export function writeAddressList(
  sockaddrs: readonly Uint8Array[],
  output: Uint8Array,
): number | null {
  const length = addressListLength(sockaddrs);
  if (length > output.length) return null;
  const view = viewOf(output);
  output.fill(0, 0, length);
  view.setInt32(socketAddressList.offsets.iAddressCount, sockaddrs.length, true);
  let next = ENTRIES_OFFSET + ENTRY_BYTES * sockaddrs.length;
  sockaddrs.forEach((sockaddr, index) => {
    const entry = ENTRIES_OFFSET + ENTRY_BYTES * index;
    view.setBigUint64(entry + socketAddress.offsets.lpSockaddr, BigInt(next), true);
    view.setInt32(entry + socketAddress.offsets.iSockaddrLength, sockaddr.length, true);
    output.set(sockaddr, next);
    next += align8(sockaddr.length);
  });
  return length;
}

/**
 * Reads the list in the first `length` of `bytes`. null when anything in it leads outside of them
 * or is not an address.
 */
export function parseAddressList(
  bytes: Uint8Array,
  length: number = bytes.length,
): Endpoint[] | null {
  const available = Math.min(length, bytes.length);
  if (!(available >= ENTRIES_OFFSET)) return null;
  const view = viewOf(bytes);
  const count = view.getInt32(socketAddressList.offsets.iAddressCount, true);
  if (count < 0 || ENTRIES_OFFSET + ENTRY_BYTES * count > available) return null;
  const endpoints: Endpoint[] = [];
  for (let index = 0; index < count; index++) {
    const entry = ENTRIES_OFFSET + ENTRY_BYTES * index;
    const offset = Number(view.getBigUint64(entry + socketAddress.offsets.lpSockaddr, true));
    const size = view.getInt32(entry + socketAddress.offsets.iSockaddrLength, true);
    if (size < 0 || offset + size > available) return null;
    const endpoint = parseSockaddr(bytes.subarray(offset, offset + size));
    if (endpoint === null) return null;
    endpoints.push(endpoint);
  }
  return endpoints;
}

/**
 * Answers SIO_ADDRESS_LIST_QUERY as WSPIoctl does: 0 with the length in lpcbBytesReturned, or
 * SOCKET_ERROR with WSAEFAULT and the needed length there. `outputLength` is cbOutBuffer.
 * [IOCTL-04]
 */
export function answerAddressList(
  sockaddrs: readonly Uint8Array[],
  output: Uint8Array | null,
  outputLength: number,
  lpcbBytesReturned: Ref<number> | null,
  lpErrno: Ref<number>,
): number {
  const room = output?.subarray(0, Math.max(0, outputLength)) ?? null;
  if (lpcbBytesReturned !== null) lpcbBytesReturned.value = addressListLength(sockaddrs);
  if (lpcbBytesReturned !== null && room !== null && writeAddressList(sockaddrs, room) !== null)
    return 0;
  lpErrno.value = WSAEFAULT;
  return SOCKET_ERROR;
}

function align8(bytes: number): number {
  return (bytes + 7) & ~7;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
