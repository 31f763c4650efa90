// What the children share: a host, a listening or connecting socket, and a clean end that reports what
// is still in use. Knows the published entry points only.

import { startWinsock } from '../../../examples/helpers.js';
import { openHost } from '../../../index.js';
import type { Host } from '../../../index.js';
import * as spi from '../../../provider/spi/index.js';
import { say } from './talk.js';

export interface EndpointPlan {
  readonly fabric: string;
  readonly address: string;
  readonly engine: 'inline' | 'worker';
  /** Where to connect; without it the child listens, and says { port } first. */
  readonly to?: { readonly address: string; readonly port: number };
}

export interface Endpoint {
  readonly host: Host;
  readonly socket: number;
}

/** Opens the host and the connection of a plan, with blocking calls. */
export async function openEndpoint(plan: EndpointPlan): Promise<Endpoint> {
  const { fabric, address, engine, to } = plan;
  const host = await openHost({ fabric, address, engine });
  const winsock = startWinsock(host);
  const socket = must(
    host,
    'socket',
    winsock.socket(spi.AF_INET, spi.SOCK_STREAM, spi.IPPROTO_TCP),
  );
  if (to !== undefined) {
    const name = spi.sockaddrIn(to.address, to.port);
    must(host, 'connect', winsock.connect(socket, name, name.length));
    return { host, socket };
  }
  const name = spi.sockaddrIn(address, 0);
  must(host, 'bind', winsock.bind(socket, name, name.length));
  must(host, 'listen', winsock.listen(socket, 1));
  must(host, 'getsockname', winsock.getsockname(socket, name, spi.ref(name.length)));
  say({ port: spi.sockaddrPort(name) });
  const accepted = must(host, 'accept', winsock.accept(socket, null, null));
  winsock.closesocket(socket);
  return { host, socket: accepted };
}

/** The end of the host; says what was carried, and what was still in use before. */
export async function closeEndpoint(host: Host, more: object = {}): Promise<void> {
  await host.winsock.promises.WSACleanup();
  for (let turn = 0; turn < TURNS_MAX && host.usage().queuePairs > 0; turn++) {
    host.progress();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  const statistics = host.statistics();
  const usage = host.usage();
  await host.close();
  say({ statistics, usage, ...more });
}

/** Returns `result`, or throws WsaError when the call has failed. */
export function must({ winsock }: Host, call: string, result: number): number {
  if (result !== spi.SOCKET_ERROR && result !== spi.INVALID_SOCKET) return result;
  throw new spi.WsaError(winsock.WSAGetLastError(), { call });
}

/** Turns for a peer that is slow to let go; whether it did is for the test to judge. */
const TURNS_MAX = 2_000_000;
