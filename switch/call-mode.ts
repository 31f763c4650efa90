// How a data call waits. Source: W4.3 to W4.7, APP-01.

export const CallMode = { overlapped: 0, blocking: 1, nonblocking: 2 } as const;
export type CallMode = (typeof CallMode)[keyof typeof CallMode];
