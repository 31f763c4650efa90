// IPv4 addresses as numbers in host byte order, and as people write them.

export function addressText(address: number): string {
  return [address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255].join('.');
}
