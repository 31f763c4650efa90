// Connections that were negotiated and that nobody has accepted yet, on their way with the listener they
// belong to: each is suspended, handed over and taken as any connection that moves. One that cannot move
// stays where it is. Sources: DUP-08 … DUP-14, ACC-01; docs/duplication.md, "Control of a listener".

import * as ws from '../../provider/spi/winsock2.js';
import * as wsa from '../../provider/spi/error-codes.js';
import { type Arrival, refuse } from '../arrivals.js';
import type { Connection } from '../connection.js';
import type { SwitchCore } from '../core.js';
import type { SwitchSocket } from '../socket.js';
import type { MovedArrival } from './listener-state.js';
import { optionsOf } from './options.js';
import { takeConnection } from './take.js';

export class MovingArrivals {
  readonly #core: SwitchCore;
  /** Taken out of the listener's, in their order. */
  #held: Arrival[] = [];

  constructor(core: SwitchCore) {
    this.#core = core;
  }

  /** Makes those of `ready` quiet that can move: nobody accepts them meanwhile. */
  suspend(ready: Arrival[]): void {
    for (const arrival of ready.splice(0)) {
      if (!canMove(arrival.connection)) {
        ready.push(arrival);
        continue;
      }
      this.#held.push(arrival);
      arrival.connection.departure.suspend();
    }
  }

  get areQuiet(): boolean {
    return this.#held.every(({ connection: { session } }) => {
      return session.isOver || session.moving.isQuiet;
    });
  }

  /** Nobody takes them: they may be accepted here again. */
  resume(ready: Arrival[]): void {
    for (const { connection } of this.#held) connection.departure.resume();
    ready.unshift(...this.#held.splice(0));
  }

  /** What the other process goes on with; what cannot be handed over is in `ready` again. */
  handOver(processId: number, socket: SwitchSocket, ready: Arrival[]): MovedArrival[] {
    const moved: MovedArrival[] = [];
    const options = optionsOf(socket);
    for (const arrival of this.#held.splice(0)) {
      const { connection, localName, peerName } = arrival;
      const { companion, role, session } = connection;
      if (session.isOver) {
        ready.push(arrival);
        continue;
      }
      const state = session.moving.save();
      const info = { ...this.#core.tcpInfo };
      const error = connection.departure.handOver(processId, info);
      if (error === 0) {
        const { limits, provider } = companion;
        const control = {
          reserved: info.dwProviderReserved,
          role,
          limits,
          session: state,
          options,
        };
        moved.push({ providerId: provider.providerId, localName, peerName, control });
      } else if (error === ws.INVALID_SOCKET) {
        refuse(connection, wsa.WSAENOBUFS);
      } else {
        connection.departure.resume();
        ready.push(arrival);
      }
    }
    return moved;
  }

  /** Goes on with one of another process's; waits for the provider. */
  take(moved: MovedArrival, socket: SwitchSocket, ready: Arrival[]): void {
    const { providerId, localName, peerName, control } = moved;
    const connection = takeConnection(this.#core, providerId, control);
    if (typeof connection === 'number') {
      const details = { provider: providerId, error: connection };
      this.#core.environment.logger.warn(
        'SAN connection lost on its way to another process',
        details,
      );
      return;
    }
    connection.session.oobInline = socket.oobInline;
    ready.push({ connection, localName, peerName });
    connection.departure.resume();
  }

  /** Nobody will accept them. */
  refuseAll(): void {
    for (const { connection } of this.#held.splice(0)) refuse(connection, wsa.WSAECONNABORTED);
  }
}

function canMove({ session, isLossHeld }: Connection): boolean {
  return session.moving.isPossible && !session.isOver && !isLossHeld;
}
