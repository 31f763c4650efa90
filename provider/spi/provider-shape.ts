// Whether what createProvider returned can be a provider at all. A module is somebody else's program and
// may return anything; whoever loads one says what is missing in place of failing over it later. It must
// not judge how a provider behaves. Source: INIT-02.

/** What is wrong with what createProvider returned, for people; null when it has the shape of a provider. */
export function whyNoProvider(made: unknown): string | null {
  if (made instanceof Promise) return 'a promise: createProvider must return the provider itself';
  if (typeof made !== 'object' || made === null) return typeof made;
  const { name, providerId, capabilities, WSPStartupEx } = made as Readonly<
    Record<string, unknown>
  >;
  if (typeof name !== 'string') return 'an object without a name';
  if (typeof providerId !== 'string') return 'an object without a providerId';
  if (typeof capabilities !== 'object' || capabilities === null) {
    return 'an object without capabilities';
  }
  const { kind } = capabilities as Readonly<Record<string, unknown>>;
  if (kind !== 'san' && kind !== 'base')
    return "an object whose capabilities.kind is no 'san' or 'base'";
  return typeof WSPStartupEx === 'function' ? null : 'an object without the function WSPStartupEx';
}
