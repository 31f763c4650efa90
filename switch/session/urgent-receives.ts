// Urgent bytes apart from the stream, and the receives with MSG_OOB that wait for one: of both there is
// never some at once, but for receives without room. They are served in their own order, whatever happens
// to the stream. Knows no messages. Source: W8.1.13, OOB-02; docs/decisions/0026-urgent-data.md.

import type { SessionCore } from './core.js';
import { RequestQueue, ResultFlag, type SessionRequest } from './request.js';
import { UrgentBytes } from './urgent.js';

export class UrgentReceives {
  readonly bytes = new UrgentBytes();
  readonly #core: SessionCore;
  readonly #waiting = new RequestQueue();

  constructor(core: SessionCore) {
    this.#core = core;
  }

  get isEmpty(): boolean {
    return this.#waiting.head === null;
  }

  /** Takes a receive that the session has adopted. */
  post(request: SessionRequest): void {
    this.#waiting.push(request);
    this.serve();
  }

  add(byte: number, place: number): void {
    this.bytes.add(byte, place);
    this.serve();
  }

  /** Takes a receive out, which the caller finishes; false when it is none that waits here. */
  remove(request: SessionRequest): boolean {
    return this.#waiting.remove(request);
  }

  /** No urgent byte will come any more: 0 bytes, and an error or the end of the stream. */
  endAll(error: number): void {
    for (let next = this.#waiting.shift(); next !== null; next = this.#waiting.shift()) {
      this.#core.finish(next, error);
    }
  }

  serve(): void {
    while (this.bytes.count > 0) {
      const request = this.#waiting.shift();
      if (request === null) return;
      const into = request.buffers.find(({ len }, index) => index < request.bufferCount && len > 0);
      if (into !== undefined) {
        into.buf[0] = this.bytes.byte;
        this.bytes.drop();
        request.bytes = 1;
      }
      request.resultFlags |= ResultFlag.urgent;
      this.#core.finish(request, 0);
    }
  }
}
