// What the connections of a switch have moved, and by which path. Counters only: nothing decides by
// them. A connection's own are added when it ends; live ones are added up when somebody asks.

import type { SessionStatistics } from './session/session.js';

export interface SwitchStatistics {
  /** Connections established through a SAN provider, and through TCP/IP. */
  readonly sanConnections: number;
  readonly tcpConnections: number;
  /** Application bytes sent within messages, and by RDMA. */
  readonly messageBytesSent: number;
  readonly rdmaBytesSent: number;
  readonly messageBytesReceived: number;
  readonly rdmaBytesReceived: number;
  readonly tcpBytesSent: number;
  readonly tcpBytesReceived: number;
  /** Messages of the session protocol, control messages included. */
  readonly messagesSent: number;
  readonly messagesReceived: number;
}

type Counters = { -readonly [Name in keyof SwitchStatistics]: number };

export class StatisticsLedger {
  readonly #ended: Counters = {
    sanConnections: 0,
    tcpConnections: 0,
    messageBytesSent: 0,
    rdmaBytesSent: 0,
    messageBytesReceived: 0,
    rdmaBytesReceived: 0,
    tcpBytesSent: 0,
    tcpBytesReceived: 0,
    messagesSent: 0,
    messagesReceived: 0,
  };

  sanConnected(): void {
    this.#ended.sanConnections++;
  }

  tcpConnected(): void {
    this.#ended.tcpConnections++;
  }

  tcpSent(bytes: number): void {
    this.#ended.tcpBytesSent += bytes;
  }

  tcpReceived(bytes: number): void {
    this.#ended.tcpBytesReceived += bytes;
  }

  /** A session is over: its counts stay. */
  sessionEnded(session: Readonly<SessionStatistics>): void {
    add(this.#ended, session);
  }

  /** Everything so far, with the sessions that still run. */
  total(live: Iterable<Readonly<SessionStatistics>>): SwitchStatistics {
    const sum = { ...this.#ended };
    for (const session of live) add(sum, session);
    return sum;
  }
}

function add(sum: Counters, session: Readonly<SessionStatistics>): void {
  sum.messageBytesSent += session.bytesOutByMessage;
  sum.rdmaBytesSent += session.bytesOutByRdma;
  sum.messageBytesReceived += session.bytesInByMessage;
  sum.rdmaBytesReceived += session.bytesInByRdma;
  sum.messagesSent += session.messagesOut;
  sum.messagesReceived += session.messagesIn;
}
