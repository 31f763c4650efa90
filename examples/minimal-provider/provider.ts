// The smallest SAN provider that carries real traffic: connections, messages and RDMA write over the NIC
// model. No RDMA read, no registration cache, no duplication, no waiting. This file starts it and makes
// connections; memory and transfers are data.ts. Try it: wsd provider install <this module>

import type * as nic from '../../provider/nic/index.js';
import * as spi from '../../provider/spi/index.js';
import { dataProcedures, NONE, poll, type Socket, State } from './data.js';

/** Reset and refused promise that TCP/IP would fail too; a timeout lets the switch try it. */
const GONE = { unreachable: spi.WSAETIMEDOUT, timeout: spi.WSAETIMEDOUT, aborted: spi.WSAEINTR };
const CONNECT_ERRORS = { 'no-listener': spi.WSAECONNRESET, rejected: spi.WSAECONNREFUSED, ...GONE };
const LACKS = { rdmaRead: false, registrationCacheCallback: false, qos: false, duplicate: false };

/** What a provider module exports. */
export const createProvider: spi.CreateProvider<nic.NicDevice | null> = (environment) => {
  const { nic: device, progress } = environment;
  if (device === null) throw new spi.WsaError(spi.WSASYSNOTREADY, { call: 'nic' });
  const state = new State(device);
  const agent = { role: 'minimal provider', doWork: () => turn(state) };
  const table = { ...connectionProcedures(state), ...dataProcedures(state, agent.doWork) };
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
        for (let n = 0; n < 1_000_000 && state.byQueuePair.some(Boolean); n++) turn(state);
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
    const listener = state.listeners.get(event.port);
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
    state.upcalls?.lpWPUCloseSocketHandle(socket.handle, spi.ref(0));
  } else if (event.type === 'disconnected') {
    socket.error = spi.WSAECONNRESET;
  } else if (socket.state === 'connecting') {
    const error = event.type === 'established' ? 0 : CONNECT_ERRORS[event.reason];
    socket.state = error === 0 ? 'connected' : 'failed';
    tell(state, socket, spi.FD_CONNECT_BIT, error);
  }
}

function tell(state: State, { events, mask, hEvent }: Socket, bit: number, error: number): void {
  events.lNetworkEvents |= 1 << bit;
  events.iErrorCode[bit] = error;
  if ((mask & (1 << bit)) !== 0) state.upcalls?.lpWPUSetEvent(hEvent, spi.ref(0));
}

/** Gives a socket a queue pair; null when the NIC has no more. */
function attach(state: State, socket: Socket): nic.QueuePair | null {
  const queuePair = state.nic.createQueuePair({ completionQueue: state.completions });
  socket.queuePair = queuePair;
  if (queuePair !== null) state.byQueuePair[queuePair.slot] = socket;
  return queuePair;
}

type Ask = (from: spi.WSABUF, to: spi.WSABUF) => number;
type Accepted = { readonly socket: Socket; readonly caller: Uint8Array } | number;

/** WSPAccept: the accepted socket, or the error. */
function accept(state: State, listener: Socket, ask: Ask): Accepted {
  const request = listener.requests.shift();
  if (request === undefined) return spi.WSAEWOULDBLOCK;
  const caller = spi.sockaddrIn(request.remoteAddress, request.remotePort);
  const callee = spi.sockaddrIn(state.nic.attributes.address, listener.port);
  const answer = ask({ len: caller.length, buf: caller }, { len: callee.length, buf: callee });
  if (answer === spi.CF_DEFER) listener.requests.unshift(request);
  else listener.events.lNetworkEvents &= ~spi.FD_ACCEPT;
  if (listener.requests.length > 0) tell(state, listener, spi.FD_ACCEPT_BIT, 0);
  if (answer === spi.CF_DEFER) return spi.WSATRY_AGAIN;
  const socket = answer === spi.CF_ACCEPT ? state.newSocket(spi.ref(0)) : null;
  const queuePair = socket === null ? null : attach(state, socket);
  if (socket === null || queuePair === null) state.nic.reject(request.requestId);
  else queuePair.accept(request.requestId, NONE);
  if (socket !== null && queuePair === null) close(state, socket);
  if (socket === null || queuePair === null) return spi.WSAECONNREFUSED;
  socket.state = 'connected';
  return { socket, caller };
}

function close(state: State, socket: Socket): number {
  state.sockets.delete(socket.descriptor);
  // The NIC rejects the requests that wait.
  if (socket.state === 'listening') state.nic.unlisten(socket.port);
  if (socket.state === 'listening') state.listeners.delete(socket.port);
  socket.state = 'closed';
  // It flushes what is pending, and its registrations go with it; then comes 'destroyed'.
  if (socket.queuePair !== null) socket.queuePair.destroy();
  else state.upcalls?.lpWPUCloseSocketHandle(socket.handle, spi.ref(0));
  return 0;
}

function connectionProcedures(state: State): Partial<spi.WSPProcTable> {
  return {
    lpWSPSocket: (_af, _type, _protocol, _info, _g, _flags, lpErrno) =>
      state.newSocket(lpErrno)?.descriptor ?? spi.INVALID_SOCKET,
    lpWSPBind: state.on<spi.LPWSPBIND>((socket, name) => {
      if (name === null || socket.port !== 0) return name === null ? spi.WSAEFAULT : spi.WSAEINVAL;
      const address = spi.sockaddrInAddress(name);
      const isOurs = address === spi.INADDR_ANY || address === state.nic.attributes.address;
      if (isOurs) socket.port = spi.sockaddrPort(name);
      return isOurs ? 0 : spi.WSAEADDRNOTAVAIL;
    }),
    lpWSPListen: state.on<spi.LPWSPLISTEN>((socket, backlog) => {
      socket.backlog = Math.max(backlog, 1);
      if (socket.state === 'listening') return 0;
      if (socket.port === 0 || !state.nic.listen(socket.port)) return spi.WSAEINVAL;
      state.listeners.set(socket.port, socket);
      socket.state = 'listening';
      return 0;
    }),
    lpWSPConnect: state.on<spi.LPWSPCONNECT>((socket, name) => {
      if (name === null || socket.state !== 'open' || socket.port === 0) return spi.WSAEINVAL;
      const queuePair = attach(state, socket);
      if (queuePair === null) return spi.WSAENOBUFS;
      socket.state = 'connecting';
      const [address, port] = [spi.sockaddrInAddress(name), spi.sockaddrPort(name)];
      queuePair.connect(address, port, socket.port, NONE);
      return spi.WSAEWOULDBLOCK;
    }),
    lpWSPAccept(s, addr, addrlen, condition, data, lpErrno) {
      const listener = state.sockets.get(s);
      const ask = (from: spi.WSABUF, to: spi.WSABUF): number =>
        condition?.(from, null, null, null, to, null, null, data) ?? spi.CF_ACCEPT;
      const made = listener === undefined ? spi.WSAENOTSOCK : accept(state, listener, ask);
      lpErrno.value = typeof made === 'number' ? made : 0;
      if (typeof made === 'number') return spi.INVALID_SOCKET;
      addr?.set(made.caller);
      if (addrlen !== null) addrlen.value = made.caller.length;
      return made.socket.descriptor;
    },
    lpWSPEventSelect: state.on<spi.LPWSPEVENTSELECT>((socket, hEvent, mask) => {
      Object.assign(socket, { hEvent, mask });
      return 0;
    }),
    lpWSPEnumNetworkEvents: state.on<spi.LPWSPENUMNETWORKEVENTS>(({ events }, hEvent, out) => {
      if (out === null) return spi.WSAEINVAL;
      Object.assign(out, structuredClone(events));
      events.lNetworkEvents = 0;
      if (hEvent !== 0) state.upcalls?.lpWPUResetEvent(hEvent, spi.ref(0));
      return 0;
    }),
    lpWSPCloseSocket: state.on<spi.LPWSPCLOSESOCKET>((socket) => close(state, socket)),
  };
}
