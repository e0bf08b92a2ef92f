// A steady stream of scans over many tags: RATE a second for DURATION whatever the answers take, or exactly ITERATIONS scans.
import { codes, number, options as shared, text } from './settings.js';
import { scan } from './scan.js';
import { summary } from './summary.js';

const iterations = number('ITERATIONS', 0);
const rate = number('RATE', 500);
const duration = text('DURATION', '30s');
// Enough virtual users for answers of 100 ms; each sends one scan at a time.
const users = number('VUS', iterations ? 50 : Math.max(20, Math.ceil(rate / 10)));

const exactly = { executor: 'shared-iterations', iterations, vus: Math.min(users, iterations), maxDuration: text('MAX_DURATION', '10m') };
const steadily = { executor: 'constant-arrival-rate', rate, timeUnit: '1s', duration, preAllocatedVUs: users, maxVUs: users };

// Scans that were due and not sent are scans whose latency nobody measured: a tenth of a second's worth is excused, for the
// start. An exact number is sent as fast as the answers come, so its latency says nothing about a deployment's.
export const options = iterations
  ? shared(exactly, { p99: 0, sent: `==${iterations}`, dropped: 0 })
  : shared(steadily, { p99: 50, sent: '>0', dropped: rate / 10 });

export default function () {
  scan(codes[Math.floor(Math.random() * codes.length)]);
}

export function handleSummary(data) {
  return summary('steady', iterations ? `exactly ${iterations} scans` : `${rate} scans a second for ${duration}`, codes.length, data);
}
