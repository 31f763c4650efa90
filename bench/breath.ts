// A turn of the event loop within work that would otherwise never let go of the thread.

/** Lets the event loop have a turn, then throws the reason of `signal` if it is aborted. */
export async function breathe(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  signal.throwIfAborted();
}
