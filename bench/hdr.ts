// A recorded histogram in the exchange form of HdrHistogram, which its viewers and libraries read. Only
// for reports: recording is histogram.ts.

import * as hdr from 'hdr-histogram-js';
import type { HistogramData } from './histogram.js';

const SIGNIFICANT_DIGITS = 3;
const HIGHEST_NANOS = 3.6e12;

/** V2 encoding, compressed, as base64. */
export function hdrText(data: HistogramData): string {
  const histogram = hdr.build({
    bitBucketSize: 64,
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_NANOS,
    numberOfSignificantValueDigits: SIGNIFICANT_DIGITS,
  });
  for (const [value, count] of data.buckets) {
    histogram.recordValueWithCount(Math.min(HIGHEST_NANOS, Math.round(value)), count);
  }
  return hdr.encodeIntoCompressedBase64(histogram);
}
