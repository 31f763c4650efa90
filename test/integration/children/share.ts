// A process that shares a socket: opens a host, takes the socket over as its test says, line by line, and
// says what came of each. Between two lines it gives its host turns. When its host has ended it may open
// another one, for the next test.

import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { startWinsock } from '../../../examples/helpers.js';
import { openHost } from '../../../index.js';
import type { Host, HostOptions, Winsock } from '../../../index.js';
import { intercepting, type ProviderHook, wrapProvider } from '../../../provider/hooks/index.js';
import * as spi from '../../../provider/spi/index.js';
import { Prng } from '../../../runtime/prng.js';
import { namesOf } from '../names.js';
import { say } from './talk.js';

export type ShareTask =
  | { readonly act: 'open'; readonly options: HostOptions; readonly death?: Death }
  | { readonly act: 'take'; readonly info: spi.WSAPROTOCOL_INFO }
  | { readonly act: 'send' | 'sendLater'; readonly bytes: number; readonly seed: number }
  /** 'receiveAccepted': from the connection that was accepted last. */
  | { readonly act: 'receive' | 'receiveLater' | 'receiveAccepted'; readonly bytes: number }
  /** One urgent byte: by a blocking call, or by one that says later what came of it. */
  | { readonly act: 'receiveUrgent' | 'receiveUrgentLater' }
  /** Nonblocking calls, once each. */
  | { readonly act: 'trySend' | 'tryReceive'; readonly bytes: number }
  | { readonly act: 'duplicate'; readonly processId: number }
  | { readonly act: 'shutdown'; readonly how: number }
  | { readonly act: 'setTimeout'; readonly milliseconds: number }
  /** Of a listener: by a blocking call, by one that says later what came of it, or by one look. */
  | { readonly act: 'accept' | 'acceptLater' | 'acceptExLater' | 'tryAccept' }
  /** WSAAccept, nonblocking, with a condition function that answers so. */
  | { readonly act: 'tryDecide'; readonly answer: number }
  /** FD_ACCEPT selected; then whether it is told within the time. */
  | { readonly act: 'selectEvents' }
  | { readonly act: 'waitForEvents'; readonly milliseconds: number }
  | { readonly act: 'select' | 'poll'; readonly milliseconds: number }
  | { readonly act: 'names' | 'close' | 'end' | 'statistics' };

/** A call of the SAN provider in which the process is to die. */
export interface Death {
  readonly call: string;
  /** 1: the first one of its name since WSAStartup. */
  readonly nth: number;
  readonly when: 'before' | 'after';
}

interface Result {
  readonly result: number;
  readonly error: number;
}

let host: Host | null = null;
let s = spi.INVALID_SOCKET;
let accepted = spi.INVALID_SOCKET;
let event = 0;
let isStarted = false;
// Blocking calls wait in the loop; nothing else of this process does.
const turns = setInterval(() => void host?.progress(), 1);

function winsock(): Winsock {
  if (host === null) throw new Error('no host is open');
  return host.winsock;
}

function outcome(result: number): Result {
  const failed = result === spi.SOCKET_ERROR || result === spi.INVALID_SOCKET;
  return { result, error: failed ? winsock().WSAGetLastError() : 0 };
}

function pattern(bytes: number, seed: number): Uint8Array {
  const memory = host?.VirtualAlloc(bytes) ?? new Uint8Array(bytes);
  new Prng(seed).fill(memory);
  return memory;
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Until it is full, or the stream has ended. */
function receiveAll(from: number, bytes: number): Result & { readonly digest: string } {
  const into = new Uint8Array(bytes);
  let at = 0;
  let error = 0;
  while (at < into.length) {
    const count = winsock().recv(from, into.subarray(at), into.length - at, 0);
    if (count < 0) error = winsock().WSAGetLastError();
    if (count <= 0) break;
    at += count;
  }
  return { result: at, error, digest: digest(into.subarray(0, at)) };
}

function receiveUrgent(): Result & { readonly byte: number } {
  const into = new Uint8Array(1);
  return { ...outcome(winsock().recv(s, into, 1, spi.MSG_OOB)), byte: into[0] ?? 0 };
}

function nonblocking<T>(call: () => T): T {
  winsock().ioctlsocket(s, spi.FIONBIO, spi.ref(1));
  const result = call();
  winsock().ioctlsocket(s, spi.FIONBIO, spi.ref(0));
  return result;
}

/** Begins an operation, which says how it has ended when it has. */
function later(name: string, begin: () => Promise<object>): { readonly begun: boolean } {
  const report = async (): Promise<void> => {
    try {
      say({ later: name, error: 0, ...(await begin()) });
    } catch (thrown) {
      if (!spi.isWsaError(thrown)) throw thrown;
      say({ later: name, result: -1, error: thrown.code });
    }
  };
  void report();
  return { begun: true };
}

async function sendAll(bytes: number, seed: number): Promise<object> {
  const data = pattern(bytes, seed);
  const result = await winsock().promises.send(s, data, data.length, 0);
  return { result, digest: digest(data.subarray(0, result)) };
}

async function receiveSome(bytes: number, flags: number): Promise<object> {
  const into = new Uint8Array(bytes);
  const result = await winsock().promises.recv(s, into, bytes, flags);
  return { result, digest: digest(into.subarray(0, result)), byte: into[0] };
}

async function acceptAsync(): Promise<object> {
  accepted = await winsock().promises.accept(s, null, null);
  return { result: 0 };
}

/** Any room for an address that AcceptEx is content with. */
const AREA = 32;

async function acceptEx(): Promise<object> {
  accepted = winsock().socket(spi.AF_INET, spi.SOCK_STREAM, spi.IPPROTO_TCP);
  const output = new Uint8Array(2 * AREA);
  const result = await winsock().promises.AcceptEx(s, accepted, output, 0, AREA, AREA);
  return { result };
}

function accept(): Result {
  const found = winsock().accept(s, null, null);
  if (found === spi.INVALID_SOCKET) return outcome(found);
  accepted = found;
  return { result: 0, error: 0 };
}

function decide(answer: number): Result {
  const found = winsock().WSAAccept(s, null, null, () => answer, 0);
  if (found === spi.INVALID_SOCKET) return outcome(found);
  accepted = found;
  return { result: 0, error: 0 };
}

function select(milliseconds: number): Result {
  const set = { fd_count: 1, fd_array: [s] };
  const time = { tv_sec: 0, tv_usec: milliseconds * 1_000 };
  return outcome(winsock().select(0, set, null, null, time));
}

function poll(milliseconds: number): Result {
  const fd = { fd: s, events: spi.POLLRDNORM, revents: 0 };
  const { result, error } = outcome(winsock().WSAPoll([fd], 1, milliseconds));
  return { result: result > 0 ? fd.revents : result, error };
}

function selectEvents(): Result {
  event = winsock().WSACreateEvent();
  return outcome(winsock().WSAEventSelect(s, event, spi.FD_ACCEPT));
}

function waitForEvents(milliseconds: number): Result {
  winsock().WSAWaitForMultipleEvents(1, [event], false, milliseconds, false);
  const seen = spi.createNetworkEvents();
  const { result, error } = outcome(winsock().WSAEnumNetworkEvents(s, event, seen));
  return { result: result === 0 ? seen.lNetworkEvents : result, error };
}

/** Nothing of this process goes on behind that step. */
function dying({ call, nth, when }: Death): ProviderHook {
  let count = 0;
  const wrapping = intercepting((site, _parameters, proceed) => {
    const isIt = isStarted && site.name === call && ++count === nth;
    if (isIt && when === 'before') process.kill(process.pid, 'SIGKILL');
    const result = proceed();
    if (isIt && when === 'after') process.kill(process.pid, 'SIGKILL');
    return result;
  });
  return (inner) => wrapProvider(inner, wrapping);
}

async function open(options: HostOptions, death: Death | undefined): Promise<object> {
  const hooks = death === undefined ? [] : [dying(death)];
  host = await openHost({ ...options, hooks });
  startWinsock(host);
  isStarted = true;
  return { result: 0, error: 0 };
}

async function end(): Promise<object> {
  await winsock().promises.WSACleanup();
  const ending = host;
  isStarted = false;
  host = null;
  await ending?.close();
  return { usage: ending?.usage() };
}

function carryOut(task: ShareTask): object | Promise<object> {
  switch (task.act) {
    case 'open':
      return open(task.options, task.death);
    case 'take': {
      const from = spi.FROM_PROTOCOL_INFO;
      s = winsock().WSASocket(from, from, from, task.info, 0, spi.WSA_FLAG_OVERLAPPED);
      return s === spi.INVALID_SOCKET ? outcome(s) : { result: 0, error: 0 };
    }
    case 'send': {
      const bytes = pattern(task.bytes, task.seed);
      return outcome(winsock().send(s, bytes, bytes.length, 0));
    }
    case 'receive':
      return receiveAll(s, task.bytes);
    case 'receiveAccepted':
      return receiveAll(accepted, task.bytes);
    case 'sendLater':
      return later(task.act, () => sendAll(task.bytes, task.seed));
    case 'receiveLater':
      return later(task.act, () => receiveSome(task.bytes, 0));
    case 'receiveUrgent':
      return receiveUrgent();
    case 'receiveUrgentLater':
      return later(task.act, () => receiveSome(1, spi.MSG_OOB));
    default:
      return carryOutMore(task);
  }
}

function carryOutMore(task: ShareTask): object | Promise<object> {
  switch (task.act) {
    case 'trySend':
      return nonblocking(() =>
        outcome(winsock().send(s, new Uint8Array(task.bytes), task.bytes, 0)),
      );
    case 'tryReceive':
      return nonblocking(() =>
        outcome(winsock().recv(s, new Uint8Array(task.bytes), task.bytes, 0)),
      );
    case 'duplicate': {
      const info = spi.emptyProtocolInfo();
      return { ...outcome(winsock().WSADuplicateSocket(s, task.processId, info)), info };
    }
    case 'shutdown':
      return outcome(winsock().shutdown(s, task.how));
    case 'setTimeout': {
      const value = new Uint8Array(new Uint32Array([task.milliseconds]).buffer);
      return outcome(winsock().setsockopt(s, spi.SOL_SOCKET, spi.SO_RCVTIMEO, value, 4));
    }
    case 'accept':
      return accept();
    case 'tryAccept':
      return nonblocking(accept);
    case 'acceptLater':
      return later('accept', acceptAsync);
    case 'acceptExLater':
      return later('AcceptEx', acceptEx);
    case 'tryDecide':
      return nonblocking(() => decide(task.answer));
    case 'selectEvents':
      return selectEvents();
    case 'waitForEvents':
      return waitForEvents(task.milliseconds);
    case 'select':
      return select(task.milliseconds);
    case 'poll':
      return poll(task.milliseconds);
    case 'names':
      return namesOf(winsock(), s);
    case 'close':
      return outcome(winsock().closesocket(s));
    case 'statistics':
      return host?.statistics() ?? {};
    case 'end':
      return end();
    default:
      return { error: 'nobody knows this task' };
  }
}

say({ pid: process.pid });
for await (const line of createInterface({ input: process.stdin })) {
  say(await carryOut(JSON.parse(line) as ShareTask));
}
clearInterval(turns);
