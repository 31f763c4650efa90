// The short way of small RDMA whose outcome is polled for: one buffer, nothing before it, and memory of the
// peer that the NIC reaches by itself. It has ended when the call returns, and is as pending as any other.
// Decides nothing about errors: whatever is not plainly in order goes the long way, which does.
// Sources: RDMA-01 to RDMA-05, OVL-05, MEM-06.

import type { WSAOVERLAPPED } from '../spi/winsock2.js';
import type { WSABUFEX } from '../spi/ws2san.js';
import { MEM_READ, MEM_WRITE } from '../spi/ws2san.js';
import { storeOutcome } from './completion.js';
import { DESCRIPTOR_BYTES, wordsOf } from './descriptor.js';
import type { SanSocket } from './record.js';
import type { Registration } from './registration.js';
import type { SanState } from './state.js';

/** An address that is no offset of a segment is far beyond this. */
const MAX_OFFSET = 0x7fffffff;

const NO_WORDS = new Uint32Array(0);
// V8 checks an import at every use; a constant of the module costs nothing.
const TARGET_BYTES = DESCRIPTOR_BYTES;
const READABLE = MEM_READ;
const WRITABLE = MEM_WRITE;

/**
 * What a socket's last RDMA on the short way was with. Programs take the same few objects again, and what
 * was found out about an object stays true: where a buffer begins, how long it is, that a descriptor has
 * its length. What can change is looked at every time: the registration, and what the descriptor says.
 */
export class RdmaPlaces {
  buffer: Uint8Array | null = null;
  registration: Registration | null = null;
  address = 0;
  /** Bytes from there that are both in the buffer and registered. */
  length = 0;
  descriptor: Uint8Array | null = null;
  /** The descriptor's bytes, as they are now. */
  words: Uint32Array = NO_WORDS;
}

/** False: nothing was done. */
export function injectedRdma(
  state: SanState,
  socket: SanSocket,
  isRead: boolean,
  buffers: readonly WSABUFEX[] | null,
  descriptor: Uint8Array | null,
  descriptorLength: number,
  targetOffset: number,
  flags: number,
  overlapped: WSAOVERLAPPED,
): boolean {
  const { queuePair, rdmaPlaces } = socket;
  if (
    (overlapped.hEvent & 1) === 0 ||
    socket.sendsPosted !== 0 ||
    state.finishedHead !== null ||
    queuePair === null ||
    buffers === null ||
    descriptorLength !== TARGET_BYTES
  ) {
    return false;
  }
  const buffer = buffers[0];
  if (buffer === undefined) return false;
  const { len, buf, handle } = buffer;
  if (!(len > 0) || len > state.directBytesMax) return false;
  if (descriptor !== rdmaPlaces.descriptor && !findTarget(rdmaPlaces, descriptor)) return false;
  const { words } = rdmaPlaces;
  const registration = findSource(state, socket, buf, handle);
  const right = isRead ? WRITABLE : READABLE;
  if (
    registration === null ||
    len > rdmaPlaces.length ||
    (registration.flags & right) === 0 ||
    !(targetOffset >= 0) ||
    targetOffset > MAX_OFFSET ||
    targetOffset + len > (words[1] as number) ||
    words[3] !== 0
  ) {
    return false;
  }
  const start = (words[2] as number) | 0;
  const target = (start + targetOffset) | 0;
  if (start < 0 || target < 0) return false;
  const key = registration.region.localKey | 0;
  const remoteKey = (words[0] as number) | 0;
  const isDone = isRead
    ? queuePair.injectRead(rdmaPlaces.address, len, key, target, remoteKey)
    : queuePair.injectWrite(rdmaPlaces.address, len, key, target, remoteKey);
  if (!isDone) return false;
  storeOutcome(overlapped, len, 0, flags);
  overlapped.Internal = 0;
  return true;
}

/** The live registration with this handle, if `buf` begins in it at an address for the short way. */
function findSource(
  state: SanState,
  socket: SanSocket,
  buf: Uint8Array | null,
  handle: number,
): Registration | null {
  const places = socket.rdmaPlaces;
  const last = places.registration;
  if (last !== null && places.buffer === buf && last.serial === handle && last.references > 0)
    return last;
  const registration = socket.registrations.byHandle(handle);
  if (registration === null || buf === null) return null;
  const address = state.nic.addressOf(buf);
  if (address < registration.address || address > MAX_OFFSET) return null;
  places.buffer = buf;
  places.registration = registration;
  places.address = address;
  places.length = Math.min(buf.length, registration.end - address);
  return registration;
}

/** Whether it is a descriptor at all, and aligned. */
function findTarget(places: RdmaPlaces, descriptor: Uint8Array | null): boolean {
  const words = descriptor === null ? null : wordsOf(descriptor);
  if (words === null) return false;
  places.descriptor = descriptor;
  places.words = words;
  return true;
}
