// TransmitFile: what comes before, a file or a part of it, and what comes after, as one operation on a
// connected stream; read in pieces, one of which is sent while nothing else is. Files are the host's
// (SwitchEnvironment.readFile): the handle is what it says. Sources: XFER-17, W9.1 to W9.8.

import * as wsa from '../../provider/spi/error-codes.js';
import type { Ref, WSAOVERLAPPED } from '../../provider/spi/winsock2.js';
import type { SwitchSocket } from '../socket.js';
import { SocketState } from '../socket.js';
import type { ExtendedContext } from './call.js';
import { ExtendedCall } from './call.js';
import { disconnect, TF_DISCONNECT, TF_REUSE_SOCKET } from './disconnect-ex.js';

export const TF_WRITE_BEHIND = 0x04;
const TF_USE_SYSTEM_THREAD = 0x10;
const TF_USE_KERNEL_APC = 0x20;
const KNOWN_FLAGS =
  TF_DISCONNECT | TF_REUSE_SOCKET | TF_WRITE_BEHIND | TF_USE_SYSTEM_THREAD | TF_USE_KERNEL_APC;

const PIECE_BYTES_DEFAULT = 65_536;
const PIECE_BYTES_MAX = 1_048_576;
const TWO_32 = 2 ** 32;

/** Sent before and after the file. */
export interface TRANSMIT_FILE_BUFFERS {
  readonly Head: Uint8Array | null;
  readonly HeadLength: number;
  readonly Tail: Uint8Array | null;
  readonly TailLength: number;
}

export interface TransmitFileArguments {
  readonly s: number;
  /** 0: no file. */
  readonly file: number;
  /** 0: to the end of the file. */
  readonly bytesToWrite: number;
  /** 0: what seems best. */
  readonly bytesPerSend: number;
  /** Its Offset and OffsetHigh say where in the file; null: where the last read ended, and waiting. */
  readonly overlapped: WSAOVERLAPPED | null;
  readonly buffers: TRANSMIT_FILE_BUFFERS | null;
  readonly flags: number;
}

/** TransmitFile. The bytes of all three parts are the operation's. */
export function transmitFile(
  context: ExtendedContext,
  args: TransmitFileArguments,
  lpErrno: Ref<number>,
): boolean {
  const socket = context.core.sockets.find(args.s);
  const error = refusal(context, socket, args);
  if (error !== 0 || socket === null) {
    lpErrno.value = error;
    return false;
  }
  const { overlapped } = args;
  const position =
    overlapped === null ? null : (overlapped.Offset >>> 0) + (overlapped.OffsetHigh >>> 0) * TWO_32;
  const call = new TransmitFileCall(context, socket, args);
  call.start(position);
  return call.outcome(null, lpErrno);
}

function refusal(
  { core }: ExtendedContext,
  socket: SwitchSocket | null,
  args: TransmitFileArguments,
): number {
  if (socket === null) return wsa.WSAENOTSOCK;
  if (!socket.isStream || socket.state !== SocketState.connected) return wsa.WSAENOTCONN;
  if (socket.sendShut) return wsa.WSAESHUTDOWN;
  if ((args.flags & ~KNOWN_FLAGS) !== 0) return wsa.WSAEINVAL;
  if (!(args.bytesToWrite >= 0) || !(args.bytesPerSend >= 0)) return wsa.WSAEINVAL;
  const { buffers } = args;
  const isHead = (buffers?.HeadLength ?? 0) <= (buffers?.Head?.length ?? 0);
  const isTail = (buffers?.TailLength ?? 0) <= (buffers?.Tail?.length ?? 0);
  if (!isHead || !isTail) return wsa.WSAEFAULT;
  return args.file !== 0 && core.environment.readFile === undefined ? wsa.WSAEOPNOTSUPP : 0;
}

class TransmitFileCall extends ExtendedCall {
  readonly #socket: SwitchSocket;
  readonly #args: TransmitFileArguments;
  readonly #piece: Uint8Array;
  #position: number | null = null;
  #left: number;
  #part: 'head' | 'file' | 'tail' | 'end' = 'head';
  #sent = 0;
  #isStepping = false;
  #isSending = false;

  constructor(context: ExtendedContext, socket: SwitchSocket, args: TransmitFileArguments) {
    super(context, socket, args.overlapped);
    this.#socket = socket;
    this.#args = args;
    const wanted = args.bytesPerSend === 0 ? PIECE_BYTES_DEFAULT : args.bytesPerSend;
    this.#piece = new Uint8Array(args.file === 0 ? 0 : Math.min(wanted, PIECE_BYTES_MAX));
    this.#left = args.bytesToWrite === 0 ? Infinity : args.bytesToWrite;
  }

  start(position: number | null): void {
    this.#position = position;
    this.#step();
  }

  /** Goes on until something is under way. A loop: sends that end at once must not nest. */
  #step(): void {
    if (this.#isStepping) return;
    this.#isStepping = true;
    while (!this.isEnded && !this.#isSending) {
      const piece = this.#next();
      if (piece === null) {
        this.#finish();
        break;
      }
      if (piece.length === 0) continue;
      this.#isSending = true;
      this.transfer('send', this.#socket, piece, (error, bytes) => {
        this.#isSending = false;
        this.#sent += bytes;
        if (error !== 0) this.end(error, this.#sent);
        else this.#step();
      });
    }
    this.#isStepping = false;
  }

  /** The next piece to send, perhaps empty; null after the last. */
  #next(): Uint8Array | null {
    const { buffers, file } = this.#args;
    switch (this.#part) {
      case 'head':
        this.#part = file === 0 ? 'tail' : 'file';
        return buffers?.Head?.subarray(0, buffers.HeadLength) ?? NOTHING;
      case 'file':
        return this.#read();
      case 'tail':
        this.#part = 'end';
        return buffers?.Tail?.subarray(0, buffers.TailLength) ?? NOTHING;
      case 'end':
        return null;
    }
  }

  #read(): Uint8Array {
    const { readFile } = this.core.environment;
    const into = this.#piece.subarray(0, Math.min(this.#piece.length, this.#left));
    const bytes = readFile?.(this.#args.file, into, this.#position) ?? -1;
    if (bytes < 0) {
      this.end(wsa.WSA_INVALID_HANDLE, this.#sent);
      return NOTHING;
    }
    this.#left -= bytes;
    if (this.#position !== null) this.#position += bytes;
    if (bytes === 0 || this.#left === 0) this.#part = 'tail';
    return into.subarray(0, bytes);
  }

  #finish(): void {
    const { flags } = this.#args;
    if ((flags & (TF_DISCONNECT | TF_REUSE_SOCKET)) === 0) {
      this.end(0, this.#sent);
      return;
    }
    const reuse = (flags & TF_REUSE_SOCKET) !== 0;
    disconnect(this.core, this.#socket, reuse, (error) => this.end(error, this.#sent));
  }
}

const NOTHING = new Uint8Array(0);
