// How an application reads a stream to its end: with receives posted ahead, or when select or WSAPoll
// says that there is something, or when a network event does. Whoever waits for a word acts on nothing
// else, so that a word that is missing shows. It must not know the other end. Sources: W10.3, W10.8, W10.12.

import * as spi from '../../provider/spi/index.js';
import type { SimEnd } from './end.js';
import { Finding } from './end.js';
import type { ReadingWay } from './plan.js';

const READ_BYTES = 50_000;
const NOW = { tv_sec: 0, tv_usec: 0 };

export class Reader {
  readonly #end: SimEnd;
  readonly #way: ReadingWay;
  #event = 0;
  /** FD_CLOSE was told: what is left is read without another word. */
  #isClosing = false;

  constructor(end: SimEnd, way: ReadingWay) {
    this.#end = end;
    this.#way = way;
  }

  /** What the application does when it comes by. Whether that was anything. */
  step(): boolean {
    const end = this.#end;
    switch (this.#way) {
      case 'receives':
        return !end.isReceiving && end.receive([READ_BYTES], false, false) !== null;
      case 'select':
        return isReadable(end) && this.#read();
      case 'events':
        return this.#readByEvents();
    }
  }

  /** Before the socket is closed. */
  stop(): void {
    if (this.#event === 0) return;
    const { winsock } = this.#end.host;
    winsock.WSAEventSelect(this.#end.socket, 0, 0);
    winsock.WSACloseEvent(this.#event);
    this.#event = 0;
  }

  #read(): boolean {
    const end = this.#end;
    return end.receiveNow(READ_BYTES, false) || end.hasEnded || end.error !== 0;
  }

  #readByEvents(): boolean {
    const end = this.#end;
    const { winsock } = end.host;
    if (this.#event === 0) {
      this.#event = winsock.WSACreateEvent();
      const mask = spi.FD_READ | spi.FD_CLOSE;
      if (winsock.WSAEventSelect(end.socket, this.#event, mask) !== 0) {
        throw new Finding(`WSAEventSelect fails with ${winsock.WSAGetLastError()}`);
      }
    }
    if (this.#isClosing && this.#read()) return true;
    const events = [this.#event];
    if (winsock.WSAWaitForMultipleEvents(1, events, false, 0, false) !== spi.WSA_WAIT_EVENT_0)
      return false;
    const seen = spi.createNetworkEvents();
    winsock.WSAEnumNetworkEvents(end.socket, this.#event, seen);
    if ((seen.lNetworkEvents & spi.FD_CLOSE) !== 0) this.#isClosing = true;
    if ((seen.lNetworkEvents & spi.FD_READ) !== 0) this.#read();
    return true;
  }
}

/**
 * Asks select and WSAPoll what may be done, and does it: a call that will not have to wait, by what they
 * say, does not. Throws Finding.
 */
export function ask(end: SimEnd): void {
  const { socket } = end;
  const isReadableNow = isReadable(end);
  const polled = poll(end);
  if (!end.isReceiving) {
    if (isReadableNow && (polled & ENDED_OR_READABLE) === 0) {
      throw new Finding('WSAPoll does not see what select has seen');
    }
    if ((polled & spi.POLLRDNORM) !== 0 && end.wouldBlock(() => end.receiveNow(1, true))) {
      throw new Finding('a receive would block that WSAPoll has promised');
    }
  }
  const writes = { fd_count: 1, fd_array: [socket] };
  const isWritable = end.host.winsock.select(0, null, writes, null, NOW) > 0;
  if (!end.isShut && isWritable && end.wouldBlock(() => end.sendNow(1))) {
    throw new Finding('a send would block that select has promised');
  }
}

const ENDED_OR_READABLE = spi.POLLRDNORM | spi.POLLHUP | spi.POLLERR;

function isReadable({ host, socket }: SimEnd): boolean {
  const reads = { fd_count: 1, fd_array: [socket] };
  const count = host.winsock.select(0, reads, null, null, NOW);
  if (count < 0) throw new Finding(`select fails with ${host.winsock.WSAGetLastError()}`);
  return count > 0;
}

function poll({ host, socket }: SimEnd): number {
  const question = { fd: socket, events: spi.POLLRDNORM | spi.POLLWRNORM, revents: 0 };
  const count = host.winsock.WSAPoll([question], 1, 0);
  if (count < 0) throw new Finding(`WSAPoll fails with ${host.winsock.WSAGetLastError()}`);
  return question.revents;
}
