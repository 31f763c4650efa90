// What the kernel takes and gives of messages: one attempt at a send or a receive on a datagram or raw
// socket, whole or not at all. It must not know which call an operation came from.
// Sources: W5.1, W5.7, W6.7, W8.1.10, W8.1.11, W8.2, W8.3, W15.3 to W15.5, W15.8.

import { MESSAGE_WORDS } from '../../native/binding.js';
import { errno } from '../../native/errors.js';
import { native } from '../../native/load.js';
import * as wsa from '../spi/errors.js';
import { SOCKADDR_IN6_BYTES } from '../spi/sockaddr.js';
import * as ws from '../spi/winsock2.js';
import { giveControl, readReceived } from './control-data.js';
import { setFlag } from './kernel-option.js';
import { takeNetworkError, takeNetworkErrors } from './network-error.js';
import type { Operation } from './operation.js';
import type { KernelSocket } from './record.js';
import { LINUX, linuxTransferFlags, messageError, toWindowsSockaddr } from './translate.js';

/** Buffers that the kernel takes for one message; more are put into one. [W15.3] */
const BUFFERS_MAX = 1024;
const RECEIVED_BYTES_MAX = 0x10000;
const CONTROL_BYTES = 512;

const peerName = new Uint8Array(SOCKADDR_IN6_BYTES);
const control = new Uint8Array(CONTROL_BYTES);
const told = new Int32Array(MESSAGE_WORDS);
const one = [0];
const EMPTY = new Uint8Array(0);
const NO_BUFFERS: Uint8Array[] = [];
const NO_LENGTHS: number[] = [];

// Send ----------------------------------------------------------------------------------------------

/** 0 sent, WSAEWOULDBLOCK not yet, otherwise the error that ends the operation. */
export function attemptSendMessage(socket: KernelSocket, operation: Operation): number {
  const { envelope } = operation;
  const { message } = socket;
  if (envelope.asksNetwork && message !== null && message.networkError !== 0) {
    return takeNetworkError(socket);
  }
  if (!envelope.isToNowhere) {
    gather(operation);
    const sent = sendNow(socket, operation);
    if (sent === -errno.EAGAIN) return wsa.WSAEWOULDBLOCK;
    if (sent < 0) {
      // The kernel answers a send with what came of an earlier one. [W15.4]
      if (takeNetworkErrors(socket)) return attemptSendMessage(socket, operation);
      return messageError(sent, envelope.control !== null);
    }
  }
  operation.transferred = operation.remaining;
  operation.remaining = 0;
  return 0;
}

function sendNow(socket: KernelSocket, operation: Operation): number {
  const { buffers, lengths, envelope } = operation;
  const { fd, message } = socket;
  const { name } = envelope;
  const send = (): number =>
    native.socketSendMessage(fd, buffers, lengths, lengths.length, 0, name, envelope.control);
  const sent = send();
  const isBroadcast = message !== null && message.isPeerBroadcast && name === null;
  if (sent !== -errno.EACCES || !isBroadcast) return sent;
  // Whether a default peer may be a broadcast address was decided before. [W4.20]
  setFlag(fd, LINUX.SO_BROADCAST, true);
  const resent = send();
  setFlag(fd, LINUX.SO_BROADCAST, message.isBroadcastAllowed);
  return resent;
}

/** A message in more pieces than the kernel takes is put together first. */
function gather(operation: Operation): void {
  const { buffers, lengths, remaining } = operation;
  if (lengths.length <= BUFFERS_MAX) return;
  const whole = new Uint8Array(remaining);
  let at = 0;
  buffers.forEach((buffer, index) => {
    const length = lengths[index] ?? 0;
    if (buffer !== null) whole.set(buffer.subarray(0, length), at);
    at += length;
  });
  buffers.splice(0, buffers.length, whole);
  lengths.splice(0, lengths.length, remaining);
}

// Receive -------------------------------------------------------------------------------------------

/**
 * 0 received, WSAEWOULDBLOCK not yet, WSAEMSGSIZE received in part, otherwise the error that ends the
 * operation without a message.
 */
export function attemptReceiveMessage(socket: KernelSocket, operation: Operation): number {
  const isScattered = operation.lengths.length > BUFFERS_MAX;
  const room = Math.min(operation.remaining, RECEIVED_BYTES_MAX);
  const whole = isScattered ? [new Uint8Array(room)] : operation.buffers;
  one[0] = room;
  socket.inbound = 'unknown';
  for (;;) {
    const reported = takeNetworkError(socket);
    if (reported !== 0) return reported;
    const taken = native.socketReceiveMessage(
      socket.fd,
      whole,
      isScattered ? one : operation.lengths,
      whole.length,
      linuxTransferFlags(operation.flags),
      peerName,
      operation.envelope.message === null ? null : control,
      told,
    );
    if (taken === -errno.EAGAIN) {
      socket.inbound = 'drained';
      return wsa.WSAEWOULDBLOCK;
    }
    if (taken < 0) {
      if (takeNetworkErrors(socket)) continue;
      return messageError(taken, false);
    }
    if (isScattered) scatter(operation, whole[0]?.subarray(0, taken) ?? EMPTY);
    return deliver(socket, operation, taken);
  }
}

/** Whether a receive would have something to tell: a message, an empty one too, or an error. */
export function hasMessage(socket: KernelSocket): boolean {
  const { fd, message } = socket;
  const flags = LINUX.MSG_PEEK;
  const found = native.socketReceiveMessage(fd, NO_BUFFERS, NO_LENGTHS, 0, flags, null, null, told);
  if (found >= 0) return true;
  if (found !== -errno.EAGAIN) takeNetworkErrors(socket);
  return message !== null && message.networkError !== 0;
}

/** Fills the buffers in order. */
function scatter(operation: Operation, data: Uint8Array): void {
  let at = 0;
  operation.buffers.forEach((buffer, index) => {
    const part = data.subarray(at, at + (operation.lengths[index] ?? 0));
    buffer?.set(part);
    at += part.length;
  });
}

/** Writes what came with a message where the call wants it. */
function deliver(socket: KernelSocket, operation: Operation, taken: number): number {
  const { from, fromLength, message } = operation.envelope;
  operation.transferred = taken;
  operation.remaining = 0;
  const flags = told[2] ?? 0;
  const isTruncated = (flags & LINUX.MSG_TRUNC) !== 0;
  if (from !== null && fromLength !== null) fromLength.value = giveName(from);
  const isWhole = message === null || giveMessage(socket, message, flags);
  operation.isCut = isTruncated || !isWhole;
  return operation.isCut ? wsa.WSAEMSGSIZE : 0;
}

/** The sender's address, in room that was long enough when the call began. Returns its length. */
function giveName(room: Uint8Array): number {
  const name = toWindowsSockaddr(peerName, told[0] ?? 0);
  room.set(name.subarray(0, room.length));
  return Math.min(name.length, room.length);
}

/** False: the control data did not fit. [W8.3.3] */
function giveMessage(socket: KernelSocket, message: ws.WSAMSG, flags: number): boolean {
  const isPacketInfoWanted = socket.message?.wantsPacketInfo === true;
  const received = readReceived(control, told[1] ?? 0, isPacketInfoWanted);
  if (message.name !== null) message.namelen = giveName(message.name);
  const isCut = (flags & LINUX.MSG_CTRUNC) !== 0;
  const isWhole = giveControl(message.Control, received.messages) && !isCut;
  message.dwFlags =
    received.flags |
    ((flags & LINUX.MSG_TRUNC) !== 0 ? ws.MSG_TRUNC : 0) |
    (isWhole ? 0 : ws.MSG_CTRUNC);
  return isWhole;
}
