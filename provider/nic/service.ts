// What a connection request asks for: a port of an address. Usually the address is that of the NIC that
// is asked; another NIC's when that one sends its requests on. Source: docs/nic.md.

/** One number for both, to look a service up by. */
export function serviceKey(address: number, port: number): number {
  return address * 0x10000 + port;
}
