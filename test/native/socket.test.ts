// Kernel sockets through the addon: the stream basics that the base provider stands on.

import { describe, expect, it } from 'vitest';
import { errno } from '../../native/errors.js';
import { native } from '../../native/load.js';
import { EPOLLIN, Reactor } from '../../native/reactor.js';
import { atEnd } from './helpers.js';

// Linux's numbers (socket.h), x64 and arm64 alike.
const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const MSG_PEEK = 2;
const SHUT_WR = 1;

/** sockaddr_in of 127.0.0.1 and a port. */
function loopback(port: number): Uint8Array {
  return Uint8Array.of(AF_INET, 0, port >> 8, port & 0xff, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
}

function socket(): number {
  const fd = native.socketCreate(AF_INET, SOCK_STREAM, 0);
  atEnd(() => {
    native.closeDescriptor(fd);
  });
  return fd;
}

function listening(): { listener: number; name: Uint8Array } {
  const listener = socket();
  const name = loopback(0);
  expect(native.socketBind(listener, name, 16)).toBe(0);
  expect(native.socketListen(listener, 4)).toBe(0);
  expect(native.socketName(listener, name)).toBe(16);
  return { listener, name };
}

/** Waits until a descriptor is readable. */
function readable(fd: number): void {
  const reactor = new Reactor();
  let isReady = false;
  reactor.watch(fd, EPOLLIN, () => {
    isReady = true;
  });
  for (let slices = 0; !isReady && slices < 100; slices++) reactor.poll(Infinity);
  reactor.close();
  if (!isReady) throw new Error('gave up waiting: a readable descriptor');
}

function connected(): { client: number; server: number; name: Uint8Array } {
  const { listener, name } = listening();
  expect(native.socketAccept(listener, new Uint8Array(16))).toBe(-errno.EAGAIN);
  const client = socket();
  expect([0, -errno.EINPROGRESS]).toContain(native.socketConnect(client, name, 16));
  readable(listener);
  const peer = new Uint8Array(16);
  const server = native.socketAccept(listener, peer);
  atEnd(() => {
    native.closeDescriptor(server);
  });
  const local = new Uint8Array(16);
  native.socketName(client, local);
  expect(peer).toEqual(local);
  return { client, server, name };
}

describe('a kernel socket', () => {
  it('gathers, scatters, peeks, and ends a stream with 0', () => {
    const { client, server, name } = connected();
    const peerName = new Uint8Array(28);
    expect(native.socketPeerName(client, peerName)).toBe(16);
    expect(peerName.subarray(0, 16)).toEqual(name);
    const none = [new Uint8Array(8)];
    expect(native.socketReceive(server, none, [8], 1, 0)).toBe(-errno.EAGAIN);
    const parts = [Buffer.from('gat'), null, Buffer.from('hered')];
    expect(native.socketSend(client, parts, [3, 0, 3], 3, 0)).toBe(6);
    readable(server);
    expect(native.socketReadable(server)).toBe(6);
    const into = [new Uint8Array(2), new Uint8Array(8)];
    expect(native.socketReceive(server, into, [2, 8], 2, MSG_PEEK)).toBe(6);
    expect(native.socketReceive(server, into, [2, 8], 2, 0)).toBe(6);
    expect(into.map((part) => Buffer.from(part).toString().replace(/\0+$/, ''))).toEqual([
      'ga',
      'ther',
    ]);
    expect(native.socketShutdown(client, SHUT_WR)).toBe(0);
    readable(server);
    expect(native.socketReceive(server, into, [2, 8], 2, 0)).toBe(0);
  });

  it('that sends to a closed peer answers EPIPE and raises no signal', () => {
    const { client } = connected();
    expect(native.socketShutdown(client, SHUT_WR)).toBe(0);
    expect(native.socketSend(client, [new Uint8Array(1)], [1], 1, 0)).toBe(-errno.EPIPE);
  });

  it('takes and tells options, and refuses lengths beyond the buffer', () => {
    const fd = socket();
    const value = new Uint8Array(4);
    value[0] = 1;
    expect(native.socketSetOption(fd, SOL_SOCKET, SO_REUSEADDR, value, 4)).toBe(0);
    expect(native.socketSetOption(fd, SOL_SOCKET, SO_REUSEADDR, value, 5)).toBe(-errno.EINVAL);
    const told = new Uint8Array(8);
    expect(native.socketGetOption(fd, SOL_SOCKET, SO_REUSEADDR, told)).toBe(4);
    expect(told[0]).toBe(1);
    expect(native.socketGetOption(fd, SOL_SOCKET, SO_ERROR, told)).toBe(4);
    expect(native.socketBind(fd, value, 16)).toBe(-errno.EINVAL);
    expect(native.socketPeerName(fd, told)).toBe(-errno.ENOTCONN);
  });

  it('finds an address in use', () => {
    const { name } = listening();
    expect(native.socketBind(socket(), name, 16)).toBe(-errno.EADDRINUSE);
  });
});
