// What the examples share: starting Winsock on a host, a check that turns a failure into an exception,
// and their command-line options. An example stays readable without looking here.

import { parseArgs } from 'node:util';
import type { Host, Winsock } from '../index.js';
import { INVALID_SOCKET, SOCKET_ERROR, WsaError } from '../provider/spi/index.js';

const WINSOCK_2_2 = 0x0202;

/** WSAStartup for version 2.2. Throws WsaError. */
export function startWinsock(host: Host): Winsock {
  const data = {
    wVersion: 0,
    wHighVersion: 0,
    iMaxSockets: 0,
    iMaxUdpDg: 0,
    lpVendorInfo: null,
    szDescription: '',
    szSystemStatus: '',
  };
  const error = host.winsock.WSAStartup(WINSOCK_2_2, data);
  if (error !== 0) throw new WsaError(error, { call: 'WSAStartup' });
  return host.winsock;
}

/** Returns `result`, or throws WsaError with the last error when the call has failed. */
export function must(winsock: Winsock, call: string, result: number): number {
  if (result !== SOCKET_ERROR && result !== INVALID_SOCKET) return result;
  throw new WsaError(winsock.WSAGetLastError(), { call });
}

export interface ExampleArguments {
  readonly fabric: string;
  /** This process's host. */
  readonly address: string;
  /** Where the server is. */
  readonly server: string;
  readonly port: number;
  /** What stands beside the options. */
  readonly words: readonly string[];
}

/** The options of an example that runs in several processes; `address` is the default of --address. */
export function exampleArguments(address: string): ExampleArguments {
  const { values, positionals } = parseArgs({
    options: {
      fabric: { type: 'string', default: 'examples' },
      address: { type: 'string', default: address },
      server: { type: 'string', default: '127.77.0.1' },
      port: { type: 'string', default: '7007' },
    },
    allowPositionals: true,
  });
  return { ...values, port: Number(values.port), words: positionals };
}
