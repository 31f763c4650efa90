// The region of a peer's that was used last, as the peer listed it, checked against the peer's segment:
// small integers at hand instead of a search. Whether it is still listed is its user's to look.

export class RemoteRegion {
  /** 0 for none. */
  key = 0;
  /** In its owner's segment. */
  offset = 0;
  length = 0;
  /** Remote rights: Access. */
  access = 0;
  /** Word index of its place in the peer's list. */
  entry = 0;

  set(key: number, offset: number, length: number, access: number, entry: number): void {
    this.key = key;
    this.offset = offset;
    this.length = length;
    this.access = access;
    this.entry = entry;
  }

  /** It opens nothing then, not even to key 0. */
  forget(): void {
    this.set(0, 0, 0, 0, 0);
  }

  /** Whether it contains a range and has one right. */
  opens(offset: number, length: number, right: number): boolean {
    const start = offset - this.offset;
    return start >= 0 && start + length <= this.length && (this.access & right) !== 0;
  }
}
