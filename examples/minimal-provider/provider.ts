// The smallest SAN provider that carries real traffic: connections, messages and RDMA write over the NIC
// model. No RDMA read, no registration cache, no duplication, no waiting. This file starts it and makes
// connections; memory and transfers are data.ts. Try it: wsd provider install <this module>

import type * as nic from '../../provider/nic/index.js';
import * as spi from '../../provider/spi/index.js';
import { raise } from '../../provider/spi/index.js';
import { errno, extensions, poll, type Procedures, type Socket, State, transfers } from './data.js';

/** Reset and refused promise that TCP/IP would fail too; a timeout lets the switch try it. */
const GONE = { unreachable: spi.WSAETIMEDOUT, timeout: spi.WSAETIMEDOUT, aborted: spi.WSAEINTR };
const CONNECT_ERRORS = { 'no-listener': spi.WSAECONNRESET, rejected: spi.WSAECONNREFUSED, ...GONE };
const LACKS = { rdmaRead: false, registrationCacheCallback: false, qos: false, duplicate: false };
const NONE = new Uint8Array(0);

/** What a provider module exports. */
export const createProvider: spi.CreateProvider<nic.NicDevice | null> = (environment) => {
  const { nic: device, progress } = environment;
  if (device === null) throw new spi.WsaError(spi.WSASYSNOTREADY, { call: 'nic' });
  const state = new State(device);
  const agent = { role: 'minimal provider', doWork: () => turn(state) };
  const wait = (until: () => boolean): void => {
    for (let turns = 1_000_000; (turn(state), !until()) && turns > 0; turns--);
  };
  const bySocket = { ...connections(state), ...transfers(state, wait) };
  const table = { ...others(state), ...spi.answering<object, Socket>(state.find, bySocket) };
  const { maxMessageBytes } = device.attributes;
  const limits = { maxMessageSize: maxMessageBytes, maxRdmaSize: maxMessageBytes };
  let starts = 0;
  return {
    name: 'winsock-direct minimal SAN provider',
    providerId: 'a3a1a0f2-52d1-4f0b-9a2e-1f5f4c6f8d77',
    capabilities: { kind: 'san', ...LACKS, ...limits, rdmaThresholdSize: null },
    WSPStartupEx(version, data, _info, upcalls, procedures) {
      if (data === null || procedures === null) return spi.WSAEFAULT;
      if (!spi.supportsVersion22(version)) return spi.WSAVERNOTSUPPORTED;
      state.upcalls = upcalls;
      if (++starts === 1) progress.add(agent);
      data.wVersion = spi.WSP_VERSION_2_2;
      Object.assign(procedures, table);
      procedures.lpWSPCleanup = (lpErrno) => {
        if (starts === 0) return spi.fail(lpErrno, spi.WSANOTINITIALISED);
        if (--starts > 0) return 0;
        for (const socket of state.sockets.values()) close(state, socket);
        wait(() => !state.byQueuePair.some(Boolean));
        progress.remove(agent);
        return 0;
      };
      return 0;
    },
  };
};

/** Lets the NIC work, then takes its events and completions. */
function turn(state: State): number {
  let work = state.nic.progress();
  for (let event = state.nic.pollEvent(); event !== null; event = state.nic.pollEvent()) {
    work++;
    if ('queuePair' in event) connectionEvent(state, event);
    if (event.type !== 'connect-request') continue;
    const isIts = (one: Socket): boolean => one.state === 'listening' && one.port === event.port;
    const listener = [...state.sockets.values()].find(isIts);
    const isFull = listener === undefined || listener.requests.length >= listener.backlog;
    if (isFull) state.nic.reject(event.requestId);
    else if (listener.requests.push(event) > 0) tell(state, listener, spi.FD_ACCEPT_BIT, 0);
  }
  return work + poll(state);
}

function connectionEvent(state: State, event: Extract<nic.NicEvent, { queuePair: number }>): void {
  const socket = state.byQueuePair[event.queuePair];
  if (socket === undefined) return;
  if (event.type === 'destroyed') {
    state.byQueuePair[event.queuePair] = undefined;
    // The last upcall for a socket, after every completion.
    state.upcalls?.lpWPUCloseSocketHandle(socket.handle, errno);
  } else if (event.type === 'disconnected') {
    socket.error ||= event.reason.startsWith('peer') ? spi.WSAECONNRESET : spi.WSAECONNABORTED;
  } else if (socket.state === 'connecting') {
    const error = event.type === 'established' ? 0 : CONNECT_ERRORS[event.reason];
    socket.state = error === 0 ? 'connected' : 'failed';
    tell(state, socket, spi.FD_CONNECT_BIT, error);
  }
}

/** Records a network event, and signals it to who has selected it. */
function tell(state: State, { events, mask, hEvent }: Socket, bit: number, error: number): void {
  events.lNetworkEvents |= 1 << bit;
  events.iErrorCode[bit] = error;
  if ((mask & (1 << bit)) !== 0) state.upcalls?.lpWPUSetEvent(hEvent, errno);
}

/** Gives a socket a queue pair. */
function attach(state: State, socket: Socket): nic.QueuePair {
  const { completions: completionQueue } = state;
  const queuePair = state.nic.createQueuePair({ completionQueue }) ?? raise(spi.WSAENOBUFS);
  socket.queuePair = queuePair;
  state.byQueuePair[queuePair.slot] = socket;
  return queuePair;
}

function close(state: State, socket: Socket): void {
  state.sockets.delete(socket.descriptor);
  // The NIC rejects the requests that wait.
  if (socket.state === 'listening') state.nic.unlisten(socket.port);
  socket.state = 'closed';
  // It flushes what is pending, and its registrations go with it; then comes 'destroyed'.
  if (socket.queuePair !== null) socket.queuePair.destroy();
  else state.upcalls?.lpWPUCloseSocketHandle(socket.handle, errno);
}

/** The address and the port of a name that comes from the switch. */
function endpoint(name: Uint8Array | null, length: number): readonly [number, number] {
  const isOne = name !== null && spi.parseSockaddr(name, length)?.family === spi.AF_INET;
  return isOne ? [spi.sockaddrInAddress(name), spi.sockaddrPort(name)] : raise(spi.WSAEFAULT);
}

const connections = (state: State): Procedures => ({
  lpWSPBind(socket, name, length) {
    const [address, port] = endpoint(name, length);
    if (socket.port !== 0) raise(spi.WSAEINVAL);
    const isOurs = address === spi.INADDR_ANY || address === state.nic.attributes.address;
    socket.port = isOurs ? port : raise(spi.WSAEADDRNOTAVAIL);
  },
  lpWSPListen(socket, backlog) {
    const { state: before, port } = socket;
    if (before === 'connected') raise(spi.WSAEISCONN);
    if (before === 'open' && port !== 0 && state.nic.listen(port)) socket.state = 'listening';
    if (socket.state !== 'listening') raise(spi.WSAEINVAL);
    socket.backlog = Math.max(backlog, 1);
  },
  lpWSPConnect(socket, name, length) {
    const [address, port] = endpoint(name, length);
    if (socket.state === 'connected') raise(spi.WSAEISCONN);
    if (socket.state !== 'open' || socket.port === 0) raise(spi.WSAEINVAL);
    attach(state, socket).connect(address, port, socket.port, NONE);
    socket.state = 'connecting';
    raise(spi.WSAEWOULDBLOCK);
  },
  lpWSPAccept(listener, addr, addrlen, condition, data) {
    if (listener.state !== 'listening') raise(spi.WSAEINVAL);
    const room = addr === null ? Infinity : Math.min(addr.length, addrlen?.value ?? 0);
    const len = spi.SOCKADDR_IN_BYTES;
    if (room < len) raise(spi.WSAEFAULT);
    const { requestId, ...request } = listener.requests[0] ?? raise(spi.WSAEWOULDBLOCK);
    const from = { len, buf: spi.sockaddrIn(request.remoteAddress, request.remotePort) };
    const to = { len, buf: spi.sockaddrIn(state.nic.attributes.address, listener.port) };
    const answer = condition?.(from, null, null, null, to, null, null, data) ?? spi.CF_ACCEPT;
    state.find(listener.descriptor); // It may have been closed meanwhile.
    if (answer === spi.CF_DEFER) raise(spi.WSATRY_AGAIN);
    listener.requests.shift();
    listener.events.lNetworkEvents &= ~spi.FD_ACCEPT;
    if (listener.mask !== 0) state.upcalls?.lpWPUResetEvent(listener.hEvent, errno);
    if (listener.requests.length > 0) tell(state, listener, spi.FD_ACCEPT_BIT, 0);
    let socket: Socket | null = null;
    try {
      socket = answer === spi.CF_ACCEPT ? state.newSocket() : raise(spi.WSAECONNREFUSED);
      attach(state, socket).accept(requestId, NONE);
    } catch (thrown) {
      state.nic.reject(requestId);
      if (socket !== null) close(state, socket);
      throw thrown;
    }
    Object.assign(socket, { state: 'connected', port: listener.port });
    addr?.set(from.buf);
    if (addrlen !== null) addrlen.value = len;
    return socket.descriptor;
  },
  lpWSPCloseSocket: (socket) => close(state, socket),
  lpWSPEventSelect(socket, hEvent, mask) {
    Object.assign(socket, { hEvent, mask });
    // What has happened already is signalled at once.
    if ((socket.events.lNetworkEvents & mask) !== 0) state.upcalls?.lpWPUSetEvent(hEvent, errno);
  },
  lpWSPEnumNetworkEvents(socket, hEvent, out) {
    if (out === null) raise(spi.WSAEINVAL);
    Object.assign(out, structuredClone(socket.events));
    socket.events.lNetworkEvents = 0;
    if (hEvent !== 0) state.upcalls?.lpWPUResetEvent(hEvent, errno);
  },
});

/** The functions that do not begin with a socket of ours. */
function others(state: State): Pick<spi.SanProcTable, 'lpWSPSocket' | 'lpWSPIoctl'> {
  const known = spi.answering<spi.SanExtensions, Socket>(state.find, extensions(state));
  const own = [spi.sockaddrIn(state.nic.attributes.address, 0)];
  return spi.answering((first) => first, {
    lpWSPSocket(af, type, protocol, info, g, flags) {
      if (af !== spi.AF_INET) raise(spi.WSAEAFNOSUPPORT);
      if (type !== spi.SOCK_STREAM || protocol !== spi.IPPROTO_TCP) raise(spi.WSAEPROTONOSUPPORT);
      const isDuplicate = (info?.dwProviderReserved ?? 0) !== 0;
      if (isDuplicate || g !== 0 || flags !== spi.WSA_FLAG_OVERLAPPED) raise(spi.WSAEINVAL);
      return state.newSocket().descriptor;
    },
    lpWSPIoctl(s, code, input, cbIn, out, cbOut, lpcb, _overlapped, _routine, _thread, lpErrno) {
      const isPointer = spi.isExtensionFunctionPointer(out);
      // Whoever asks for an extension may have no socket yet.
      if (isPointer) return spi.answerExtension(known, input, cbIn, out, cbOut, lpcb, lpErrno);
      if (state.find(s) && code !== spi.SIO_ADDRESS_LIST_QUERY) raise(spi.WSAEOPNOTSUPP);
      return spi.answerAddressList(own, out, cbOut, lpcb, lpErrno);
    },
  });
}
