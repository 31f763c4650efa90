// The few options and control codes that a SAN provider answers.

import { expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { FakeFabric } from './fake-nic.js';
import { connectedPair, LEFT_IP, shutDown, TestHost, underEveryProfile } from './harness.js';

function started(profile: spi.Profile, provider = {}): TestHost {
  return new TestHost(new FakeFabric(), LEFT_IP, { profile, provider });
}

function option(host: TestHost, s: number, name: number, level: number = spi.SOL_SOCKET, room = 4) {
  const bytes = new Uint8Array(8);
  const length = spi.ref(room);
  host.errno.value = 0;
  const done = host.procs.lpWSPGetSockOpt(s, level, name, bytes, length, host.errno);
  return done === 0 ? new DataView(bytes.buffer).getUint32(0, true) : -host.errno.value;
}

underEveryProfile('options', (profile) => {
  it('tell the limits and the preferred threshold in any state [GETOPT-02 OPT-03 OPT-04 OPT-05]', () => {
    const host = started(profile, { rdmaThresholdBytes: 12345 });
    const ofNic = host.nic.attributes.maxMessageBytes;
    const maxMessageSize = profile.maxMessageBytes ?? ofNic;
    const maxRdmaSize = profile.maxRdmaBytes ?? ofNic;
    for (const s of [host.socket(), host.bound(7), host.listening(8)]) {
      expect(option(host, s, spi.SO_MAX_MSG_SIZE)).toBe(maxMessageSize);
      expect(option(host, s, spi.SO_MAX_RDMA_SIZE)).toBe(maxRdmaSize);
      expect(option(host, s, spi.SO_RDMA_THRESHOLD_SIZE)).toBe(12345);
    }
    expect(host.provider.capabilities).toMatchObject({
      maxMessageSize,
      maxRdmaSize,
      rdmaThresholdSize: 12345,
    });
    shutDown(host);
  });

  it('say how much they stored, whatever the room, also of a connected socket [GETOPT-02]', () => {
    const { left, right, a } = connectedPair({ profile });
    const room = new Uint8Array(8).fill(0xee);
    const length = spi.ref(8);
    const { procs, errno } = left;
    const { SOL_SOCKET, SO_MAX_MSG_SIZE } = spi;
    expect(procs.lpWSPGetSockOpt(a, SOL_SOCKET, SO_MAX_MSG_SIZE, room, length, errno)).toBe(0);
    expect(length.value).toBe(4);
    expect([...room.subarray(4)]).toEqual([0xee, 0xee, 0xee, 0xee]);
    shutDown(left, right);
  });

  it('that are not there are WSAENOPROTOOPT, levels WSAEINVAL, short room WSAEFAULT [GETOPT-01 OPT-06 OPT-08]', () => {
    const host = started(profile);
    const s = host.socket();
    expect(option(host, s, spi.SO_GROUP_ID)).toBe(-spi.WSAENOPROTOOPT);
    expect(option(host, s, spi.TCP_NODELAY, spi.IPPROTO_TCP)).toBe(-spi.WSAENOPROTOOPT);
    expect(option(host, s, spi.SO_MAX_MSG_SIZE, 77)).toBe(-spi.WSAEINVAL);
    expect(option(host, s, spi.SO_MAX_MSG_SIZE, spi.SOL_SOCKET, 3)).toBe(-spi.WSAEFAULT);
    shutDown(host);
  });

  it('can be set only where it is SO_DEBUG [SETOPT-01 SETOPT-02 OPT-07]', () => {
    const host = started(profile);
    const s = host.socket();
    const one = new Uint8Array([1, 0, 0, 0]);
    const set = (level: number, name: number, value: Uint8Array | null, length = 4): number => {
      host.errno.value = 0;
      host.procs.lpWSPSetSockOpt(s, level, name, value, length, host.errno);
      return host.errno.value;
    };
    expect(option(host, s, spi.SO_DEBUG)).toBe(0);
    expect(set(spi.SOL_SOCKET, spi.SO_DEBUG, one)).toBe(0);
    expect(option(host, s, spi.SO_DEBUG)).toBe(1);
    expect(set(spi.SOL_SOCKET, spi.SO_DEBUG, one, 3)).toBe(spi.WSAEFAULT);
    expect(set(spi.SOL_SOCKET, spi.SO_DEBUG, null)).toBe(spi.WSAEFAULT);
    expect(set(spi.SOL_SOCKET, spi.SO_GROUP_PRIORITY, one)).toBe(spi.WSAENOPROTOOPT);
    expect(set(spi.SOL_SOCKET, spi.SO_MAX_MSG_SIZE, one)).toBe(spi.WSAENOPROTOOPT);
    expect(set(77, spi.SO_DEBUG, one)).toBe(spi.WSAEINVAL);
    shutDown(host);
  });
});

underEveryProfile('extension functions', (profile) => {
  it('are found by GUID without looking at the socket [EXT-01 EXT-02 INIT-11 IOC-01]', () => {
    const host = started(profile);
    for (const { guid, required } of spi.SAN_EXTENSIONS) {
      if (required) expect(typeof host.fetch(guid)).toBe('function');
    }
    expect(typeof host.fetch(spi.WSAID_RDMAREAD)).toBe('function');
    shutDown(host);
  });

  it('that are optional and missing are WSAEOPNOTSUPP, unknown ones WSAEINVAL [EXT-03 IOCTL-04]', () => {
    const host = started(profile, { rdmaRead: false, registrationCache: false });
    const errorOf = (guid: string): number => {
      host.errno.value = 0;
      expect(host.fetch(guid)).toBeNull();
      return host.errno.value;
    };
    expect(errorOf(spi.WSAID_RDMAREAD)).toBe(spi.WSAEOPNOTSUPP);
    expect(errorOf(spi.WSAID_MEMORYREGISTRATIONCACHECALLBACK)).toBe(spi.WSAEOPNOTSUPP);
    expect(errorOf(spi.WSAID_ACCEPTEX)).toBe(spi.WSAEINVAL);
    const { rdmaRead, registrationCacheCallback } = host.provider.capabilities;
    expect([rdmaRead, registrationCacheCallback]).toEqual([false, false]);
    shutDown(host);
  });

  it('need a whole GUID and a place for the pointer', () => {
    const host = started(profile);
    const guid = spi.guidBytes(spi.WSAID_RDMAWRITE);
    const box: spi.ExtensionFunctionPointer = { value: null };
    const { procs, errno } = host;
    const code = spi.SIO_GET_EXTENSION_FUNCTION_POINTER;
    const ask = (
      input: Uint8Array | null,
      inBytes: number,
      out: typeof box | null,
      room: number,
    ) => {
      procs.lpWSPIoctl(0, code, input, inBytes, out, room, null, null, null, null, errno);
      return errno.value;
    };
    expect(ask(guid, 15, box, 8)).toBe(spi.WSAEFAULT);
    expect(ask(null, 16, box, 8)).toBe(spi.WSAEFAULT);
    expect(ask(guid, 16, box, 7)).toBe(spi.WSAEFAULT);
    expect(ask(guid, 16, null, 8)).toBe(spi.WSAEFAULT);
    shutDown(host);
  });
});

underEveryProfile('control codes', (profile) => {
  function query(host: TestHost, s: number, room: number): [number[], unknown] {
    const out = new Uint8Array(room);
    const bytes = spi.ref(0);
    const code = spi.SIO_ADDRESS_LIST_QUERY;
    const { procs, errno } = host;
    errno.value = 0;
    procs.lpWSPIoctl(s, code, null, 0, out, room, bytes, null, null, null, errno);
    return [[errno.value, bytes.value], spi.parseAddressList(out, bytes.value)];
  }

  it('list the address of the NIC with port 0, or say how much room that takes [IOC-02 IOCTL-04 ADDR-07]', () => {
    const host = started(profile);
    const s = host.socket();
    const [[short, needed]] = query(host, s, 3);
    expect(short).toBe(spi.WSAEFAULT);
    const [[error], list] = query(host, s, needed ?? 0);
    expect(error).toBe(0);
    expect(list).toMatchObject([{ ip: LEFT_IP, port: 0 }]);
    expect(query(host, spi.INVALID_SOCKET, 64)[0][0]).toBe(spi.WSAENOTSOCK);
    shutDown(host);
  });

  it('may be overlapped, and are over when they return [GOR-01 IOCTL-02]', () => {
    const host = started(profile);
    const s = host.socket();
    const { procs, errno } = host;
    const code = spi.SIO_ADDRESS_LIST_QUERY;
    const output = new Uint8Array(64);
    const overlapped = spi.createOverlapped(8);
    const bytes = spi.ref(0);
    const call = (routine: (() => void) | null): number =>
      procs.lpWSPIoctl(s, code, null, 0, output, 64, bytes, overlapped, routine, null, errno);
    expect(call(null)).toBe(0);
    expect(host.result(s, overlapped)).toEqual([bytes.value, 0]);
    expect(host.upcalls.completions()).toEqual([]);
    expect([call(() => undefined), errno.value]).toEqual([spi.SOCKET_ERROR, spi.WSAEINVAL]);
    shutDown(host);
  });

  it('of QoS and unknown ones are WSAEOPNOTSUPP [IOCTL-03 IOC-05]', () => {
    const host = started(profile);
    const s = host.socket();
    const { procs, errno } = host;
    for (const code of [spi.SIO_GET_QOS, spi.SIO_SET_QOS, spi.FIONBIO]) {
      errno.value = 0;
      procs.lpWSPIoctl(s, code, null, 0, null, 0, null, null, null, null, errno);
      expect(errno.value).toBe(spi.WSAEOPNOTSUPP);
    }
    shutDown(host);
  });
});
