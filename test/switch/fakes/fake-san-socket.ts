// What the fake SAN provider keeps for one socket.

import type { WSAOVERLAPPED } from '../../../provider/spi/index.js';

export type Message = Uint8Array;

export interface PostedReceive {
  readonly memory: Uint8Array;
  readonly overlapped: WSAOVERLAPPED;
}

export interface FakeSanSocket {
  readonly descriptor: number;
  /** The switch's. */
  readonly handle: number;
  address: number;
  port: number;
  isBound: boolean;
  peer: FakeSanSocket | null;
  /** 0, or the error with which the link was lost. */
  lost: number;
  event: number;
  eventMask: number;
  events: number;
  connectError: number;
  backlog: number;
  /** Connectors that wait for WSPAccept. */
  readonly requests: FakeSanSocket[];
  readonly inbox: Message[];
  readonly posted: PostedReceive[];
  readonly registrations: Map<number, { memory: Uint8Array; access: number }>;
  readonly exposures: Set<number>;
  outstanding: number;
}

export function makeSocket(
  descriptor: number,
  handle: number,
  address: number,
  port: number,
): FakeSanSocket {
  return {
    descriptor,
    handle,
    address,
    port,
    isBound: false,
    peer: null,
    lost: 0,
    event: 0,
    eventMask: 0,
    events: 0,
    connectError: 0,
    backlog: 0,
    requests: [],
    inbox: [],
    posted: [],
    registrations: new Map(),
    exposures: new Set(),
    outstanding: 0,
  };
}
