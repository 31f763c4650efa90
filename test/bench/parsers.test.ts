// What other people's tools print, as captured: the figures that are taken from it, and that nothing is
// taken from what is not there.

import { describe, expect, it } from 'vitest';
import {
  parseFiPingpong,
  parseIperf3,
  parseSockperf,
  parseUcxPerftest,
  ToolOutputError,
} from '../../bench/peers/parsers.js';
import { findProgram } from '../../bench/peers/tools.js';

const FI = `bytes   #sent   #ack     total       time     MB/sec    usec/xfer   Mxfers/sec
64      1k      =1k      125k        0.00s     91.10       0.70       1.42
4k      1k      =1k      8.1m        0.00s   3210.50       1.28       0.78
`;

const UCX = `+--------------+--------------+------------------------------+---------------------+-----------------------+
|              |              |       overhead (usec)        |   bandwidth (MB/s)  |  message rate (msg/s) |
+--------------+--------------+----------+---------+---------+----------+----------+-----------+-----------+
|    Stage     | # iterations | 50.0%ile | average | overall |  average |  overall |  average  |  overall  |
+--------------+--------------+----------+---------+---------+----------+----------+-----------+-----------+
[thread 0]            175265      0.160     0.161     0.161      379.49   378.32     6215467     6198225
Final:                200000      0.130     0.140     0.150      400.11   401.49     6555518     6578369
`;

const SOCKPERF = `sockperf: == version #3.7-no.git ==
sockperf: ====> avg-latency=17.465 (std-dev=134.955)
sockperf: Summary: Latency is 17.465 usec
sockperf: ---> percentile 99.000 =   24.691
sockperf: ---> percentile 50.000 =    6.820
`;

describe('fi_pingpong', () => {
  it('is read at the size that was asked for', () => {
    expect(parseFiPingpong(FI, 64)).toMatchObject({ latencyNanos: 700, bytesPerNano: 0.0911 });
    expect(parseFiPingpong(FI, 4096)).toMatchObject({ latencyNanos: 1280, bytesPerNano: 3.2105 });
  });

  it('without that line is no result', () => {
    expect(() => parseFiPingpong(FI, 128)).toThrow(ToolOutputError);
    expect(() => parseFiPingpong('fi_getinfo: -61', 64)).toThrow(ToolOutputError);
  });
});

describe('ucx_perftest', () => {
  it('is read from its last line: the typical time, bandwidth and rate overall', () => {
    const { latencyNanos, bytesPerNano, messagesPerSecond } = parseUcxPerftest(UCX);
    expect([latencyNanos, messagesPerSecond]).toEqual([130, 6_578_369]);
    expect(bytesPerNano).toBeCloseTo((401.49 * 2 ** 20) / 1e9, 9);
  });

  it('that was ended early is no result', () => {
    const early = UCX.split('\n').slice(0, 6).join('\n');
    expect(() => parseUcxPerftest(early)).toThrow(ToolOutputError);
  });
});

describe('iperf3', () => {
  it('is read from what the receiver has counted', () => {
    const text = JSON.stringify({ end: { sum_received: { bits_per_second: 8e9 } } });
    expect(parseIperf3(text).bytesPerNano).toBe(1);
  });

  it('tells its own error, and no JSON is one', () => {
    expect(() => parseIperf3('{"error":"unable to connect"}')).toThrow('unable to connect');
    expect(() => parseIperf3('iperf3: usage')).toThrow(ToolOutputError);
  });
});

describe('sockperf', () => {
  it('is read from the median, or the average where there is none', () => {
    expect(parseSockperf(SOCKPERF).latencyNanos).toBe(6820);
    const average = SOCKPERF.split('\n').slice(0, 3).join('\n');
    expect(parseSockperf(average).latencyNanos).toBe(17_465);
  });

  it('without either is no result', () => {
    expect(() => parseSockperf('sockperf: ERROR')).toThrow(ToolOutputError);
  });
});

it('a program is found on the path or not at all', () => {
  expect(findProgram('sh')).toMatch(/\/sh$/);
  expect(findProgram('sh', '')).toBeNull();
  expect(findProgram('no-such-program-anywhere')).toBeNull();
});
