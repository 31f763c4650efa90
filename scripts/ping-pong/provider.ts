// The base provider alone, with a thread's progress loop as a host has it: blocking WSPSend and WSPRecv.

import { once } from 'node:events';
import { HostThread } from '../../native/thread.js';
import * as spi from '../../provider/spi/index.js';
import { createProvider } from '../../provider/tcpip/provider.js';
import { Prng } from '../../runtime/prng.js';
import { blockingWay, BYTES } from './way.js';
import type { Way } from './way.js';

const lpErrno = spi.ref(0);

function startProvider(): spi.FullProcTable {
  const { clock, reactor, progress } = new HostThread();
  const nothing = (): void => undefined;
  const provider = createProvider({
    clock,
    random: new Prng(1),
    progress,
    memory: { VirtualAlloc: () => null, VirtualFree: () => false, addressOf: () => 0 },
    logger: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    profile: spi.PROFILES.documented,
    nic: null,
    sockets: { reactor, hostAddress: null, blocking: progress },
    processId: process.pid,
  });
  const table = spi.emptyProcTable();
  const upcalls = { lpWPUQueryBlockingCallback: () => 0 } as unknown as spi.WSPUpcallTableEx;
  provider.WSPStartupEx(0x0202, spi.emptyWspData(), spi.tcpProtocolInfo(), upcalls, table);
  return table as spi.FullProcTable;
}

function must(result: number): number {
  if (result === spi.SOCKET_ERROR || result === spi.INVALID_SOCKET) {
    throw new Error(spi.errorName(lpErrno.value));
  }
  return result;
}

function boundSocket(wsp: spi.FullProcTable, type: number): { s: number; name: Uint8Array } {
  const s = must(wsp.lpWSPSocket(spi.AF_INET, type, 0, null, 0, 0, lpErrno));
  const name = spi.sockaddrIn('127.0.0.1', 0);
  must(wsp.lpWSPBind(s, name, name.length, lpErrno));
  must(wsp.lpWSPGetSockName(s, name, spi.ref(name.length), lpErrno));
  return { s, name };
}

function connectTo(wsp: spi.FullProcTable, s: number, port: number): void {
  const to = spi.sockaddrIn('127.0.0.1', port);
  must(wsp.lpWSPConnect(s, to, to.length, null, null, null, null, lpErrno));
}

function noDelay(wsp: spi.FullProcTable, s: number): void {
  const on = Uint8Array.of(1, 0, 0, 0);
  must(wsp.lpWSPSetSockOpt(s, spi.IPPROTO_TCP, spi.TCP_NODELAY, on, 4, lpErrno));
}

/** One message back and forth, from either side. */
class Messages {
  readonly #wsp: spi.FullProcTable;
  readonly #s: number;
  readonly #buffers = [{ len: BYTES, buf: new Uint8Array(BYTES) }];
  readonly #count = spi.ref(0);
  readonly #flags = spi.ref(0);

  constructor(wsp: spi.FullProcTable, s: number) {
    this.#wsp = wsp;
    this.#s = s;
  }

  send(): void {
    const { lpWSPSend } = this.#wsp;
    must(lpWSPSend(this.#s, this.#buffers, 1, this.#count, 0, null, null, null, lpErrno));
  }

  /** The bytes received; 0 is the end. */
  receive(): number {
    const { lpWSPRecv } = this.#wsp;
    this.#flags.value = 0;
    const [flags, count] = [this.#flags, this.#count];
    must(lpWSPRecv(this.#s, this.#buffers, 1, count, flags, null, null, null, lpErrno));
    return count.value;
  }
}

export async function echo(type: number): Promise<void> {
  const wsp = startProvider();
  const { s, name } = boundSocket(wsp, type);
  const isStream = type === spi.SOCK_STREAM;
  if (isStream) must(wsp.lpWSPListen(s, 1, lpErrno));
  process.send?.(spi.sockaddrPort(name));
  const [port] = (await once(process, 'message')) as [number];
  const peer = isStream ? must(wsp.lpWSPAccept(s, null, null, null, null, lpErrno)) : s;
  if (isStream) noDelay(wsp, peer);
  else connectTo(wsp, peer, port);
  process.send?.('ready');
  const messages = new Messages(wsp, peer);
  // An empty datagram is the end as well.
  while (messages.receive() > 0) messages.send();
  wsp.lpWSPCleanup(lpErrno);
  process.exit(0);
}

export function open(type: number, port: number, tell: (port: number) => void): Promise<Way> {
  const wsp = startProvider();
  const { s, name } = boundSocket(wsp, type);
  connectTo(wsp, s, port);
  if (type === spi.SOCK_STREAM) noDelay(wsp, s);
  tell(spi.sockaddrPort(name));
  const messages = new Messages(wsp, s);
  const trip = (): void => {
    messages.send();
    messages.receive();
  };
  const close = (): void => {
    const nothing = [{ len: 0, buf: null }];
    if (type === spi.SOCK_DGRAM) {
      must(wsp.lpWSPSend(s, nothing, 1, spi.ref(0), 0, null, null, null, lpErrno));
    }
    wsp.lpWSPCleanup(lpErrno);
  };
  return Promise.resolve(blockingWay(trip, close));
}
