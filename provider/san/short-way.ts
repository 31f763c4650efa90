// The short ways of the commonest calls: a small send that is polled for, a receive into one place, and
// the poll that ends it. Each does the whole of a call or nothing, and the long ways (transfer.ts,
// overlapped.ts) say what is wrong. One object for all sockets, methods instead of functions, and copies of
// imported constants: V8 checks an import at every use, and a method once. Makes no upcall but in poll().
// Sources: WSPSEND-06, WSPRECV-01, OVL-05, OVL-06, OVL-09, OVL-11, OVL-12, GOR-01.

import type { NicDevice } from '../nic/device.js';
import { Arrival, PostResult } from '../nic/verbs.js';
import type { WorkCompletion } from '../nic/verbs.js';
import type { Ref, WSABUF, WSAOVERLAPPED } from '../spi/winsock2.js';
import { WSS_OPERATION_IN_PROGRESS } from '../spi/ws2spi.js';
import { arrived, giveUpIfFinished, recycle, storeOutcome } from './completion.js';
import { drive } from './progress.js';
import type { Operation, SanSocket, SocketTable } from './record.js';
import type { Registration } from './registration.js';
import type { SanState } from './state.js';

const IN_PROGRESS = WSS_OPERATION_IN_PROGRESS;
const { TAKEN, NONE } = Arrival;
const { OK } = PostResult;
/** An address beyond this is no offset of the segment. */
const OFFSET_MAX = 0x7fffffff;
/** Polls in vain between two turns of everything that is not the caller's own connection. */
const POLLS_PER_DRIVE = 64;

/** What a poll has found. */
export const Polled = {
  /** The long way has to say. */
  UNKNOWN: 0,
  PENDING: 1,
  DONE: 2,
} as const;
export type Polled = (typeof Polled)[keyof typeof Polled];

const { UNKNOWN, PENDING, DONE } = Polled;

export class ShortWay {
  private readonly state: SanState;
  private readonly sockets: SocketTable;
  private readonly nic: NicDevice;
  private readonly completion: WorkCompletion;
  private readonly injectBytesMax: number;
  private readonly receivesMax: number;
  private polls = 0;

  constructor(state: SanState) {
    this.state = state;
    this.sockets = state.sockets;
    this.nic = state.nic;
    this.completion = state.completion;
    this.injectBytesMax = state.injectBytesMax;
    this.receivesMax = state.completesAtOnce ? 0 : state.receivesMax;
  }

  /**
   * A few bytes of one buffer, with nothing before them, and an outcome that is polled for. It has
   * ended when the call returns, and is as pending as any other. [OVL-05, WSPSEND-06]
   */
  send(s: number, buffers: readonly WSABUF[], overlapped: WSAOVERLAPPED): boolean {
    const socket = this.sockets.find(s);
    const buffer = buffers[0];
    if (socket === null || buffer === undefined) return false;
    const { connectedPair: queuePair } = socket;
    const { len, buf } = buffer;
    if (
      queuePair === null ||
      buf === null ||
      !(len > 0) ||
      len > this.injectBytesMax ||
      (overlapped.hEvent & 1) === 0 ||
      this.state.finishedHead !== null
    ) {
      return false;
    }
    const found = socket.readable.find(buf, len, this.nic);
    if (found === null || found.address > OFFSET_MAX) return false;
    const { localKey } = found.registration as Registration;
    if (!queuePair.inject(found.address | 0, len, localKey)) return false;
    overlapped.InternalHigh = len;
    overlapped.OffsetHigh = 0;
    overlapped.Offset = 0;
    overlapped.Internal = 0;
    return true;
  }

  /** One buffer in the segment. */
  receive(s: number, buffers: readonly WSABUF[], overlapped: WSAOVERLAPPED): boolean {
    const socket = this.sockets.find(s);
    const buffer = buffers[0];
    if (socket === null || buffer === undefined) return false;
    const { connectedPair: queuePair } = socket;
    const { len, buf } = buffer;
    if (queuePair === null || buf === null || !(len > 0)) return false;
    if (socket.receivesPosted >= this.receivesMax) return false;
    const found = socket.writable.find(buf, len, this.nic);
    if (found === null || found.address > OFFSET_MAX) return false;
    const registration = found.registration as Registration;
    const operation = socket.takeOperation();
    const address = found.address | 0;
    const { localKey } = registration;
    if (queuePair.postReceiveAt(operation.index, address, len, localKey) !== OK) {
      recycle(operation);
      return false;
    }
    operation.receiveInto(registration, address, len, overlapped);
    socket.receivesPosted++;
    socket.unfinished++;
    overlapped.InternalHigh = 0;
    overlapped.Internal = IN_PROGRESS;
    return true;
  }

  /** WSPGetOverlappedResult without waiting, where the operation went well or is a small receive. */
  poll(
    s: number,
    overlapped: WSAOVERLAPPED,
    transferred: Ref<number> | null,
    flags: Ref<number> | null,
  ): Polled {
    const socket = this.sockets.find(s);
    if (socket === null) return UNKNOWN;
    if (overlapped.Internal === IN_PROGRESS) {
      const found = this.look(socket, overlapped);
      if (found !== DONE) return found;
    }
    if (overlapped.OffsetHigh !== 0) return UNKNOWN;
    if (transferred !== null) transferred.value = overlapped.InternalHigh;
    if (flags !== null) flags.value = overlapped.Offset;
    return DONE;
  }

  /** Only where nothing else of the socket is under way, that a turn of the NIC would have to end. */
  private look(socket: SanSocket, overlapped: WSAOVERLAPPED): Polled {
    const { connectedPair: queuePair } = socket;
    const state = this.state;
    if (queuePair === null || socket.sendsPosted !== 0 || state.finishedHead !== null)
      return UNKNOWN;
    const completion = this.completion;
    const arrival = queuePair.takeArrival(completion);
    if (arrival === TAKEN) {
      const operation = socket.operations[completion.id];
      if (operation === undefined) return UNKNOWN;
      if (operation.overlapped !== overlapped || (overlapped.hEvent & 1) === 0) {
        if (operation.overlapped === overlapped) this.tell(socket, operation, overlapped);
        else arrived(state, socket, operation, completion.byteLength);
        return overlapped.Internal === IN_PROGRESS ? UNKNOWN : DONE;
      }
      socket.endReceive(operation);
      overlapped.InternalHigh = completion.byteLength;
      overlapped.OffsetHigh = 0;
      overlapped.Offset = 0;
      overlapped.Internal = 0;
      return DONE;
    }
    if (arrival !== NONE) return UNKNOWN;
    // A caller that polls comes again at once: everything else has its turn every few times.
    if (++this.polls < POLLS_PER_DRIVE) return PENDING;
    this.polls = 0;
    drive(state);
    return overlapped.Internal === IN_PROGRESS ? PENDING : DONE;
  }

  /**
   * It was the receive that is asked about, and its owner wants the upcall: nothing else has finished
   * that would have to be told before. [OVL-06, OVL-09]
   */
  private tell(socket: SanSocket, operation: Operation, overlapped: WSAOVERLAPPED): void {
    const state = this.state;
    const { byteLength } = this.completion;
    socket.endReceive(operation);
    // The notification has not returned yet.
    socket.unfinished++;
    storeOutcome(overlapped, byteLength, 0, 0);
    const { upcalls, errno } = state;
    state.notifying++;
    upcalls?.lpWPUCompleteOverlappedRequest(socket.handle, overlapped, 0, byteLength, errno);
    state.notifying--;
    socket.unfinished--;
    if (socket.state === 'closed') giveUpIfFinished(state, socket);
  }
}
