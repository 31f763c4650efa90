// UNIX sockets of abstract names that nobody guesses: nothing of them is in the file system, so nothing
// outlives its process, and the kernel says who is at the other end. Knows nothing of what passes.

import { errno } from './errors.js';
import { native } from './load.js';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const BACKLOG = 8;
/** struct ucred: process, user, group. */
const CREDENTIAL_BYTES = 12;

/** A listening descriptor, or a negative errno. */
export function listenAt(name: string): number {
  const fd = native.socketCreate(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return fd;
  const path = abstractName(name);
  let result = native.socketBind(fd, path, path.length);
  if (result === 0) result = native.socketListen(fd, BACKLOG);
  if (result === 0) return fd;
  native.closeDescriptor(fd);
  return result;
}

/** A connected descriptor, or a negative errno: ECONNREFUSED when nobody listens by this name. */
export function connectTo(name: string): number {
  const fd = native.socketCreate(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return fd;
  const path = abstractName(name);
  const result = native.socketConnect(fd, path, path.length);
  if (result === 0) return fd;
  native.closeDescriptor(fd);
  return result;
}

/** Somebody who has connected, or a negative errno. */
export function acceptAt(listener: number): number {
  return native.socketAccept(listener, new Uint8Array(128));
}

/** The process at the other end if it is this user's, or -EPERM. */
export function processAt(fd: number): number {
  const credentials = new Uint8Array(CREDENTIAL_BYTES);
  const length = native.socketGetOption(fd, SOL_SOCKET, SO_PEERCRED, credentials);
  const [pid = 0, uid] = new Int32Array(credentials.buffer);
  const isOurs = length === CREDENTIAL_BYTES && uid === process.getuid?.() && pid > 0;
  return isOurs ? pid : -errno.EPERM;
}

/** struct sockaddr_un: the family, and a name that begins with a zero byte and is in no directory. */
function abstractName(name: string): Uint8Array {
  return Buffer.concat([Uint8Array.of(AF_UNIX, 0, 0), Buffer.from(`wsd-${name}`)]);
}
