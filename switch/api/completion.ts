// Completion ports, the Win32 view of an operation's outcome, and cancelling: the functions of
// kernel32.dll that a Winsock application completes its operations with. Their errors are Win32's, in
// the same last error. Sources: W1.3, W1.5, W2.11, W9.8, W9.10.5, W9.13.

import * as wsa from '../../provider/spi/error-codes.js';
import { win32ErrorOfStatus } from '../../provider/spi/ntstatus.js';
import type { DWORD_PTR, Ref, WSAOVERLAPPED } from '../../provider/spi/winsock2.js';
import * as ws from '../../provider/spi/winsock2.js';
import { WSS_OPERATION_IN_PROGRESS } from '../../provider/spi/ws2spi.js';
import { cancelOverlapped } from '../cancel.js';
import type { CompletionPort } from '../completion-port.js';
import type { SwitchCore } from '../core.js';
import type { ApiState } from './last-error.js';
import { waitDeadline } from './waits.js';

/** As CreateIoCompletionPort's FileHandle: make a port and associate nothing. */
export const INVALID_HANDLE_VALUE = 0xffffffff;

export interface OVERLAPPED_ENTRY {
  lpCompletionKey: DWORD_PTR;
  lpOverlapped: WSAOVERLAPPED | null;
  /** NTSTATUS of the operation. */
  Internal: number;
  dwNumberOfBytesTransferred: number;
}

export interface CompletionFunctions {
  /**
   * Makes a port (ExistingCompletionPort 0), or associates a socket with one, for its life. The port's
   * handle, or 0: WSA_INVALID_HANDLE, WSA_INVALID_PARAMETER (associated already, or a socket without
   * the overlapped attribute). [W9.1]
   */
  CreateIoCompletionPort(
    FileHandle: number,
    ExistingCompletionPort: number,
    CompletionKey: DWORD_PTR,
    NumberOfConcurrentThreads: number,
  ): number;
  /**
   * Takes the oldest packet. True: of a successful operation. False with lpOverlapped: of a failed one;
   * without: no packet, WAIT_TIMEOUT, WSA_INVALID_HANDLE, or ERROR_ABANDONED_WAIT_0. [W9.13.4]
   */
  GetQueuedCompletionStatus(
    CompletionPort: number,
    lpNumberOfBytesTransferred: Ref<number>,
    lpCompletionKey: Ref<DWORD_PTR>,
    lpOverlapped: Ref<WSAOVERLAPPED | null>,
    dwMilliseconds: number,
  ): boolean;
  /** Takes up to ulCount packets, whatever became of their operations. False: as above, or 192. */
  GetQueuedCompletionStatusEx(
    CompletionPort: number,
    lpCompletionPortEntries: OVERLAPPED_ENTRY[],
    ulCount: number,
    ulNumEntriesRemoved: Ref<number>,
    dwMilliseconds: number,
    fAlertable: boolean,
  ): boolean;
  PostQueuedCompletionStatus(
    CompletionPort: number,
    dwNumberOfBytesTransferred: number,
    dwCompletionKey: DWORD_PTR,
    lpOverlapped: WSAOVERLAPPED | null,
  ): boolean;
  /** FILE_SKIP_* bits, which only ever add up. False: WSA_INVALID_HANDLE, WSA_INVALID_PARAMETER. */
  SetFileCompletionNotificationModes(FileHandle: number, Flags: number): boolean;
  /** WSAGetOverlappedResult with Win32's errors: 64 where Winsock says 10054. [W1.5] */
  GetOverlappedResult(
    hFile: number,
    lpOverlapped: WSAOVERLAPPED,
    lpNumberOfBytesTransferred: Ref<number>,
    bWait: boolean,
  ): boolean;
  /** Closes a completion port; waits on it end. False: WSA_INVALID_HANDLE. */
  CloseHandle(hObject: number): boolean;
  /** Cancels what this thread has started on the socket. False: WSA_INVALID_HANDLE. [W9.10.5] */
  CancelIo(hFile: number): boolean;
  /** Cancels one operation, or all. False: also ERROR_NOT_FOUND, when there is none. [W9.10.5] */
  CancelIoEx(hFile: number, lpOverlapped: WSAOVERLAPPED | null): boolean;
}

export function completionFunctions(state: ApiState): CompletionFunctions {
  const { core } = state.theSwitch;
  return {
    ...portFunctions(state, core),
    GetOverlappedResult(hFile, lpOverlapped, lpNumberOfBytesTransferred, bWait) {
      const socket = core.sockets.find(hFile);
      if (socket === null) return refuse(state, wsa.WSA_INVALID_HANDLE);
      const isOver = (): boolean => lpOverlapped.Internal !== WSS_OPERATION_IN_PROGRESS;
      const { progress } = core.environment;
      if (bWait) progress.waitUntil(isOver);
      else if (!isOver()) progress.poll();
      if (!isOver()) return refuse(state, wsa.WSA_IO_INCOMPLETE);
      // Of a failed operation too. [W9.11.4]
      lpNumberOfBytesTransferred.value = lpOverlapped.InternalHigh;
      const error = win32ErrorOfStatus(lpOverlapped.Internal);
      return error === 0 || refuse(state, error);
    },
    CancelIo(hFile) {
      const socket = core.sockets.find(hFile);
      if (socket === null) return refuse(state, wsa.WSA_INVALID_HANDLE);
      cancelOverlapped(core, socket, null);
      return true;
    },
    CancelIoEx(hFile, lpOverlapped) {
      const socket = core.sockets.find(hFile);
      if (socket === null) return refuse(state, wsa.WSA_INVALID_HANDLE);
      if (cancelOverlapped(core, socket, lpOverlapped)) return true;
      return refuse(state, wsa.ERROR_NOT_FOUND);
    },
  };
}

function refuse(state: ApiState, error: number): false {
  state.lastError = error;
  return false;
}

type PortFunctions = Omit<CompletionFunctions, 'GetOverlappedResult' | 'CancelIo' | 'CancelIoEx'>;

function portFunctions(state: ApiState, core: SwitchCore): PortFunctions {
  const { ports } = core;
  return {
    CreateIoCompletionPort(FileHandle, ExistingCompletionPort, CompletionKey) {
      const made = associate(core, FileHandle, ExistingCompletionPort, CompletionKey);
      if (typeof made !== 'number') return made.handle;
      state.lastError = made;
      return 0;
    },
    GetQueuedCompletionStatus(handle, bytes, key, overlapped, dwMilliseconds) {
      const port = ports.find(handle);
      overlapped.value = null;
      const error =
        port === null ? wsa.WSA_INVALID_HANDLE : awaitPacket(core, port, dwMilliseconds);
      const packet = port?.take() ?? null;
      if (port === null || packet === null) return refuse(state, error);
      const { status } = packet;
      bytes.value = packet.bytes;
      key.value = packet.key;
      overlapped.value = packet.overlapped;
      port.giveBack(packet);
      return status === 0 || refuse(state, win32ErrorOfStatus(status));
    },
    GetQueuedCompletionStatusEx(handle, entries, ulCount, removed, dwMilliseconds, fAlertable) {
      const port = ports.find(handle);
      removed.value = 0;
      if (port === null) return refuse(state, wsa.WSA_INVALID_HANDLE);
      if (ulCount < 1) return refuse(state, wsa.WSA_INVALID_PARAMETER);
      const error = awaitPacket(core, port, dwMilliseconds, fAlertable);
      removed.value = drain(port, entries, ulCount);
      return removed.value > 0 || refuse(state, error);
    },
    PostQueuedCompletionStatus(handle, dwNumberOfBytesTransferred, dwCompletionKey, lpOverlapped) {
      const port = ports.find(handle);
      if (port === null) return refuse(state, wsa.WSA_INVALID_HANDLE);
      port.post(dwCompletionKey, lpOverlapped, dwNumberOfBytesTransferred, 0);
      return true;
    },
    SetFileCompletionNotificationModes(FileHandle, Flags) {
      const socket = core.sockets.find(FileHandle);
      if (socket === null) return refuse(state, wsa.WSA_INVALID_HANDLE);
      const known = ws.FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | ws.FILE_SKIP_SET_EVENT_ON_HANDLE;
      if ((Flags & ~known) !== 0) return refuse(state, wsa.WSA_INVALID_PARAMETER);
      socket.notificationModes |= Flags;
      return true;
    },
    CloseHandle: (hObject) => ports.close(hObject) || refuse(state, wsa.WSA_INVALID_HANDLE),
  };
}

/** The port, or the error. */
function associate(
  core: SwitchCore,
  file: number,
  existing: number,
  key: DWORD_PTR,
): CompletionPort | number {
  const known = existing === 0 ? null : core.ports.find(existing);
  if (existing !== 0 && known === null) return wsa.WSA_INVALID_HANDLE;
  if (file === INVALID_HANDLE_VALUE) {
    return known === null ? core.ports.create() : wsa.WSA_INVALID_PARAMETER;
  }
  const socket = core.sockets.find(file);
  if (socket === null) return wsa.WSA_INVALID_HANDLE;
  if (socket.port !== null || !socket.overlappedCapable) return wsa.WSA_INVALID_PARAMETER;
  socket.port = known ?? core.ports.create();
  socket.portKey = key;
  return socket.port;
}

/** Waits for a packet; what to say if there is none afterwards. */
function awaitPacket(
  core: SwitchCore,
  port: CompletionPort,
  timeoutMs: number,
  isAlertable = false,
): number {
  const { apcs, environment } = core;
  const { progress } = environment;
  const isDone = (): boolean => !port.isEmpty || port.isClosed || (isAlertable && apcs.isRunnable);
  if (!isDone()) {
    if (timeoutMs === 0) progress.poll();
    else progress.waitUntil(isDone, waitDeadline(core, timeoutMs));
  }
  return emptyHanded(core, port, isAlertable);
}

/** The end of a wait: runs what an alertable one is for, and says what else it ended for. */
export function emptyHanded(core: SwitchCore, port: CompletionPort, isAlertable: boolean): number {
  if (port.isEmpty && isAlertable && core.apcs.run() > 0) return ws.WSA_WAIT_IO_COMPLETION;
  return port.isClosed ? wsa.ERROR_ABANDONED_WAIT_0 : wsa.WAIT_TIMEOUT;
}

/** Moves up to `count` packets to the entries; how many. */
export function drain(port: CompletionPort, entries: OVERLAPPED_ENTRY[], count: number): number {
  let moved = 0;
  while (moved < count) {
    const packet = port.take();
    if (packet === null) break;
    entries[moved++] = {
      lpCompletionKey: packet.key,
      lpOverlapped: packet.overlapped,
      Internal: packet.status,
      dwNumberOfBytesTransferred: packet.bytes,
    };
    port.giveBack(packet);
  }
  return moved;
}
