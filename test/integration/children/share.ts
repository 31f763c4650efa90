// A process that shares a connection: takes it over as its test says, line by line, and says what came of
// each. Between two lines it gives its host turns. Its plan is the host.

import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { startWinsock } from '../../../examples/helpers.js';
import { openHost } from '../../../index.js';
import type { HostOptions } from '../../../index.js';
import * as spi from '../../../provider/spi/index.js';
import { Prng } from '../../../runtime/prng.js';
import { plan, say } from './talk.js';

export type ShareTask =
  | { readonly act: 'take'; readonly info: spi.WSAPROTOCOL_INFO }
  | { readonly act: 'send' | 'sendLater'; readonly bytes: number; readonly seed: number }
  | { readonly act: 'receive' | 'receiveLater'; readonly bytes: number }
  /** Nonblocking calls, once each. */
  | { readonly act: 'trySend' | 'tryReceive'; readonly bytes: number }
  | { readonly act: 'duplicate'; readonly processId: number }
  | { readonly act: 'shutdown'; readonly how: number }
  | { readonly act: 'setTimeout'; readonly milliseconds: number }
  /** Of a listener: by a blocking call, by one that says later what came of it, or by one look. */
  | { readonly act: 'accept' | 'acceptLater' | 'tryAccept' }
  | { readonly act: 'names' | 'close' | 'end' | 'statistics' };

const host = await openHost(plan() as HostOptions);
const winsock = startWinsock(host);
let s = spi.INVALID_SOCKET;
// Blocking calls wait in the loop; nothing else of this process does.
const turns = setInterval(() => host.progress(), 1);

function outcome(result: number): { readonly result: number; readonly error: number } {
  const failed = result === spi.SOCKET_ERROR || result === spi.INVALID_SOCKET;
  return { result, error: failed ? winsock.WSAGetLastError() : 0 };
}

function pattern(bytes: number, seed: number): Uint8Array {
  const memory = host.VirtualAlloc(bytes) ?? new Uint8Array(bytes);
  new Prng(seed).fill(memory);
  return memory;
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Until it is full, or the stream has ended. */
function receiveAll(into: Uint8Array): { readonly result: number; readonly error: number } {
  let at = 0;
  while (at < into.length) {
    const count = winsock.recv(s, into.subarray(at), into.length - at, 0);
    if (count < 0) return { result: at, error: winsock.WSAGetLastError() };
    if (count === 0) break;
    at += count;
  }
  return { result: at, error: 0 };
}

function nonblocking<T>(call: () => T): T {
  winsock.ioctlsocket(s, spi.FIONBIO, spi.ref(1));
  const result = call();
  winsock.ioctlsocket(s, spi.FIONBIO, spi.ref(0));
  return result;
}

function name(peer: boolean): string {
  const bytes = new Uint8Array(32);
  const length = spi.ref(bytes.length);
  const result = peer
    ? winsock.getpeername(s, bytes, length)
    : winsock.getsockname(s, bytes, length);
  if (result !== 0) return String(winsock.WSAGetLastError());
  return `${spi.ipv4Text(spi.sockaddrInAddress(bytes))}:${spi.sockaddrPort(bytes)}`;
}

/** Begins an overlapped operation, which says how it has ended when it has. */
async function later(task: Extract<ShareTask, { readonly bytes: number }>): Promise<void> {
  const bytes =
    task.act === 'sendLater' ? pattern(task.bytes, task.seed) : new Uint8Array(task.bytes);
  try {
    const count =
      task.act === 'sendLater'
        ? await winsock.promises.send(s, bytes, bytes.length, 0)
        : await winsock.promises.recv(s, bytes, bytes.length, 0);
    say({ later: task.act, result: count, error: 0, digest: digest(bytes.subarray(0, count)) });
  } catch (thrown) {
    if (!spi.isWsaError(thrown)) throw thrown;
    say({ later: task.act, result: -1, error: thrown.code });
  }
}

/** Accepts as soon as somebody comes. */
async function acceptLater(): Promise<void> {
  try {
    await winsock.promises.accept(s, null, null);
    say({ later: 'accept', result: 0, error: 0 });
  } catch (thrown) {
    if (!spi.isWsaError(thrown)) throw thrown;
    say({ later: 'accept', result: -1, error: thrown.code });
  }
}

function accept(): { readonly result: number; readonly error: number } {
  const accepted = winsock.accept(s, null, null);
  return accepted === spi.INVALID_SOCKET ? outcome(accepted) : { result: 0, error: 0 };
}

function carryOut(task: ShareTask): unknown {
  switch (task.act) {
    case 'take': {
      const from = spi.FROM_PROTOCOL_INFO;
      s = winsock.WSASocket(from, from, from, task.info, 0, spi.WSA_FLAG_OVERLAPPED);
      return s === spi.INVALID_SOCKET ? outcome(s) : { result: 0, error: 0 };
    }
    case 'send': {
      const bytes = pattern(task.bytes, task.seed);
      return outcome(winsock.send(s, bytes, bytes.length, 0));
    }
    case 'receive': {
      const bytes = new Uint8Array(task.bytes);
      const got = receiveAll(bytes);
      return { ...got, digest: digest(bytes.subarray(0, got.result)) };
    }
    case 'sendLater':
    case 'receiveLater':
      void later(task);
      return { begun: true };
    case 'trySend':
      return nonblocking(() => outcome(winsock.send(s, new Uint8Array(task.bytes), task.bytes, 0)));
    case 'tryReceive':
      return nonblocking(() => outcome(winsock.recv(s, new Uint8Array(task.bytes), task.bytes, 0)));
    case 'duplicate': {
      const info = spi.emptyProtocolInfo();
      return { ...outcome(winsock.WSADuplicateSocket(s, task.processId, info)), info };
    }
    case 'shutdown':
      return outcome(winsock.shutdown(s, task.how));
    case 'setTimeout': {
      const value = new Uint8Array(new Uint32Array([task.milliseconds]).buffer);
      return outcome(winsock.setsockopt(s, spi.SOL_SOCKET, spi.SO_RCVTIMEO, value, value.length));
    }
    case 'accept':
      return accept();
    case 'tryAccept':
      return nonblocking(accept);
    case 'acceptLater':
      void acceptLater();
      return { begun: true };
    case 'names':
      return { local: name(false), peer: name(true) };
    case 'close':
      return outcome(winsock.closesocket(s));
    case 'statistics':
      return host.statistics();
    case 'end':
      return {};
  }
}

say({ pid: process.pid });
for await (const line of createInterface({ input: process.stdin })) {
  const task = JSON.parse(line) as ShareTask;
  say(carryOut(task));
  if (task.act === 'end') break;
}
await winsock.promises.WSACleanup();
clearInterval(turns);
await host.close();
say({ usage: host.usage() });
process.stdin.destroy();
